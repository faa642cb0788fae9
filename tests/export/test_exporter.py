"""A small real network on a real image, exported once, and every promise of the package checked on the files."""

import errno
import hashlib
import re
import shutil

import numpy as np
import pytest
import yaml

from relumen.errors import CheckFailedError, UserError
from relumen.export import exporter
from relumen.export.description import Citation, PackageDescription, Person, Table, Training
from relumen.export.exporter import export_package
from relumen.export.rdf import validate_rdf
from relumen.images import read_image
from relumen.package import open_package
from relumen.runners import package_runner
from relumen.tiling import TilePlan, predict_tiled

FORMATS = ("tensorflow_saved_model_bundle", "onnx", "keras_v3")
TILE, HALO = 48, 4


def described(**changes):
    ada = Person(name="Ada", github_user="githubuser2", email="ada@example.org")
    values = {
        "name": "Cells x2 (test)",
        "summary": "Doubles the resolution of images of cells.",
        "tile": TILE,
        "pixel_size_um": 0.1,
        "authors": (ada, Person(name="Grace", affiliation="A lab")),
        "maintainers": (ada,),
        "uploader": ada,
        "cite": (Citation(text="A paper", doi="10.1007/978-3-030-11021-5_5"),),
        "tags": ("cells",),
        "git_repo": "https://example.com/code",
        "training": Training(data="Cells", data_link="https://example.com/cells"),
        "validation": (Table(caption="Held-out", columns=("image", "PSNR"), rows=(("a", 30.125),)),),
    }
    return PackageDescription(**(values | changes))


def small_network(seed=1):
    """Two 3 x 3 convolutions before and one after doubling: 3 input pixels of context at the most."""
    import keras

    keras.utils.set_random_seed(seed)
    image = keras.Input((None, None, 1))
    features = keras.layers.Conv2D(6, 3, padding="same", activation="leaky_relu")(image)
    features = keras.layers.Conv2D(6, 3, padding="same", activation="leaky_relu")(features)
    larger = keras.layers.UpSampling2D(2, interpolation="nearest")(features)
    return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same")(larger), name="small")


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def sample(cells):
    return cells[300:500, 300:500, np.newaxis]


@pytest.fixture(scope="module")
def package(network, sample, tmp_path_factory):
    import tensorflow as tf

    lines, rounds = [], []

    def say(line):
        lines.append(line)
        rounds.append(tf.config.experimental.tensor_float_32_execution_enabled())

    folder = tmp_path_factory.mktemp("packages") / "cells"
    assert export_package(network, described(), sample, folder, say=say) == folder
    assert not any(rounds), "tiles and formats are compared in full float32"
    assert not [line for line in lines if "warns" in line], lines
    return folder


@pytest.fixture(scope="module")
def rdf(package):
    return yaml.safe_load((package / "rdf.yaml").read_text())


def normalised(image):
    return (image - image.mean()) / (image.std() + 1e-6)


def test_all_files_are_there_and_nothing_else(package):
    files = {path.name for path in package.iterdir()}
    assert files == {
        "README.md", "cover.png", "example_input.tif", "example_output.tif", "model.keras", "model.onnx", "rdf.yaml",
        "restore.ijm", "sample_input.tif", "sample_output.tif", "saved_model.zip", "test_input.npy", "test_output.npy",
    }  # fmt: skip
    assert [path.name for path in package.parent.iterdir()] == ["cells"]
    assert package.stat().st_mode & 0o777 == 0o755


def test_rdf_is_what_jdll_reads(rdf):
    assert rdf["format_version"] == "0.5.10"
    assert (rdf["documentation"], rdf["covers"]) == ("README.md", ["cover.png"])
    assert "id" not in rdf
    assert rdf["config"]["bioimageio"]["nickname"] == "cells-x2-test"
    assert rdf["config"].get("deepimagej", {"allow_tiling": True}) == {"allow_tiling": True}
    assert rdf["config"]["relumen"] | {"agreement": None, "halo_error": None, "version": None} == {
        "version": None, "scale": 2, "halo_measured": HALO, "halo_error": None, "tolerance": 1e-4,
        "tile_exact": True, "agreement": None, "pixel_size_um": 0.1, "training_data": "https://example.com/cells",
    }  # fmt: skip


def test_axes_give_the_magnification_in_both_readings(rdf):
    (source,), (target,) = rdf["inputs"], rdf["outputs"]
    assert [axis.get("id", axis["type"][0]) for axis in source["axes"]] == list("byxc")
    for letter, before, after in zip("yx", source["axes"][1:3], target["axes"][1:3], strict=True):
        assert (before["size"], before["scale"], after["scale"]) == (TILE, 4.0, 2.0)
        assert after["size"] == {"tensor_id": "input", "axis_id": letter}
        assert after["halo"] == 2 * HALO
        assert "unit" not in before and "unit" not in after
    assert source["axes"][3] == target["axes"][3] == {"type": "channel", "channel_names": ["intensity"]}
    assert source["preprocessing"] == [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"], "eps": 1e-6}}]
    assert "postprocessing" not in target


def test_weights_name_their_versions_as_text(package, rdf):
    bundle, onnx, original = (rdf["weights"][name] for name in FORMATS)
    assert re.fullmatch(r"\d+\.\d+\.\d+", bundle["tensorflow_version"])
    assert f"tensorflow_version: '{bundle['tensorflow_version']}'" in (package / "rdf.yaml").read_text()
    assert onnx["opset_version"] == 15
    assert (bundle["parent"], onnx["parent"], original.get("parent")) == ("keras_v3", "keras_v3", None)
    assert [author["name"] for author in original["authors"]] == ["Ada", "Grace"]
    assert "&id" not in (package / "rdf.yaml").read_text()  # no YAML anchors


def test_people_links_and_tags_are_there(rdf):
    assert rdf["maintainers"][0]["github_user"] == "githubuser2"
    assert rdf["uploader"] == {"email": "ada@example.org", "name": "Ada"}
    assert {"deepimagej", "cells", "super-resolution"} <= set(rdf["tags"])
    assert rdf["cite"] == [{"text": "A paper", "doi": "10.1007/978-3-030-11021-5_5"}]
    assert rdf["license"] == "CC-BY-4.0" and rdf["git_repo"].startswith("https://")


def test_every_checksum_fits(package, rdf):
    tensors = [rdf[key][0][field] for key in ("inputs", "outputs") for field in ("test_tensor", "sample_tensor")]
    for entry in [*rdf["weights"].values(), *rdf["attachments"], *tensors]:
        assert hashlib.sha256((package / entry["source"]).read_bytes()).hexdigest() == entry["sha256"]


@pytest.mark.parametrize("weights_format", FORMATS)
def test_each_format_gives_kerass_pixels_on_the_test_tensor(package, network, weights_format):
    tile = np.load(package / "test_input.npy")
    assert tile.shape == (1, TILE, TILE, 1) and tile.dtype == np.float32
    reference = np.asarray(network(normalised(tile), training=False))
    with open_package(package) as opened:
        run = package_runner(opened, weights_format)
        answer = run(normalised(tile))
        odd = run(normalised(tile)[:, :31, :45])
    assert np.abs(answer - reference).max() <= 1e-4 * reference.std()
    assert np.abs(np.load(package / "test_output.npy") - reference).max() <= 1e-5 * reference.std()
    assert odd.shape == (1, 62, 90, 1)


@pytest.mark.parametrize("weights_format", FORMATS)
def test_the_zoos_own_test_passes(package, weights_format, tmp_path, monkeypatch):
    from bioimageio.core import test_description

    monkeypatch.chdir(tmp_path)  # it unpacks the SavedModel where it stands
    # Nothing is looked up on the internet: bioimageio.spec knows example.com and githubuser2 as stand-ins.
    copy = shutil.copytree(package, tmp_path / "copy")
    summary = test_description(copy / "rdf.yaml", weight_format=weights_format)
    assert summary.status == "passed", summary.format()


def test_the_samples_are_the_test_tensors_as_pictures(package, sample):
    image, answer = read_image(package / "sample_input.tif"), read_image(package / "sample_output.tif")
    assert image.pixels.dtype == sample.dtype and answer.pixels.dtype == np.float32
    assert (image.pixel_size.x, answer.pixel_size.x) == pytest.approx((0.1, 0.05))
    np.testing.assert_array_equal(np.load(package / "test_input.npy")[0, ..., 0], image.pixels)
    np.testing.assert_array_equal(np.load(package / "test_output.npy")[0, ..., 0], answer.pixels)


def test_the_example_opens_as_a_larger_picture(package, sample):
    image, answer = read_image(package / "example_input.tif"), read_image(package / "example_output.tif")
    assert image.pixels.dtype == sample.dtype and image.pixels.shape == (200, 200)
    assert answer.pixels.dtype == np.float32 and answer.pixels.shape == (400, 400)
    assert (image.pixel_size.x, answer.pixel_size.x) == pytest.approx((0.1, 0.05))


def test_a_small_sample_is_shown_as_it_is_and_mirrored_for_the_test_alone(network, sample, tmp_path):
    folder = export_package(network, described(), sample[:37], tmp_path / "p")
    shown = read_image(folder / "example_input.tif").pixels
    # 36 rows: Fiji would shift the answer to 37, which is smaller than a tile and odd.
    np.testing.assert_array_equal(shown, sample[:36, :, 0])
    (test,) = np.load(folder / "test_input.npy")
    assert test.shape == (TILE, TILE, 1)
    np.testing.assert_array_equal(test[37:], test[36:25:-1])


def test_the_example_is_small_where_the_magnification_is_large(package, monkeypatch, network, sample, tmp_path):
    monkeypatch.setattr(exporter, "EXAMPLE_OUTPUT", 200)
    folder = export_package(network, described(), sample, tmp_path / "p")
    assert read_image(folder / "example_input.tif").pixels.shape == (100, 100)
    assert read_image(folder / "example_output.tif").pixels.shape == (200, 200)


def test_eight_and_sixteen_bit_copies_give_the_same_picture_in_tiles(package, cells):
    image = cells[520:650, 300:470]
    answers = []
    with open_package(package) as opened:
        run = package_runner(opened, "onnx")
        for copy in (image, image.astype(np.uint16) * 257):
            pixels = normalised(copy.astype(np.float64)).astype(np.float32)[..., np.newaxis]
            plan = TilePlan(image.shape, opened.tile, opened.halo, opened.scale)
            answers.append(predict_tiled(pixels, run, plan))
    assert np.abs(answers[0] - answers[1]).max() <= 1e-5 * answers[0].std()


def test_tiles_equal_the_whole_image_within_the_tolerance(package, cells):
    pixels = normalised(cells[520:650, 300:470].astype(np.float32))[..., np.newaxis]
    with open_package(package) as opened:
        run = package_runner(opened, "tensorflow_saved_model_bundle")
        tiled = predict_tiled(pixels, run, TilePlan(pixels.shape[:2], opened.tile, opened.halo, opened.scale))
    whole = run(pixels[np.newaxis])[0]
    inside = slice(2 * HALO, -2 * HALO)  # the tiles see a mirrored border, the whole image zeros
    assert np.abs(tiled - whole)[inside, inside].max() <= 1e-4 * whole.std()


def test_a_given_halo_is_used_when_it_is_enough(network, sample, tmp_path):
    folder = export_package(network, described(halo=6), sample, tmp_path / "p")
    with open_package(folder) as opened:
        assert opened.halo == 6
    with pytest.raises(CheckFailedError, match="With a halo of 1 pixels a tile differs"):
        export_package(network, described(halo=1), sample, tmp_path / "q")
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_network_that_looks_at_the_whole_image_cannot_be_exported(sample, tmp_path):
    import keras

    image = keras.Input((None, None, 1))
    centred = keras.layers.UpSampling2D(2)(image - keras.ops.mean(image, (1, 2), keepdims=True))
    with pytest.raises(CheckFailedError, match="No halo makes a tile"):
        export_package(keras.Model(image, centred), described(), sample, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_without_normalisation_scale_or_people(sample, tmp_path):
    import keras

    image = keras.Input((None, None, 1))
    model = keras.Model(image, keras.layers.DepthwiseConv2D(1, depthwise_initializer="ones")(image))
    plain = described(normalise="none", scale=1, maintainers=(), uploader=None, pixel_size_um=None, validation=())
    folder = export_package(model, plain, sample, tmp_path / "p")
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    assert "preprocessing" not in rdf["inputs"][0]
    assert "halo" not in rdf["outputs"][0]["axes"][1]
    assert not {"maintainers", "uploader"} & rdf.keys()
    np.testing.assert_array_equal(np.load(folder / "test_output.npy"), np.load(folder / "test_input.npy"))


def test_a_package_is_replaced_only_when_told(network, package, sample, tmp_path):
    folder = shutil.copytree(package, tmp_path / "p")
    (folder / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="There is something at"):
        export_package(network, described(), sample, folder)
    assert (folder / "mine.txt").exists()
    export_package(network, described(name="Newer name"), sample, folder, overwrite=True)
    assert not (folder / "mine.txt").exists()
    assert "Newer name" in (folder / "rdf.yaml").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_what_is_no_package_is_never_replaced(network, sample, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("x")
    with pytest.raises(UserError, match="is no package"):
        export_package(network, described(), sample, tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").exists()


@pytest.mark.parametrize("step", ["save_onnx", "write_cover", "write_rdf", "validate_rdf"])
def test_nothing_is_left_when_the_disk_is_full(network, package, sample, tmp_path, monkeypatch, step):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = shutil.copytree(package, tmp_path / "p")
    before = (folder / "rdf.yaml").read_bytes()
    monkeypatch.setattr(exporter, step, full)
    with pytest.raises(CheckFailedError, match="No space left on device.*Free some space"):
        export_package(network, described(), sample, folder, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert (folder / "rdf.yaml").read_bytes() == before


def test_a_place_that_cannot_be_written_to_is_told(network, sample, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="can't be written to"):
        export_package(network, described(), sample, tmp_path / "file" / "p")


def test_weights_that_answer_differently_are_refused(network, sample, tmp_path, monkeypatch):
    other = exporter.freeze(small_network(seed=2))
    save = exporter.save_onnx
    monkeypatch.setattr(exporter, "save_onnx", lambda frozen, path: save(other, path))
    with pytest.raises(CheckFailedError, match="onnx differs from Keras"):
        export_package(network, described(), sample, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image[..., 0], "must be an image"),
        (lambda image: image[:15], "at least 16 x 16"),
        (lambda image: np.full_like(image, 7), "is 7 everywhere"),
        (lambda image: np.where(image > 50, np.nan, image), "no finite numbers"),
    ],
)
def test_samples_that_test_nothing_are_refused(network, sample, tmp_path, change, words):
    with pytest.raises(UserError, match=words):
        export_package(network, described(), change(sample), tmp_path / "p")


def test_a_wrong_scale_is_told(network, sample, tmp_path):
    with pytest.raises(UserError, match=r"with the shape \(1, 96, 96, 1\); the description's .* \(1, 192, 192, 1\)"):
        export_package(network, described(scale=4), sample, tmp_path / "p")


def test_a_field_that_the_format_refuses_is_named(network, sample, tmp_path):
    mistyped = Person(name="Ada", orcid="0000-0001-2345-6780")  # its check digit is another
    with pytest.raises(UserError, match="orcid"):
        export_package(network, described(authors=(mistyped,)), sample, tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_a_test_tensor_of_another_size_is_found(package, tmp_path):
    folder = shutil.copytree(package, tmp_path / "p")
    wrong = np.load(folder / "test_input.npy")[:, :-1]
    np.save(folder / "test_input.npy", wrong)
    text = (folder / "rdf.yaml").read_text()
    digest = yaml.safe_load(text)["inputs"][0]["test_tensor"]["sha256"]
    found = hashlib.sha256((folder / "test_input.npy").read_bytes()).hexdigest()
    (folder / "rdf.yaml").write_text(text.replace(digest, found))
    with pytest.raises(CheckFailedError, match="test tensors don't fit"):
        validate_rdf(folder)
