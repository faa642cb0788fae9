"""CycleGAN's training: its losses by hand, its batches without partners, and that it resumes and says what it is."""

import csv
import shutil

import keras
import numpy as np
import pytest
import tifffile

from relumen.errors import UserError
from relumen.run import RunFolder
from relumen.training import start
from relumen.training.config import load_config
from relumen.training.cyclegan import CycleGAN, TwoDomains
from relumen.training.replicas import Replicas

TINY = [
    "generator={network: resnet, width: 4, blocks: 1, downsampling: 0, norm: none, dropout: 0, activation: linear}",
    "discriminator.widths=[4, 4]",
    "data.patch=32",
    "batch=2",
    "steps=4",
    "log_every=1",
    "check_every=2",
]


def configured(folder, *changes):
    return load_config("cyclegan", "compact", [*TINY, *changes], **{"data.folder": str(folder)})


def prepared(folder, data, *changes):
    return start.prepare(folder, system="cyclegan", preset="compact", data=data, overrides=[*TINY, *changes])


def trained(run, on_step=lambda step, total, terms: None):
    start.go(run, command="relumen train", machine="", say=lambda text: None, on_step=on_step)
    with run.history_file.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def alone(defects_folder, tmp_path):
    """Noisy images without partners, and clean ones of other places."""
    data = tmp_path / "alone"
    shutil.copytree(defects_folder / "noise" / "low", data / "noise")
    shutil.copytree(defects_folder / "missing-planes" / "high", data / "clean")
    return data


def test_the_losses_by_hand(defects_folder):
    keras.utils.set_random_seed(0)
    config = configured(defects_folder / "noise")
    data = TwoDomains(config)
    made = CycleGAN(config, data, Replicas(), command="", machine="")
    low, low_units, high, high_units = made.batch(0)
    networks = made.state["generator"], made.state["spoiling"]
    restore, spoil, clean_judge, defect_judge = (
        lambda x, network=network: np.array(network(x.astype(np.float32)), np.float64)
        for network in (*networks, made.state["clean_discriminator"], made.state["defect_discriminator"])
    )

    def pooled(image, units):
        return image * units[:, 0].reshape(2, 1, 1, 1) + units[:, 1].reshape(2, 1, 1, 1)

    gain, offset = data.units_of_defect
    x, y = pooled(low, low_units), pooled(high, high_units)
    restored, spoiled = pooled(restore(low), low_units), spoil(y)
    there_and_back = restore((spoiled - offset) / gain) * gain + offset
    mean = np.mean
    expected = {
        "adversarial": mean((clean_judge(restored) - 1) ** 2) + mean((defect_judge(spoiled) - 1) ** 2),
        "cycle": 10 * (mean(abs(spoil(restored) - x)) + mean(abs(there_and_back - y))),
        "identity": 5 * (mean(abs(pooled(restore(high), high_units) - y)) + mean(abs(spoil(x) - x))),
        "discriminator": (
            mean((clean_judge(y) - 1) ** 2) + mean(clean_judge(restored) ** 2)
            + mean((defect_judge(x) - 1) ** 2) + mean(defect_judge(spoiled) ** 2)
        ) / 2,
    }  # fmt: skip
    before = [network.get_weights() for network in networks]
    terms = made.train_step(0, (low, low_units, high, high_units))
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected, rel=1e-3)
    for network, weights in zip(networks, before, strict=True):
        assert any(not np.array_equal(a, b) for a, b in zip(weights, network.get_weights(), strict=True))


def test_terms_without_weight_are_left_out(defects_folder):
    config = configured(defects_folder / "noise", "losses.cycle=0", "losses.identity=0")
    made = CycleGAN(config, TwoDomains(config), Replicas(), command="", machine="")
    assert set(made.train_step(0, made.batch(0))) == {"adversarial", "discriminator"}


def test_batches_are_parts_of_both_kinds_of_images_in_units_of_the_clean_ones(alone):
    config = configured(alone, "augment=0", "batch=6")
    data = TwoDomains(config)
    images = {
        name: [tifffile.imread(path) for path in sorted((alone / name).glob("*.tif"))] for name in ("noise", "clean")
    }
    means, deviations = (np.mean([part(image) for image in images["clean"]]) for part in (np.mean, np.std))
    low, low_units, high, high_units = data(3)
    assert low.shape == high.shape == (6, 32, 32, 1) and low_units.shape == high_units.shape == (6, 2)
    for name, patches, units in (("noise", low, low_units), ("clean", high, high_units)):
        for patch, (gain, offset) in zip(patches, units, strict=True):
            counts = np.rint((patch[..., 0] * gain + offset) * deviations + means)
            windows = [np.lib.stride_tricks.sliding_window_view(image, (32, 32)) for image in images[name]]
            assert any((np.abs(window - counts).max((2, 3)) <= 1).any() for window in windows)
    for one, again in zip(data(3), TwoDomains(config)(3), strict=True):
        np.testing.assert_array_equal(one, again)
    assert not np.array_equal(data(3)[0], data(4)[0])
    assert data.describe() == "2 clean images, and defective ones that need be no partners of them: 1 of noise"


def test_a_killed_training_goes_on_to_the_same_losses_to_the_bit(defects_folder, tmp_path):
    whole = trained(prepared(tmp_path / "whole", defects_folder, "defects=[noise]"))

    def kill(step, total, terms):
        if step == 3:
            raise InterruptedError

    run = prepared(tmp_path / "killed", defects_folder, "defects=[noise]")
    with pytest.raises(InterruptedError):
        trained(run, kill)
    assert trained(run) == whole
    about = run.about()
    assert (about.system, about.scale, about.tile, about.finished) == ("cyclegan", 1, None, True)
    assert [(figure.image, figure.condition) for figure in about.figures] == [("c.tif", "as given")]
    assert run.network().output_shape == (None, None, None, 1)


def test_without_partners_there_is_no_figure_of_quality(alone, tmp_path):
    run = prepared(tmp_path / "run", alone, "steps=1", "generator.norm=instance", "generator.downsampling=1")
    trained(run)
    about = RunFolder.open(run.path).about()
    assert (about.figures, about.tile, about.multiple) == ((), 32, 2)  # it takes inputs of the patches' size alone
    assert run.validation_file.read_text(encoding="utf-8").startswith("step,divergence from the input")


def test_it_restores_one_defect(defects_folder, alone, tmp_path):
    with pytest.raises(
        UserError, match="restores one defect, and .* low-resolution, missing-planes, noise. .*--defect"
    ):
        prepared(tmp_path / "run", defects_folder)
    shutil.rmtree(alone / "clean")
    with pytest.raises(UserError, match="noise has no clean partners"):
        prepared(tmp_path / "run", alone)
    with pytest.raises(UserError, match="discriminator.conditional: Extra inputs"):
        prepared(tmp_path / "run", defects_folder, "discriminator.conditional=true")
    assert not (tmp_path / "run").exists()
