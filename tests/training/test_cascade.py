"""The cascade's training: its content loss against Eq. 4, its settings, and that it resumes and is shared exactly."""

import csv
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import convolve2d

from relumen.degrade import crop_to_multiple, reduced
from relumen.errors import UserError
from relumen.models.optics import Optics
from relumen.run import RunFolder
from relumen.training import start
from relumen.training.cascade import Cascade, Content
from relumen.training.config import load_config
from relumen.training.data import load_data
from relumen.training.replicas import Replicas

TINY = [
    "generator={network: cascade, widths: [6, 6, 4, 4], stem: 0, convs: 1}",
    "discriminator.widths=[4, 4]",
    "data.patch=8",
    "data.densities=1",
    "batch=2",
    "steps=4",
    "log_every=1",
    "check_every=2",
]
TWO_DEVICES = """
import sys
import keras
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from relumen.training.cascade import Cascade
from relumen.training.config import load_config
from relumen.training.data import load_data
from relumen.training.replicas import Replicas
folder, *changes = sys.argv[1:]
config = load_config("cascade", "compact", changes, **{"data.folder": folder})
data = load_data(config.data, config.scale)
for devices in (("CPU:0",), ("CPU:0", "CPU:1")):
    keras.utils.set_random_seed(0)
    made = Cascade(config, data, Replicas(devices), command="", machine="")
    for step in range(3):
        print(*(float(value) for _, value in sorted(made.train_step(step, made.batch(step)).items())))
"""
PHYSICAL = {"mode": "physical", "pixel_um": 6.936}


@pytest.fixture(scope="module")
def frames(tmp_path_factory, phase):
    """Three small parts of a real frame that tell no pixel size, two to train on and one held out."""
    import tifffile

    folder = tmp_path_factory.mktemp("frames")
    for name, y in (("a", 300), ("b", 500), ("c", 700)):
        tifffile.imwrite(folder / f"{name}.tif", phase[y : y + 160, 300:460])
    return folder


def prepare(folder, frames, *changes, **arguments):
    return start.prepare(
        folder, system="cascade", preset="compact", data=frames, overrides=[*TINY, *changes], **arguments
    )


def trained(folder, frames, *changes, **arguments):
    run = prepare(folder, frames, *changes, **arguments)
    start.go(run, command="", machine="", say=lambda text: None)
    return run


def rows(run):
    with run.history_file.open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def configured(*changes, scale=4):
    return load_config("cascade", "compact", changes, **{"data.folder": "images", "scale": scale})


def plain_content(high, images, config, optics):
    """Eq. 4 as it is printed: sums over images k, levels s and filters n, the mean over images."""
    k, total = len(high), 0.0
    for each in range(k):
        for s, y in enumerate(images, start=1):
            truth = reduced(high[each], 2 ** (len(images) - s), config.data.degradation.reduction)
            kernels = optics.kernels(2**s) if config.losses.filtered else [np.ones((1, 1))]
            differences = np.array(
                [convolve2d(y[each], kernel, "same") - convolve2d(truth, kernel, "same") for kernel in kernels]
            )
            if config.losses.distance == "charbonnier":
                distances = np.sqrt(differences**2 + 1e-6)
            else:
                distances = np.abs(differences)
            total += distances.sum() if config.losses.reduction == "sum" else distances.mean()
    return total / k


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["losses.reduction=sum"],
        ["losses.filtered=false"],
        ["losses.filtered=false", "losses.distance=charbonnier", "losses.reduction=sum"],
        ["data.degradation.reduction=bicubic"],
        [f"optics={PHYSICAL}", "losses.reduction=sum"],
    ],
    ids=" ".join,
)
def test_the_content_loss_is_that_of_the_paper(changes, phase):
    config = configured(*changes)
    rng = np.random.default_rng(0)
    frame = (phase[300:460, 300:460].astype(np.float32) - 32900) / 5800
    high = np.stack([frame[:64, :48], frame[64:128, 40:88]])
    sizes = [(32, 24), (64, 48)]
    images = [rng.normal(size=(2, *size)).astype(np.float32) for size in sizes]
    loss = Content(config, config.optics)(
        tf.constant(high[..., np.newaxis]), [tf.constant(image[..., np.newaxis]) for image in images]
    )
    assert float(loss) == pytest.approx(plain_content(high, images, config, config.optics), rel=1e-4)


def test_a_faithful_cascade_has_no_content_loss(phase):
    config = configured(scale=8)
    high = crop_to_multiple(phase[300:364, 300:364].astype(np.float32) / 65535, 8)
    images = [reduced(high, factor)[np.newaxis, ..., np.newaxis] for factor in (4, 2, 1)]
    assert float(Content(config, config.optics)(high[np.newaxis, ..., np.newaxis], images)) == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize("factor", [2, 4])
def test_the_truth_is_reduced_as_the_inputs_are(factor, phase):
    """Pillow's cubic convolution and TensorFlow's are one, at the border too."""
    high = (phase[300:380, 300:364].astype(np.float32) - 32900) / 5800
    content = Content(configured("data.degradation.reduction=bicubic"), Optics())
    inside = content._reduced(tf.constant(high[np.newaxis, ..., np.newaxis]), factor)[0, ..., 0]
    np.testing.assert_allclose(inside, reduced(high, factor, "bicubic"), atol=1e-4)


BOTH = {"discriminator", "adversarial", "content"}
SETTINGS = {
    "content only": (["losses.adversarial=0"], {"content"}),
    "adversarial only": (["losses.alpha=0", "discriminator.patches=false"], {"discriminator", "adversarial"}),
    "minimax": (["losses.form=minimax", "losses.adversarial=1"], BOTH),
    "single image": (
        ["generator.enrichment=none", "losses={adversarial: 0, filtered: false, reduction: sum}"], {"content"}
    ),
    "copies": (["generator.enrichment=repeat", "generator.keep_image=true", "losses.adversarial=0"], {"content"}),
    "a skip at 2x": (["generator.skip=true", "scale=2", "data.patch=16"], BOTH),
    "mixed precision": (["precision=mixed_bfloat16"], BOTH),
    "lapsrn": (
        ["generator={network: lapsrn, width: 4, depth: 1}",
         "losses={adversarial: 0, filtered: false, distance: charbonnier}"], {"content"},
    ),
}  # fmt: skip


def system(frames, *changes):
    config = load_config("cascade", "compact", [*TINY, *changes], **{"data.folder": str(frames)})
    keras.utils.set_random_seed(0)
    return Cascade(config, load_data(config.data, config.scale), Replicas(), command="", machine="")


def step_of(made):
    return {name: float(value) for name, value in made.train_step(0, made.batch(0)).items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_each_row_of_the_table_is_a_setting_and_has_just_its_terms(name, frames):
    changes, expected = SETTINGS[name]
    made = system(frames, *changes)
    before = made.network.get_weights()
    terms = step_of(made)
    assert terms.keys() == expected and all(map(np.isfinite, terms.values()))
    if "adversarial" in expected:
        assert (terms["adversarial"] < 0) == (name == "minimax")
    assert ("discriminator" in made.state) == ("discriminator" in expected)
    assert any(np.any(a != b) for a, b in zip(before, made.network.get_weights(), strict=True))


def test_a_cascade_of_one_level_has_the_loss_of_that_level(frames):
    made = system(frames, "scale=2", "data.patch=16", "losses={adversarial: 0, filtered: false}")
    low, high = made.batch(0)
    expected = np.abs(high - np.asarray(made.network(low))).mean()
    assert step_of(made)["content"] == pytest.approx(expected, rel=1e-4)


def test_lapsrn_is_trained_by_the_same_command(tmp_path, frames):
    run = trained(tmp_path / "run", frames, *SETTINGS["lapsrn"][0], "steps=2")
    assert [set(row) for row in rows(run)] == [{"step", "content"}] * 2
    assert run.network()(np.zeros((1, 5, 6, 1), np.float32)).shape == (1, 40, 48, 1)
    assert [figures.condition for figures in run.about().figures] == ["no added noise"]


def test_with_the_papers_norm_a_network_is_for_one_size(tmp_path, frames):
    run = trained(tmp_path / "run", frames, "generator.norm=paper", "losses.adversarial=0", "steps=1")
    about = run.about()
    assert (about.tile, about.halo, about.finished) == (8, 0, True)
    assert about.figures


def test_both_losses_are_told_as_they_are_weighted(frames):
    plain, weighted = (
        step_of(system(frames, f"losses={{adversarial: {adversarial}, alpha: {alpha}}}"))
        for adversarial, alpha in ((1, 1), (0.25, 3))
    )
    assert weighted["adversarial"] == pytest.approx(0.25 * plain["adversarial"], rel=1e-4)
    assert weighted["content"] == pytest.approx(3 * plain["content"], rel=1e-4)
    assert weighted["discriminator"] == pytest.approx(plain["discriminator"], rel=1e-4)


def test_the_kept_network_is_the_last_level_of_the_trained_one(frames):
    made = system(frames)
    low, _ = made.batch(0)
    before = np.asarray(made.network(low))
    for step in range(2):
        made.train_step(step, made.batch(step))
    kept, images = made.network, made.state["generator"](low)
    np.testing.assert_allclose(kept(low), images[-1], atol=1e-5)
    assert [image.shape[1] for image in images] == [16, 32, 64]
    assert np.abs(np.asarray(kept(low)) - before).max() > 1e-4


def test_physical_filters_want_a_pixel_size_before_a_run_is_made(tmp_path, frames):
    with pytest.raises(UserError, match="8 times that of the images, with --pixel-size"):
        prepare(tmp_path / "run", frames, "optics.mode=physical")
    assert not (tmp_path / "run").exists()
    run = trained(tmp_path / "run", frames, "optics.mode=physical", "steps=1", pixel_size=6.936)
    filters = run.network().get_layer("filters")
    assert (filters.optics.mode, filters.optics.pixel_um) == ("physical", 6.936)


def test_a_microscope_that_can_not_be_is_named(frames):
    with pytest.raises(UserError, match="optics: A length must be above 0. Received: focal_mm=0"):
        configured("optics.focal_mm=0")


def test_an_interrupted_training_goes_on_to_the_same_losses_to_the_bit(tmp_path, frames, monkeypatch):
    straight = trained(tmp_path / "straight", frames)
    step = Cascade.train_step

    def failing(self, number, batch):
        if number == 3:  # past the checkpoint of the second step, whose row is made again
            raise KeyboardInterrupt
        return step(self, number, batch)

    monkeypatch.setattr(Cascade, "train_step", failing)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", frames)
    monkeypatch.setattr(Cascade, "train_step", step)
    cut = RunFolder.open(tmp_path / "cut")
    assert (cut.about().steps, cut.about().finished) == (2, False)
    said = []
    start.go(cut, command="", machine="", say=said.append)
    assert "Going on from step 2 of 4." in said
    assert cut.history_file.read_bytes() == straight.history_file.read_bytes()
    assert cut.validation_file.read_bytes() == straight.validation_file.read_bytes()
    for a, b in zip(*(run.network().get_weights() for run in (straight, cut)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_devices_train_as_one(frames):
    """Layer normalisation, unlike a batch's, is that of each image: sharing a batch changes nothing."""
    command = [sys.executable, "-c", TWO_DEVICES, str(frames), *TINY]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    losses = np.array([line.split() for line in answer.stdout.splitlines()], float)
    assert losses.shape == (6, 3)
    np.testing.assert_allclose(losses[3:], losses[:3], rtol=1e-4)
