"""Data of several defects: what is found in a folder, which images are chosen, and what is refused."""

import shutil

import numpy as np
import pytest
import tifffile

from relumen.errors import UserError
from relumen.training.cgan import RestorerData
from relumen.training.cin_gan import UnpairedData
from relumen.training.config import load_config
from relumen.training.cyclegan import TwoDomains
from relumen.training.defects import defect_folders, load_clean, load_defects, pairs_of
from relumen.training.folders import find_contents
from relumen.training.settings import DataConfig

NAMES = ["low-resolution", "missing-planes", "noise"]


@pytest.fixture
def folder(defects_folder, tmp_path):
    """A copy of the pairs of three defects, to be changed."""
    return shutil.copytree(defects_folder, tmp_path / "defects")


def reading(folder, **settings):
    return DataConfig(folder=folder, patch=32, **settings)


def test_each_subfolder_is_a_defect(folder):
    defects = load_defects(reading(folder))
    assert [defect.name for defect in defects] == NAMES
    assert all(defect.paired and len(defect.training) == 2 and len(defect.validation) == 1 for defect in defects)
    assert [defect.name for defect in load_defects(reading(folder), ["noise"])] == ["noise"]
    with pytest.raises(UserError, match="no defect scratches. It has low-resolution, missing-planes, noise"):
        load_defects(reading(folder), ["noise", "scratches"])


def test_a_folder_of_pairs_is_one_defect_by_its_name(folder):
    assert list(defect_folders(reading(folder / "noise"))) == ["noise"]
    (defect,) = load_defects(reading(folder / "noise"))
    low = tifffile.imread(folder / "noise" / "low" / "a.tif").astype(np.float32)
    np.testing.assert_array_equal(defect.training[0].low, low)


def test_a_file_of_csbdeep_is_one_defect_and_several_are_several(folder, tmp_path):
    place = tmp_path / "npz"
    place.mkdir()
    for name in NAMES:
        low, high = (
            np.stack([tifffile.imread(folder / name / kind / f"{each}.tif") for each in "ab" * 4])
            for kind in ("low", "high")
        )
        np.savez(place / f"{name}.npz", X=low[..., np.newaxis], Y=high[..., np.newaxis], axes="SYXC")
    assert [defect.name for defect in load_defects(reading(place))] == NAMES
    (defect,) = load_defects(reading(place / "noise.npz"))
    assert defect.name == "noise"
    assert len(defect.training) + len(defect.validation) == 8


def test_more_pairs_hold_those_of_fewer_and_seeds_differ(folder):
    stack = tifffile.imread(folder / "noise" / "low" / "a.tif")
    for kind in ("low", "high"):
        tifffile.imwrite(folder / "noise" / kind / "a.tif", np.stack([stack] * 20), metadata={"axes": "TYX"})
    noise = load_defects(reading(folder), ["noise"])[0]
    few, more = ({source.name for source in noise.chosen(count, 0)} for count in (5, 10))
    assert few < more
    assert few != {source.name for source in noise.chosen(5, 1)}
    assert len(noise.chosen(None, 0)) == 21
    alone = load_defects(reading(folder / "noise"))[0]
    assert {source.name for source in alone.chosen(5, 0)} == few  # whichever others are trained with it
    with pytest.raises(UserError, match="noise has 21 images to train on, fewer than the 50"):
        noise.chosen(50, 0)


def test_pairs_are_told_by_their_defect(folder):
    data = pairs_of(load_defects(reading(folder)), 1, 0)
    assert [source.condition for source in data.training] == NAMES
    assert "1 of noise" in data.describe()
    assert data.describe().endswith("held out: 3 images (c.tif)")


def test_a_restorer_wants_pairs(folder):
    shutil.rmtree(folder / "noise" / "high")
    shutil.move(folder / "noise" / "low", folder / "grain")
    shutil.rmtree(folder / "noise")
    with pytest.raises(UserError, match="grain has defective images alone"):
        pairs_of(load_defects(reading(folder)), None, 0)


def test_other_systems_say_whose_folder_it_is(folder):
    with pytest.raises(UserError, match="subfolder of pairs for each of several defects: low-resolution, missing-pl"):
        find_contents(reading(folder))


@pytest.mark.parametrize("made", ["nothing", "empty"])
def test_a_folder_without_defects_says_what_belongs_into_it(made, tmp_path):
    if made == "empty":
        (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="no data folder" if made == "nothing" else "subfolder of them for each defect"):
        load_defects(reading(tmp_path / "data"))


def test_clean_images_that_are_held_out_are_left(folder, tmp_path):
    assert len(load_clean(reading(folder), folder / "noise")) == 2
    shutil.copytree(folder / "noise" / "high", tmp_path / "good")
    assert len(load_clean(reading(folder), tmp_path / "good")) == 2  # none is held out of images alone
    shutil.copytree(folder / "noise" / "validation" / "high", tmp_path / "good" / "validation")
    assert len(load_clean(reading(folder), tmp_path / "good")) == 2


def cgan_config(folder, *overrides, **fields):
    changes = {"data.folder": str(folder), "data.patch": 32, "batch": 4, "losses.content": 0, **fields}
    return load_config("cgan", "compact", overrides, **changes)


@pytest.fixture
def made(folder, tmp_path):
    """Pairs whose targets are flat, to be told from the real ones."""
    copy = shutil.copytree(folder, tmp_path / "made")
    for path in copy.rglob("high/*.tif"):
        tifffile.imwrite(path, np.full((96, 96), 7, np.uint16))
    return copy


def test_batches_mix_real_and_made_pairs_in_their_share(folder, made):
    config = cgan_config(folder, batch=8, synthetic={"folder": str(made), "share": 0.25})
    data = RestorerData(config)
    batches = data.batches
    flat = np.array([np.ptp(target) == 0 for step in range(100) for target in batches(step)[1]])
    assert flat.mean() == pytest.approx(0.25, abs=0.05)
    assert "and 9 whose defects CIN-GAN made" in data.describe()
    low, high = batches(3)
    assert low.shape == high.shape == (8, 32, 32, 1)
    np.testing.assert_array_equal(batches(3)[0], low)
    assert not np.array_equal(batches(4)[0], low)


def test_real_pairs_alone_end_a_training_that_made_ones_began(folder, made):
    batches = RestorerData(
        cgan_config(folder, steps=20, synthetic={"folder": str(made), "share": 1, "until": 0.6})
    ).batches
    shown = [{bool(np.ptp(target) == 0) for target in batches(step)[1]} for step in range(20)]
    assert shown == [{True}] * 12 + [{False}] * 8


def test_without_real_pairs_only_made_ones_are_shown_and_real_ones_judge(folder, made):
    data = RestorerData(cgan_config(folder, pairs=0, synthetic={"folder": str(made), "share": 1}))
    assert all(np.ptp(target) == 0 for step in range(10) for target in data.batches(step)[1])
    assert len(data.pairs.validation) == 3
    assert all(source.high.std() > 0 for source in data.pairs.validation)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pairs": 0}, "synthetic.folder must name made ones"),
        ({"synthetic": {"folder": "made", "share": 1}}, "leaves no place for real pairs"),
        ({"pairs": 0, "synthetic": {"folder": "made", "share": 1, "until": 0.5}}, "shown to the end"),
        ({"losses": {"adversarial": 0, "content": 0, "pixel": 0}}, "nothing is learnt"),
        ({"data.patch": 30, "generator.downsampling": 2}, "multiple of 4, received 30"),
        ({"losses.adversarial": 1, "data.patch": 36}, "multiple of 8, received 36"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, message, folder):
    with pytest.raises(UserError, match=message):
        cgan_config(folder, **fields)


def cin_config(folder, *overrides, **fields):
    changes = ["data.patch=32", "batch=4", *overrides]
    return load_config("cin-gan", "compact", changes, **{"data.folder": str(folder), **fields})


def test_unpaired_batches_have_units_in_which_all_images_compare(folder):
    data = UnpairedData(cin_config(folder, "losses.critic_steps=2", "augment=0", "data.keep_empty=1", "draw=false"))
    units, real, clean, defect = data.batch(0)
    assert clean.shape == real.shape == (4, 3, 32, 32, 1)
    assert defect.shape == (4, 3, 3)
    assert units.shape == (4, 3, 2)
    assert (defect.sum(-1) == 1).all()
    targets = [tifffile.imread(folder / "noise" / "high" / f"{name}.tif").astype(float) for name in "ab"]
    middle, spread = np.mean([each.mean() for each in targets]), np.mean([each.std() for each in targets])
    raw = (clean * units[..., :1, None, None] + units[..., 1:, None, None]) * spread + middle
    whole = np.stack(targets)
    for patch in raw.reshape(-1, 32, 32):  # each is a part of a clean image, in its own intensities
        assert any(
            np.allclose(patch, whole[i, y : y + 32, x : x + 32], atol=0.2)
            for i in range(2)
            for y in range(65)
            for x in range(65)
            if abs(whole[i, y, x] - patch[0, 0]) < 0.2
        )


def test_defective_images_without_partners_take_clean_ones(folder, tmp_path):
    alone = tmp_path / "alone"
    for name in NAMES:
        shutil.copytree(folder / name / "low", alone / name)
    with pytest.raises(UserError, match="low-resolution, missing-planes, noise has no clean partners"):
        UnpairedData(cin_config(alone))
    shutil.copytree(folder / "noise" / "high", alone / "clean")
    data = UnpairedData(cin_config(alone))
    assert data.defects == tuple(NAMES)
    assert data.divergences() == {}
    assert all(not each.paired for each in data.held_out)
    named = UnpairedData(cin_config(alone, clean=str(folder / "noise" / "high"), images=1))
    assert "1 of noise" in named.describe()
    with pytest.raises(UserError, match="fewer than the 2"):
        UnpairedData(cin_config(alone, images=2))


def test_divergences_of_real_defects_are_those_of_their_pairs(folder):
    from relumen.metrics import psnr

    found = UnpairedData(cin_config(folder)).divergences()
    low, high = (
        tifffile.imread(folder / "noise" / "validation" / kind / "c.tif").astype(np.float32) for kind in ("low", "high")
    )
    assert found["divergence, real noise"] == pytest.approx(psnr(high, low))
    assert len(found) == 3


def test_patches_larger_than_an_image_name_a_size_that_fits(folder):
    with pytest.raises(UserError, match=r"measures 96 pixels.*data.patch=96"):
        UnpairedData(cin_config(folder, "data.patch=128"))


BAND = {"side": "bottom", "share": 0.25, "gap": 8}


def test_clean_images_alone_are_trained_on_without_the_band(folder, tmp_path):
    good = shutil.copytree(folder / "noise" / "high", tmp_path / "good")
    images = load_clean(reading(folder, region=BAND), good)
    assert [image.name for image in images] == ["a.tif", "b.tif"]
    for image in images:
        np.testing.assert_array_equal(image.high, tifffile.imread(good / image.name)[:64])


def test_a_held_out_band_is_told(folder):
    words = "held out: the bottom 25 % (and 8 rows or columns beside it) of all images"
    assert words in RestorerData(cgan_config(folder, **{"data.region": BAND})).describe()
    for system, kind, data in (("cin-gan", UnpairedData, folder), ("cyclegan", TwoDomains, folder / "noise")):
        changes = {"data.folder": str(data), "data.patch": 32, "data.region": BAND}
        made = kind(load_config(system, "compact", **changes))
        assert made.describe().count(words) == 1
    assert made.held_out_pairs.describe().count(words) == 1
    assert made.held_out_pairs.validation[0].high.shape == (24, 96)


@pytest.mark.parametrize("system", ["cgan", "cin-gan"])
def test_a_held_out_band_that_is_too_small_to_judge_on_is_refused(folder, system):
    kind = {"cgan": RestorerData, "cin-gan": UnpairedData}[system]
    for share, words in ((0.1, "c.tif measures 10 x 96 pixels, and 16 each way"), (0.001, "no row or column of an")):
        changes = {"data.folder": str(folder), "data.patch": 32, "data.region": {**BAND, "share": share}}
        with pytest.raises(UserError, match=words):
            kind(load_config(system, "compact", **changes))


def test_blank_held_out_images_are_left_out(folder):
    blank = np.full((96, 96), 7, np.uint16)
    for kind in ("low", "high"):
        tifffile.imwrite(folder / "noise" / "validation" / kind / "d.tif", blank)
    data = RestorerData(cgan_config(folder))
    assert sorted(source.name for source in data.pairs.validation) == [f"{name}/c.tif" for name in NAMES]
    tifffile.imwrite(folder / "noise" / "validation" / "high" / "c.tif", blank)
    with pytest.raises(UserError, match="All held-out images are blank .*c.tif, d.tif"):
        RestorerData(cgan_config(folder))


def test_an_epoch_of_unpaired_images_is_of_all_clean_ones_once(folder, tmp_path):
    def steps(clean=None):
        changes = {"data.folder": str(folder), "data.patch": 32, "batch": 1, "clean": clean and str(clean)}
        return UnpairedData(load_config("cin-gan", "compact", **changes)).steps_per_epoch

    assert steps() == 3 * 2 * 9  # the targets of each defect
    good = shutil.copytree(folder / "noise" / "high", tmp_path / "good")
    assert steps(good) == 2 * 9  # which all share
