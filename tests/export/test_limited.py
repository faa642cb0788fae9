"""Packages of cGAN, whole in tiles, of one size and of multiples, and of each defect of CIN-GAN."""

import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from relumen.errors import UserError
from relumen.export import weights
from relumen.export.defects import network_of
from relumen.export.from_run import Credits, describe, export_run, packages_of
from relumen.export.macro import macro_text
from relumen.export.tiles import tile_of
from relumen.export.verify import verify_package
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize, read_image
from relumen.models.limited import generator
from relumen.package import open_package, read_package
from relumen.restore import open_model, restore_file, restore_plane
from relumen.run import RunFolder
from relumen.runners import package_runner, runner

DEFECTS = ("low-resolution", "missing-planes", "noise")


def untrained(run, folder, about, **network):
    """A copy of a run with another network."""
    copy = RunFolder(shutil.copytree(run, folder))
    keras.utils.set_random_seed(0)
    generator(8, 1, dropout=0, activation="linear", **network).save(copy.model_file)
    copy.write_about(copy.about().model_copy(update=about))
    return copy.path


@pytest.fixture(scope="module")
def strided_run(tmp_path_factory, tiny_cgan_run):
    folder = tmp_path_factory.mktemp("runs") / "strided"
    return untrained(tiny_cgan_run, folder, {"multiple": 4, "halo": 24}, downsampling=2, norm="pixel")


@pytest.fixture(scope="module")
def strided_package(tmp_path_factory, strided_run):
    return export_run(strided_run, tmp_path_factory.mktemp("packages") / "strided")


@pytest.fixture
def picture(cells):
    """90 x 103 pixels: no multiples of 4."""
    return cells[300:390, 300:403, np.newaxis].astype(np.float32)


def ours(package):
    return yaml.safe_load((package / "rdf.yaml").read_text())["config"]["relumen"]


def test_a_restorer_without_statistics_is_whole_in_tiles(cgan_package, tiny_cgan_run, picture, tmp_path):
    about = ours(cgan_package)
    assert about["tile_exact"] and "multiple" not in about and about["scale"] == 1
    write_image(tmp_path / "in.tif", Image(picture[..., 0].astype(np.uint16), "YX", PixelSize(0.2, 0.2)))
    results = []
    for source, tile in ((tiny_cgan_run, 512), (cgan_package, None), (cgan_package, 48)):
        with open_model(source, tile) as model:
            restore_file(tmp_path / "in.tif", model, tmp_path / "out.tif", say=lambda line: None)
        results.append(read_image(tmp_path / "out.tif"))
        assert results[-1].pixel_size == PixelSize(0.2, 0.2)  # as many pixels as before
    for other in results[1:]:
        np.testing.assert_allclose(other.pixels, results[0].pixels, atol=1e-4 * results[0].pixels.std())


def test_the_card_of_a_restorer(cgan_package):
    card = (cgan_package / "README.md").read_text()
    for words in (
        "Restoration of fluorescence micrographs: low-resolution, missing-planes, noise (cGAN).",
        "just as many pixels along y and x",
        "| noise | 1 |",
        "the adversarial loss rewards what looks real",
        "not seen. Measure intensities",
        "Razdaibiedina et al., Multi-defect",
    ):
        assert words in card
    assert "synthetic" not in card and "bicubic" not in card and "Trained without an adversarial loss" not in card


def test_a_network_that_halves_its_input_declares_what_the_begin_of_a_tile_changes(strided_package):
    about, card = ours(strided_package), (strided_package / "README.md").read_text()
    assert (about["multiple"], about["tile_exact"], about["halo_measured"] % 4) == (4, False, 0)
    assert "depends on **where a tile begins**" in card and f"declared limit {about['tile_tolerance']:g}" in card


@pytest.mark.parametrize(("factor", "status"), [(1, "passed"), (0.01, "failed")])
def test_what_the_begin_of_a_tile_changes_is_checked(strided_package, tmp_path, factor, status):
    folder = shutil.copytree(strided_package, tmp_path / "p")
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    rdf["weights"] = {"onnx": rdf["weights"]["onnx"]}  # one is enough here
    rdf["config"]["relumen"]["tile_tolerance"] *= factor
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))
    checks = {check.name.split(" (")[0]: check for check in verify_package(folder).checks}
    # Where tiles begin at multiples they are whole: without that the declaration would hide a wrong halo.
    assert checks["tiled against whole"].status == "passed" and checks["tiled against whole"].limit == 1e-4
    begins = checks["where tiles begin"]
    assert begins.status == status and begins.limit == factor * ours(strided_package)["tile_tolerance"]
    assert begins.value > 1e-3 and f"changes the answer by up to {begins.limit:g}" in begins.message


def test_a_network_that_halves_its_input_restores_alike_with_any_tile(strided_package, strided_run, picture):
    pictures = []
    for source, tile, halo in ((strided_run, 512, None), (strided_package, None, None), (strided_package, 65, 25)):
        with open_model(source, tile, halo=halo) as model:
            assert (model.multiple, model.tile[0] % 4, model.halo % 4) == (4, 0, 0)
            pictures.append(restore_plane(picture, model))
    assert pictures[0].shape == picture.shape
    for other in pictures[1:]:
        np.testing.assert_allclose(other, pictures[0], atol=1e-4 * pictures[0].std())


def test_a_multiple_that_does_not_fit_the_tile_is_refused(strided_package, tmp_path):
    folder = shutil.copytree(strided_package, tmp_path / "p")
    for wrong in (5, 0, "four"):
        rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
        rdf["config"]["relumen"]["multiple"] = wrong
        (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
        with pytest.raises(UserError, match=f"relumen.multiple should be .*Received: {wrong!r}"):
            read_package(folder)


def test_a_network_of_instance_statistics_takes_one_size(noise_package, picture):
    about = ours(noise_package)
    assert (about["fixed_size"], about["tile_exact"], about["halo_measured"]) == (True, False, 0)
    assert max(about["agreement"].values()) < 1e-5
    with open_model(noise_package) as model:
        assert (model.tile, model.any_size) == ((32, 32), False)
        assert model.seams_warning(*picture.shape[:2])
        assert restore_plane(picture, model).shape == picture.shape


def test_statistics_of_each_feature_keep_their_digits_in_every_engine(tmp_path):
    """Added up one after the other, as Keras's layer has it, they are 1.5e-4 off here."""
    image = (np.random.default_rng(0).normal(size=(1, 256, 256, 2)) * [1, 3] + 30).astype(np.float32)
    features = keras.Input((None, None, 2))
    network = keras.Model(features, keras.layers.GroupNormalization(groups=-1, epsilon=1e-5)(features))
    frozen = weights.freeze(network, 256)
    weights.save_onnx(frozen, tmp_path / "model.onnx")
    answer = runner("onnx", tmp_path / "model.onnx", input_id="input", output_id="output")(image)
    centred = image - image.mean((1, 2), np.float64, keepdims=True)
    exact = centred / np.sqrt(np.square(centred).mean((1, 2), keepdims=True) + 1e-5)
    for found in (answer, np.asarray(frozen(image)["output"])):
        assert weights.difference(found, exact, "the network") < 2e-5


def test_each_defect_is_a_network_of_its_own_that_answers_as_that_of_two_inputs(tiny_cin_gan_run, noise_package, cells):
    run = RunFolder(tiny_cin_gan_run)
    image = cells[300:332, 300:332].astype(np.float32)
    tile = ((image - image.mean()) / image.std())[np.newaxis, ..., np.newaxis]
    both = run.network()
    with open_package(noise_package) as opened:
        packaged = package_runner(opened)(tile)
    expected = [
        np.asarray(both([tile, one_hot[np.newaxis]], training=False)) for one_hot in np.eye(3, dtype=np.float32)
    ]
    for defect, answer in zip(DEFECTS, expected, strict=True):
        single = np.asarray(weights.freeze(network_of(run, defect), 32)(tile)["output"])
        np.testing.assert_allclose(single, answer, atol=1e-5 * answer.std())
    np.testing.assert_allclose(packaged, expected[DEFECTS.index("noise")], atol=1e-4 * expected[2].std())
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(expected[a] - expected[b]).max() > 1e-3 * expected[a].std()


def test_random_numbers_become_part_of_the_package(drawing_cin_gan_run, cells, tmp_path):
    run = RunFolder(drawing_cin_gan_run)
    about = run.about()
    package = export_run(run.path, tmp_path / "noise", defect="noise")
    side = tile_of(about)
    drawn = np.random.default_rng(0).normal(size=(1, side, side, 1)).astype(np.float32)
    image = cells[300 : 300 + side, 300 : 300 + side].astype(np.float32)
    tile = ((image - image.mean()) / image.std())[np.newaxis, ..., np.newaxis]
    expected = np.asarray(run.network()([tile, np.eye(3, dtype=np.float32)[2:], drawn], training=False))
    for form, file in (("onnx", "model.onnx"), ("tensorflow_saved_model_bundle", "saved_model.zip")):
        answer = runner(form, package / file, input_id="input", output_id="output")
        np.testing.assert_allclose(answer(tile), expected, atol=1e-5 * expected.std())
        assert np.asarray(answer(np.zeros_like(tile))).std() > 1e-3  # grain where the image has none
    ours = yaml.safe_load((package / "rdf.yaml").read_text())["config"]["relumen"]
    assert (ours["fixed_size"], ours["tile_exact"], ours["halo_measured"]) == (True, False, about.halo)
    with open_model(package) as model:
        assert (model.halo, model.tile, model.any_size) == (about.halo, (side, side), False)
        assert "don't fit each other" in model.seams_warning(2 * side, side)
    card = (package / "README.md").read_text(encoding="utf-8")
    assert f"every tile of {side} pixels has the same" in card
    assert f"with a halo of {about.halo}. Random numbers are part of the network" in card
    declared = {check.name.split(" (")[0]: check for check in verify_package(package).checks}["tiles of one place"]
    assert declared.status == "passed" and declared.value > 0


def test_without_a_defect_named_each_becomes_a_package(tiny_cin_gan_run, tmp_path):
    folders = packages_of(tiny_cin_gan_run, tmp_path / "made", None, overwrite=False)
    assert folders == {name: tmp_path / f"made-{name}" for name in DEFECTS}
    assert packages_of(tiny_cin_gan_run, tmp_path / "one", "noise", overwrite=False) == {"noise": tmp_path / "one"}
    assert packages_of(tiny_cin_gan_run, None, "noise", overwrite=False) == {"noise": Path("packages/tiny-noise")}


def test_the_package_of_a_defect_says_that_it_makes_what_is_synthetic(noise_package, tiny_cin_gan_run):
    rdf = yaml.safe_load((noise_package / "rdf.yaml").read_text())
    assert rdf["description"] == (
        "Defect simulator: makes noise of clean fluorescence micrographs (CIN-GAN). What it makes is synthetic."
    )
    assert rdf["name"] == "relumen tiny noise" and rdf["config"]["relumen"]["defect"] == "noise"
    assert rdf["outputs"][0]["description"].startswith("A synthetic image, with noise")
    assert {"defect-simulation", "cin-gan"} <= set(rdf["tags"]) and "restoration" not in rdf["tags"]
    assert [work["text"].split(",")[0] for work in rdf["cite"]] == ["Razdaibiedina et al.", "Dumoulin et al."]
    card = (noise_package / "README.md").read_text()
    about = RunFolder(tiny_cin_gan_run).about()
    for words in (
        "Mark its results as synthetic",
        "A clean image beside the output",
        "- Anything quantitative",
        "2 of noise",
        "`relumen train cin-gan`",
        f"| real images with the defect | {about.measures['divergence, real noise']:.2f} |",
    ):
        assert words in card
    made = re.search(r"\| what it makes \| ([\d.]+) \|", card)
    assert made and 0 < float(made[1]) < 60
    macro = (noise_package / "simulate.ijm").read_text()
    assert "Makes noise (synthetic) of a clean image" in macro and '"_synthetic-noise"' in macro
    assert "estore" not in macro.replace("restorePlane", "")


def test_the_package_of_a_defect_runs_as_any_other(noise_package, tiny_cin_gan_run, picture):
    with open_model(noise_package) as model:
        assert restore_plane(picture, model).shape == picture.shape
    with pytest.raises(UserError, match="makes defects .*data synthesise"), open_model(tiny_cin_gan_run):
        pass


def test_defects_are_chosen_of_runs_that_make_them(tiny_cin_gan_run, tiny_cgan_run, tmp_path):
    with pytest.raises(UserError, match="makes no defects to choose from. Leave out --defect"):
        packages_of(tiny_cgan_run, None, "noise", overwrite=False)
    with pytest.raises(UserError, match="makes the defects low-resolution, missing-planes, noise. Received: blur"):
        packages_of(tiny_cin_gan_run, None, "blur", overwrite=False)
    with pytest.raises(UserError, match="makes several defects, and a package makes one"):
        export_run(tiny_cin_gan_run, tmp_path / "p")
    (tmp_path / "made-noise").mkdir()
    with pytest.raises(UserError, match="something at .*made-noise"):  # before any is made
        packages_of(tiny_cin_gan_run, tmp_path / "made", None, overwrite=False)


@pytest.mark.parametrize(
    ("change", "tag", "paper", "texture"),
    [
        ({"losses": {"adversarial": 0.0}}, "cgan", "Razdaibiedina", False),
        ({"generator": {"network": "unet"}, "losses": {"adversarial": 0.0}}, "care", "Weigert", False),
        (
            {"losses": {"adversarial": 0.1, "form": "wasserstein"}, "discriminator": {"conditional": False}},
            "deblurgan",
            "Kupyn",
            True,
        ),
        ({"losses": {"adversarial": 1.0}, "system": "cyclegan"}, "cyclegan", "Zhu", True),
    ],
)
def test_a_baseline_has_its_own_name_and_paper(tiny_cgan_run, change, tag, paper, texture):
    run = RunFolder(tiny_cgan_run)
    described = describe(run.about(), run.config() | change, "a model", Credits())
    assert tag in described.tags and described.cite[0].text.startswith(f"{paper} et al.")
    assert texture == any("invents texture" in limit for limit in described.limitations)
    assert texture != ("Trained without an adversarial loss." in described.training.details)


def test_a_name_of_a_folder_becomes_one_of_a_model(tiny_cin_gan_run):
    run = RunFolder(tiny_cin_gan_run)
    described = describe(run.about(), run.config(), "a model", Credits(), defect='low "z"')
    assert described.defect == "low -z-" and 'low "z"' not in macro_text(described)
