"""Stand-ins: pairs of stated defects, of images that no shipped model was trained on where they are held out."""

import json

import numpy as np
import pytest
import tifffile

from relumen.errors import UserError
from relumen.metrics import psnr
from relumen.training.cgan import RestorerData
from relumen.training.cin_gan import UnpairedData
from relumen.training.config import load_config
from relumen.training.defects import load_defects
from relumen.training.settings import DataConfig
from relumen.training.stand_ins import HELD_OUT, STRONG, VARIED, held_out_patches, make_stand_ins

DEFECTS = tuple(STRONG.describe())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pairs of each defect."""
    folder = tmp_path_factory.mktemp("made") / "stand-ins"
    assert make_stand_ins(folder, count=12) == dict.fromkeys(DEFECTS, (12, 33))
    return folder


def test_they_are_a_data_folder_of_three_defects_with_one_truth(folder):
    defects = load_defects(DataConfig(folder=folder))
    assert {defect.name for defect in defects} == set(DEFECTS)
    for defect in defects:
        assert len(defect.training) == 12
        assert all(source.low.shape == source.high.shape == (80, 80) for source in defect.training)
        assert all(source.low.shape == source.high.shape == (256, 256) for source in defect.validation)
    first, *others = (sorted(folder.glob(f"{name}/high/*.tif")) for name in DEFECTS)
    for other in others:
        assert [path.read_bytes() for path in other] == [path.read_bytes() for path in first]


def test_held_out_patches_are_those_of_the_validation(folder):
    files = (folder / "noise" / "validation" / "high").glob("*.tif")
    written = [(patch - 10_000.0) / 10_000 for file in files for patch in tifffile.imread(file)]
    both = [sorted(patches, key=np.mean) for patches in (held_out_patches(), written)]
    np.testing.assert_allclose(*both, atol=1e-4)


def test_who_trains_on_them_says_so(folder):
    config = load_config("cgan", "compact", **{"data.folder": str(folder)})
    assert RestorerData(config).describe().startswith("Stand-ins, made by relumen data stand-ins")
    maker = load_config("cin-gan", "compact", **{"data.folder": str(folder)})
    assert UnpairedData(maker).describe().startswith("Stand-ins, made by relumen data stand-ins")
    (folder / "noise" / "manifest.json").write_text("no JSON", encoding="utf-8")  # somebody else's
    alone = load_config("cgan", "compact", **{"data.folder": str(folder / "noise")})
    assert RestorerData(alone).describe().startswith("12 of noise")
    (folder / "noise" / "manifest.json").unlink()


def test_each_defect_is_what_it_says(folder):
    loaded = {defect.name: defect for defect in load_defects(DataConfig(folder=folder))}
    rough = {}
    for name, defect in loaded.items():
        pairs = [(source.high, source.low) for source in defect.validation]
        assert 15 < np.mean([psnr(high, low) for high, low in pairs]) < 30
        down, across = (
            np.mean([np.diff(low, axis=axis).std() / np.diff(high, axis=axis).std() for high, low in pairs])
            for axis in (0, 1)
        )
        rough[name] = down, across
    assert min(rough["noise"]) > 1.5
    assert all(source.low.min() > 0 for source in loaded["noise"].validation)  # no camera cuts the noise of the dark
    assert max(rough["low-resolution"]) < 0.6
    assert rough["missing-planes"][0] < 0.6 < rough["missing-planes"][1]  # along one axis alone


def test_varied_strengths_begin_where_little_is_lost(cells):
    image = cells[300:556, 300:556] / np.float32(255)
    for defect in DEFECTS:
        rng = np.random.default_rng(0)
        figures = [psnr(image, VARIED.make(defect, image, rng)) for _ in range(20)]
        strongest = psnr(image, STRONG.make(defect, image, np.random.default_rng(0)))
        assert max(figures) > strongest + 4
        assert len(set(figures)) >= 3
    assert "2 to 8 pixels" in VARIED.describe()["low-resolution"]


def test_held_out_fields_are_nowhere_in_the_training(folder):
    stems = [path.name for path in folder.glob("noise/high/*.tif")]
    assert stems
    held = [name.replace("/", "-") for name in ("ht29", "widefield/widefield_fitc", "kc167/01_POS218")]
    assert not any(stem.startswith(tuple(held)) for stem in stems)
    validation = {path.name for path in folder.glob("noise/validation/high/*.tif")}
    assert validation.isdisjoint(stems)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["defects"]) == set(DEFECTS)
    assert len(manifest["held out"]) == len(HELD_OUT)
    assert all(image["licence"] for image in manifest["images"])


def test_the_same_seed_makes_the_same_pixels(folder, tmp_path):
    make_stand_ins(tmp_path / "again", count=12)
    for path in folder.rglob("*.tif"):
        again = tifffile.imread(tmp_path / "again" / path.relative_to(folder))
        np.testing.assert_array_equal(tifffile.imread(path), again)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"count": 10**6}, "not 1000000"), ({"side": 81}, "multiple of 8"), ({"side": 512}, "from 32 to 256")],
)
def test_what_can_t_be_made_is_refused_before_anything_is_written(settings, message, tmp_path):
    with pytest.raises(UserError, match=message):
        make_stand_ins(tmp_path / "made", **settings)
    assert not (tmp_path / "made").exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("notes")
    with pytest.raises(UserError, match="holds something already"):
        make_stand_ins(tmp_path)
