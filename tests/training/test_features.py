"""The feature network: its training, its patches, and that its distances see what a perceptual loss must see."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from relumen import features
from relumen.data import image_path, records
from relumen.degrade import clean
from relumen.errors import UserError
from relumen.images import read_image
from relumen.run import RunFolder
from relumen.training import start
from relumen.training.config import load_config
from relumen.training.features_data import Patches, load_bank
from relumen.training.sensitivity import pixels, sensitivity
from relumen.training.shipping import ship_features

TINY = [
    "width=4",
    "patch=16",
    "batch=2",
    "steps=4",
    "procedural=1",
    "procedural_size=64",
    "log_every=1",
    "check_every=2",
]
HELD_OUT = {"kc167/POS218", "translocation/A-12", "ht29/D03", "widefield/fitc"}


@pytest.fixture(scope="module")
def config():
    return load_config("features", "microscopy", TINY)


@pytest.fixture(scope="module")
def bank(config):
    return load_bank(config)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was trained for a few steps; to be read only."""
    folder = tmp_path_factory.mktemp("runs")
    return go(start.prepare(folder / "straight", system="features", preset="microscopy", overrides=TINY))


def go(run):
    start.go(run, command="relumen train features", machine="test", say=lambda text: None)
    return run


def test_no_image_of_a_held_out_field_is_trained_on(bank):
    fields = [{records()[each.name].field for each in part if each.name in records()}
              for part in (bank.training, bank.held_out)]  # fmt: skip
    assert fields[1] == HELD_OUT
    assert not fields[0] & HELD_OUT


def test_phase_contrast_is_not_trained_on(bank):
    """The network is of fluorescence: what it tells apart are stains."""
    names = {each.name for each in (*bank.training, *bank.held_out)}
    assert names & records().keys() == records("fluorescence").keys()
    assert not any("phase contrast" in label for label in bank.labels)


def test_every_label_has_images(bank):
    assert {each.label for each in bank.training} == set(range(len(bank.labels)))
    assert all(each.label is None for each in bank.held_out if each.name.startswith(("ht29", "widefield")))


def test_patches_are_a_function_of_their_seeds_and_say_how_they_were_degraded(bank, config):
    patches = Patches(bank.training, config)
    first, again, other = (patches.batch([(seed, i) for i in range(8)]) for seed in (0, 0, 1))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
    assert first[0].shape == (8, 16, 16, 1) and first[0].dtype == np.float32
    quiet, loud = (
        Patches(bank.training, config.model_copy(update={"photons": photons, "blur": 0.0})).batch([(0, 0)])
        for photons in ((1e6, 1e6), (10.0, 10.0))
    )
    assert quiet[2][0, 0] == loud[2][0, 0] == -1  # no blur: log2(0.5)
    assert quiet[2][0, 1] < loud[2][0, 1]


def test_images_smaller_than_the_margin_of_the_blur_are_mirrored(bank, config):
    image = next(each for each in bank.training if each.name == "beads 1")
    small = replace(image, clean=replace(image.clean, signal=image.clean.signal[:17, :16]))
    drawn, label, _ = Patches([small], config).of(small, np.random.default_rng(0))
    assert drawn.shape == (16, 16) and bank.labels[label] == "beads"


def test_training_keeps_the_trunk_with_features_of_deviation_1(run, bank, config):
    about = run.about()
    assert (about.system, about.scale, about.finished) == ("features", 1, True)
    assert {"accuracy: nuclei", "distance of features: blur, sigma 2 px"} <= set(about.measures)
    network = features.perceptual("microscopy", str(run.path))
    seen = np.concatenate([network(Patches(bank.training, config).batch([(9, i)])[0]) for i in range(64)])
    assert 0.2 < np.median(seen.std((0, 1, 2))) < 5
    with run.history_file.open() as file:
        assert list(next(csv.DictReader(file))) == ["step", "label", "degradation"]


def test_going_on_from_a_checkpoint_gives_the_same_network(run, tmp_path):
    class Interrupted(Exception):
        pass

    def interrupt(step, total, losses):
        if step == 3:
            raise Interrupted

    again = start.prepare(tmp_path / "again", system="features", preset="microscopy", overrides=TINY)
    with pytest.raises(Interrupted):
        start.go(again, command="", machine="", on_step=interrupt, say=lambda text: None)
    go(again)
    assert again.history_file.read_text() == run.history_file.read_text()
    for a, b in zip(*(keras.models.load_model(each.model_file).get_weights() for each in (run, again)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_in_half_the_bits_keeps_a_network_in_single_precision(tmp_path):
    changes = [*TINY, "precision=mixed_bfloat16", "steps=1"]
    run = go(start.prepare(tmp_path / "run", system="features", preset="microscopy", overrides=changes))
    network = features.perceptual("microscopy", str(run.path))
    assert {weight.dtype for weight in network.weights} == {"float32"} and network.compute_dtype == "float32"


def test_a_run_ships_as_a_folder_whose_card_says_what_it_is(run, tmp_path):
    folder = ship_features(run, tmp_path / "features-test")
    assert {path.name for path in folder.iterdir()} == {"model.keras", "config.yaml", "about.json", "README.md"}
    words = (folder / "README.md").read_text()
    for expected in (
        "relumen train features",
        "SHA-256",
        "| nuclei |",
        "| blur, sigma 2 px |",
        "CC-BY-4.0",
        "not good for",
    ):
        assert expected in words
    assert "CC0-1.0" not in words  # HT29 was held out


def test_a_run_of_another_system_does_not_ship_as_features(tiny_run, tmp_path):
    with pytest.raises(UserError, match="relumen train features"):
        ship_features(RunFolder.open(tiny_run), tmp_path / "features-test")


def test_pixels_see_a_shift_as_strongly_as_a_blur():
    signal = np.zeros((64, 64), np.float32)
    signal[::4] = 1
    judged = sensitivity(pixels, clean(gaussian_filter(signal, 0.5), 0, 1))
    assert judged.grows
    assert judged.shift > judged.blur[1]


@pytest.mark.parametrize("name", ["kc167/01_POS218_F.tif", "ht29/AS_09125_050116030001_D03f00d2.tif"])
def test_the_shipped_network_sees_blur_and_noise_on_images_it_was_not_trained_on(name):
    network = features.perceptual("microscopy")
    image = clean(np.array(read_image(image_path(name)).pixels)[200:328, 200:328], 0, 1)
    seen, by_pixels = (sensitivity(embedding, image) for embedding in (lambda x: np.asarray(network(x)), pixels))
    assert seen.grows
    assert seen.blur[2] / seen.shift > 1.2 * by_pixels.blur[2] / by_pixels.shift


def test_the_shipped_network_is_small_and_knows_no_machine():
    from relumen.shipped import shipped_names, shipped_path

    assert "features-microscopy" in shipped_names()
    folder = shipped_path("features-microscopy")
    assert (folder / "model.keras").stat().st_size < 2e6
    about = RunFolder(folder).about()
    assert about.finished and all(field in about.data for field in ("kc167", "procedural"))
    with pytest.raises(UserError, match="features-microscopy"):
        shipped_path("features-of-nobody")
