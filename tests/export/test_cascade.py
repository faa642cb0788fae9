"""The cascade as a package: what it says, its tiles, and graphs whose optics and interpolation every engine knows."""

import json
import zipfile

import keras
import numpy as np
import pytest
import yaml
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from relumen.export import weights
from relumen.export.from_run import Credits, describe
from relumen.export.tiles import fiji_tile
from relumen.export.verify import verify_package
from relumen.images import read_image
from relumen.models.cascade import generator, last_level
from relumen.models.optics import Optics
from relumen.package import open_package
from relumen.run import RunFolder
from relumen.runners import runner

FORMATS = {"tensorflow_saved_model_bundle": "zip", "onnx": "onnx", "keras_v3": "keras"}
NETWORKS = {
    "pixel": {"keep_image": True, "skip": True},
    "physical": {"optics": Optics(mode="physical", pixel_um=1.0)},
    "paper": {"norm": "paper"},
}


def network_of(kind):
    keras.utils.set_random_seed(4)
    return last_level(generator(8, widths=(16, 16, 16, 16), stem=1, convs=1, **NETWORKS[kind]))


def write(network, folder, size=None):
    frozen = weights.freeze(network, size)
    weights.save_saved_model(frozen, folder / "tensorflow_saved_model_bundle.zip")
    weights.save_onnx(frozen, folder / "onnx.onnx")
    weights.save_keras(network, folder / "keras_v3.keras")
    names = {"input_id": "input", "output_id": "output"}
    return {form: runner(form, folder / f"{form}.{ending}", **names) for form, ending in FORMATS.items()}


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_format_answers_as_keras_does_at_any_size(kind, tmp_path):
    network = network_of(kind)
    runners = write(network, tmp_path)
    for shape in ((1, 16, 16), (2, 13, 18), (1, 9, 31)):
        image = np.random.default_rng(0).normal(size=(*shape, 1)).astype(np.float32)
        expected = np.asarray(network(image, training=False))
        for form, run in runners.items():
            assert weights.difference(run(image), expected, form) < 1e-4


def test_the_keras_file_opens_without_relumen(tmp_path):
    network = network_of("pixel")
    weights.save_keras(network, tmp_path / "model.keras")
    assert "relumen" not in json.dumps(keras.models.load_model(tmp_path / "model.keras").get_config())
    assert weights.custom_layers(network) == []


def test_a_graph_of_one_size_says_so_and_onnx_runtime_takes_no_other(tmp_path):
    network = network_of("paper")
    runners = write(network, tmp_path, size=16)
    image = np.random.default_rng(0).normal(size=(2, 16, 16, 1)).astype(np.float32)
    expected = np.asarray(network(image, training=False))
    for form in ("tensorflow_saved_model_bundle", "onnx"):
        assert weights.difference(runners[form](image), expected, form) < 1e-4

    with pytest.raises(Exception, match="invalid dimensions"):  # ONNX Runtime's own class is private
        runners["onnx"](image[:, :12])
    with zipfile.ZipFile(tmp_path / "tensorflow_saved_model_bundle.zip") as zipped:
        graph = SavedModel.FromString(zipped.read("saved_model.pb")).meta_graphs[0]
    taken = graph.signature_def["serving_default"].inputs["input"]
    assert [d.size for d in taken.tensor_shape.dim] == [-1, 16, 16, 1]


@pytest.mark.parametrize(("scale", "halo", "tile"), [(2, 32, 128), (4, 12, 96), (8, 8, 64), (8, None, 64), (8, 20, 80)])
def test_tiles_fit_the_magnification_and_the_halo(scale, halo, tile):
    assert fiji_tile(scale, halo) == tile


def described(run, **losses):
    config = run.config()
    network = losses.pop("network", "cascade")
    generator = config["generator"] | {"network": network}
    return describe(run.about(), config | {"generator": generator, "losses": losses}, "a cascade", Credits())


def test_the_card_says_what_the_cascade_is_for_and_where_it_fails(tiny_cascade_run):
    run = RunFolder(tiny_cascade_run)
    content, adversarial = described(run, adversarial=0, alpha=1), described(run, adversarial=1, alpha=1)
    assert content.summary == "8x super-resolution of phase contrast images (cascaded refinement GAN)."
    assert {"cascade", "phase-contrast-microscopy", "super-resolution"} <= set(content.all_tags)
    assert not {"esrgan", "denoising"} & set(content.all_tags)
    assert content.cite[0].text.startswith("Han and Yin, A Cascaded") and content.cite[0].doi
    limits = " ".join(content.limitations)
    for words in ("not seen", "brightfield", "Images at the training's output resolution are not inputs", "8x binning"):
        assert words in limits
    assert "invents texture" not in limits and "invents texture" in " ".join(adversarial.limitations)
    assert "Trained without an adversarial loss." in content.training.details
    assert "Trained without an adversarial loss." not in adversarial.training.details


def test_the_baseline_is_not_called_a_cascade(tiny_cascade_run):
    baseline = described(RunFolder(tiny_cascade_run), network="lapsrn")
    assert "LapSRN" in baseline.summary and "cascade" not in baseline.all_tags
    assert baseline.cite[0].text.startswith("Lai et al.")


def test_the_package_of_the_cascade(cascade_package):
    with open_package(cascade_package) as package:
        assert (package.tile, package.scale, package.fixed_size) == ((64, 64), 8, False)
    assert sum(path.stat().st_size for path in cascade_package.iterdir()) < 15e6
    sample, answer = (read_image(cascade_package / f"sample_{which}.tif").pixels for which in ("input", "output"))
    assert answer.shape == tuple(8 * n for n in sample.shape)


def test_a_package_of_one_size_declares_it_and_is_checked_on_that(fixed_package):
    rdf = yaml.safe_load((fixed_package / "rdf.yaml").read_text())
    ours = rdf["config"]["relumen"]
    assert (ours["fixed_size"], ours["tile_exact"], ours["halo_measured"]) == (True, False, 0)
    assert all("halo" not in axis for axis in rdf["outputs"][0]["axes"])
    assert "**seams show between them**" in (fixed_package / "README.md").read_text()
    report = verify_package(fixed_package)
    assert [check for check in report.checks if check.status != "passed"] == []
    assert not any("whole" in check.name for check in report.checks)
    (tiles,) = [check for check in report.checks if check.name.startswith("tiles of one place")]
    assert 1e-4 < tiles.value <= tiles.limit == ours["tile_tolerance"]
    assert f"differ by up to {ours['tile_tolerance']:g}" in tiles.message
