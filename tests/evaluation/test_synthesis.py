"""Defects that CIN-GAN makes of clean images, as a data folder."""

import json
import shutil

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from relumen.errors import UserError
from relumen.evaluation.synthesis import makers, synthesise
from relumen.run import RunFolder
from relumen.training.cgan import RestorerData
from relumen.training.config import load_config

NAMES = ("low-resolution", "missing-planes", "noise")


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_cin_gan_run, defects_folder):
    """What the tiny run makes of the clean images of its own data."""
    folder = tmp_path_factory.mktemp("made") / "defects"
    # Instance normalisation takes 32 x 32: nine squares cover an image of 96 x 96, of which two are not held out.
    assert synthesise([tiny_cin_gan_run], defects_folder, folder) == dict.fromkeys(NAMES, 18)
    return folder


def test_pairs_are_what_the_network_makes_of_the_clean_image(made, tiny_cin_gan_run, defects_folder):
    run = RunFolder(tiny_cin_gan_run)
    side = run.about().tile
    network = run.network()
    for index, name in enumerate(NAMES):
        low, high = (tifffile.imread(made / name / kind / "a.tif-96x96.tif") for kind in ("low", "high"))
        clean = tifffile.imread(defects_folder / name / "high" / "a.tif").astype(np.float32)
        squares = [clean[y : y + side, x : x + side] for y in (0, 32, 64) for x in (0, 32, 64)]
        np.testing.assert_array_equal(high, np.stack(squares))
        mean, deviation = clean.mean(), clean.std()
        one_hot = np.eye(3, dtype=np.float32)[[index]]
        answer = np.asarray(network([((squares[4] - mean) / deviation)[np.newaxis, ..., np.newaxis], one_hot]))
        np.testing.assert_allclose(low[4], answer[0, ..., 0] * deviation + mean, rtol=1e-3, atol=1e-2 * deviation)


def test_the_defects_differ_and_the_manifest_says_what_made_them(made, tiny_cin_gan_run):
    first, second, third = (tifffile.imread(made / name / "low" / "a.tif-96x96.tif") for name in NAMES)
    assert np.abs(first - second).max() > 0
    assert np.abs(second - third).max() > 0
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["runs"] == [str(tiny_cin_gan_run)]
    assert manifest["defects"]["noise"] == {"run": str(tiny_cin_gan_run), "pairs": 18}
    assert "no microscope's" in manifest["note"]


def test_figures_6_and_7_stand_beside_the_folder_not_among_its_images(made):
    drawn = sorted(path.name for path in made.parent.glob("*.png"))
    assert drawn == ["defects-figure-6.png", "defects-figure-7.png"]
    assert all(iio.imread(made.parent / name)[..., :3].std() > 10 for name in drawn)
    assert {path.name for path in made.iterdir()} == {*NAMES, "manifest.json"}


def test_a_network_that_draws_gives_each_image_other_grain(drawing_cin_gan_run):
    noise = makers([drawing_cin_gan_run])["noise"]
    flat = np.zeros((32, 32), np.float32)
    flat[16, 16] = 1
    first, second, third = noise.made([flat, flat, flat], flat)
    differences = (first - second).ravel(), (second - third).ravel()
    assert np.corrcoef(*differences)[0, 1] == pytest.approx(-0.5, abs=0.15)  # of three that have nothing in common
    again = makers([drawing_cin_gan_run])["noise"].made([flat], flat)[0]
    np.testing.assert_allclose(again, first, atol=1e-5)  # the numbers are those of a seed


def test_a_restorer_takes_them(made, defects_folder):
    settings = {"pairs": 1, "synthetic": {"folder": str(made), "share": 0.5}, "data.patch": 32}
    config = load_config("cgan", "compact", **{"data.folder": str(defects_folder), **settings})
    data = RestorerData(config)
    assert "54 whose defects CIN-GAN made" in data.describe()
    assert data.batches(0)[0].shape == (8, 32, 32, 1)


def test_held_out_images_are_not_used_and_clean_ones_of_a_folder_are(tiny_cin_gan_run, defects_folder, tmp_path):
    good = shutil.copytree(defects_folder / "noise" / "high", tmp_path / "good")
    counts = synthesise([tiny_cin_gan_run], good, tmp_path / "made")
    assert counts == dict.fromkeys(NAMES, 18)
    assert {path.name for path in (tmp_path / "made").rglob("high/*.tif")} == {"a.tif-96x96.tif", "b.tif-96x96.tif"}


def test_of_two_runs_the_last_one_makes_a_defect(tiny_cin_gan_run, tmp_path):
    copy = shutil.copytree(tiny_cin_gan_run, tmp_path / "copy")
    assert {maker.run for maker in makers([tiny_cin_gan_run, copy]).values()} == {copy}


def test_wrong_runs_and_folders_are_refused(tiny_cin_gan_run, tiny_cgan_run, defects_folder, tmp_path):
    with pytest.raises(UserError, match="is a run of cgan. Defects are made by runs of cin-gan"):
        synthesise([tiny_cgan_run], defects_folder, tmp_path / "made")
    with pytest.raises(UserError, match="no folder of clean images"):
        synthesise([tiny_cin_gan_run], tmp_path / "nowhere", tmp_path / "made")
    with pytest.raises(UserError, match="holds something already"):
        synthesise([tiny_cin_gan_run], defects_folder, defects_folder)
    one = tmp_path / "one"
    shutil.copytree(defects_folder / "noise", one / "noise")
    shutil.copytree(defects_folder / "noise", one / "grain")
    with pytest.raises(UserError, match="no clean images for low-resolution: it has grain, noise"):
        synthesise([tiny_cin_gan_run], one, tmp_path / "made")
    small = tmp_path / "small"
    small.mkdir()
    for name in "ab":
        tifffile.imwrite(small / f"{name}.tif", np.arange(400, dtype=np.uint16).reshape(20, 20))
    with pytest.raises(UserError, match="measures 20 pixels on one side, and the network takes 32 x 32"):
        synthesise([tiny_cin_gan_run], small, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_every_clean_image_has_a_file_of_its_own(tiny_cin_gan_run, cells, tmp_path):
    """Also the patches of a .npz, and images that have their name in common but for the suffix."""
    patches = np.stack([cells[y : y + 32, 300:332] for y in (300, 340, 380, 420)])[:, np.newaxis].astype(np.float32)
    np.savez(tmp_path / "data_label.npz", X=patches, Y=patches, axes="SCYX")
    counts = synthesise([tiny_cin_gan_run], tmp_path / "data_label.npz", tmp_path / "made")
    assert counts == dict.fromkeys(NAMES, 3)  # the fourth is held out
    for name in NAMES:
        files = sorted((tmp_path / "made" / name / "high").iterdir())
        assert [file.name for file in files] == [f"data_label.npz {i}-32x32.tif" for i in range(3)]
        np.testing.assert_array_equal([tifffile.imread(file).squeeze() for file in files], patches[:3, 0])
    good = tmp_path / "good"
    good.mkdir()
    iio.imwrite(good / "a.png", cells[300:332, 300:332])
    tifffile.imwrite(good / "a.tif", cells[400:432, 300:332])
    synthesise([tiny_cin_gan_run], good, tmp_path / "others")
    high = tmp_path / "others" / "noise" / "high"
    assert {path.name for path in high.iterdir()} == {"a.png-32x32.tif", "a.tif-32x32.tif"}
