"""Crops centred on nuclei: of folders of both layouts, by stated rules, in one exposure."""

import shutil

import numpy as np
import pytest
import tifffile
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from relumen.data import image_path
from relumen.errors import UserError
from relumen.images import read_image
from relumen.training.crops import CropsConfig, load_crops, shipped_crops
from relumen.training.nuclei import find_nuclei, sharpness
from relumen.training.settings import Region

FIELDS = ("01_POS002", "01_POS076", "01_POS218")
STAINS = {"rhodamine": "*_R.tif", "FITC": "*_F.tif", "DNA": "*_D.tif"}
SIZE = 48
RULES = {"diameter": 20, "area": (120, 900)}


def cut_out(field, letter):
    return np.array(read_image(image_path(f"kc167/{field}_{letter}.tif")).pixels)[300:620, 320:660]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Parts of three real fields, one file for each channel."""
    folder = tmp_path_factory.mktemp("grey")
    for field in FIELDS:
        for letter in "DFR":
            tifffile.imwrite(folder / f"{field}_{letter}.tif", cut_out(field, letter))
    return folder


@pytest.fixture(scope="module")
def crops(folder):
    return load_crops(config(folder), SIZE)


def config(folder, **changes):
    return CropsConfig(**{"folder": folder, "channels": STAINS, **RULES, **changes})


def discs(centres, shape=(200, 240), radius=15):
    y, x = np.indices(shape)
    image = np.full(shape, 20.0)
    for row, column, brightness in centres:
        image[np.hypot(y - row, x - column) <= radius] = brightness
    return np.random.default_rng(0).normal(gaussian_filter(image, 1), 1)


def test_dim_and_touching_nuclei_are_found_one_by_one():
    centres = [(40, 40, 200), (40, 120, 45), (120, 80, 150), (120, 109, 150)]
    labels = find_nuclei(discs(centres), diameter=30)
    assert labels.max() == 4
    for row, column, _ in centres:
        pixels = np.argwhere(labels == labels[row, column])
        np.testing.assert_allclose(pixels.mean(0), (row, column), atol=1.5)
        assert len(pixels) == pytest.approx(np.pi * 15**2, rel=0.15)


def test_an_image_without_contrast_has_no_nuclei():
    assert find_nuclei(np.full((64, 64), 7, np.uint16)).max() == 0


def test_nuclei_out_of_focus_are_left_out(tmp_path, folder):
    medians = []
    for blur in (0, 2.5, 5):
        dna = gaussian_filter(cut_out(FIELDS[2], "D").astype(np.float32), blur)
        labels = find_nuclei(dna, 20)
        medians.append(np.median(sharpness(dna, labels, np.arange(1, labels.max() + 1), 20)))
    assert medians[1] < 0.85 * medians[0] and medians[2] < 0.7 * medians[0]
    blurred = shutil.copytree(folder, tmp_path / "blurred")
    for letter in "DFR":
        pixels = gaussian_filter(cut_out(FIELDS[2], letter).astype(np.float32), 6)
        tifffile.imwrite(blurred / f"{FIELDS[2]}_{letter}.tif", pixels)
    sharp, dull = (
        sum(place.field == FIELDS[2] for place in load_crops(config(images), SIZE).places)
        for images in (folder, blurred)
    )
    assert sharp > 20 and dull < sharp / 3


def test_crops_show_the_pixels_of_the_files_around_a_nucleus_in_the_order_of_the_stains(crops):
    assert crops.images.shape == (len(crops.places), 48, 48, 3) and crops.images.dtype == np.uint8
    assert crops.channels == tuple(STAINS) and {place.field for place in crops.places} == set(FIELDS)
    for crop, place in zip(crops.images, crops.places, strict=True):
        top, left = round(place.y + 0.5 - 24), round(place.x + 0.5 - 24)
        for channel, letter in enumerate("RFD"):
            pixels = cut_out(place.field, letter)
            black, white = crops.exposure[channel]
            above = pixels[top : top + 48, left : left + 48] - np.percentile(pixels, 1)
            expected = 255 * np.clip((above - black) / (white - black), 0, 1)
            np.testing.assert_allclose(crop[..., channel], expected, atol=0.51)
    dna = crops.images[..., 2].astype(float)
    assert dna[:, 20:28, 20:28].mean() > 3 * dna[:, [0, -1]].mean()


def test_every_nucleus_gives_a_crop_or_a_reason(crops):
    assert crops.found == len(crops.places) + sum(crops.left_out.values())
    assert crops.left_out["too near to an edge"] > 10
    assert all(120 <= place.area <= 900 for place in crops.places)
    assert crops.describe().startswith(f"{len(crops.places)} crops (0 held out) of 48 x 48 pixels, 3 channels (rhoda")


def test_multi_channel_files_give_the_crops_of_their_channels(tmp_path, crops):
    for field in FIELDS:
        planes = np.stack([cut_out(field, letter) for letter in "DFR"])
        tifffile.imwrite(tmp_path / f"{field}.tif", planes, imagej=True, metadata={"axes": "CYX"})
    same = load_crops(config(tmp_path, channels={"rhodamine": 2, "FITC": 1, "DNA": 0}), SIZE)
    np.testing.assert_array_equal(same.images, crops.images)
    assert same.places[0].field == f"{crops.places[0].field}.tif"


def test_zoom_makes_nuclei_larger_around_the_same_centres(folder, crops):
    zoomed = load_crops(config(folder, zoom=2, diameter=40, area=(480, 3600)), 2 * SIZE)
    assert [(p.field, p.y, p.x) for p in zoomed.places] == [(p.field, p.y, p.x) for p in crops.places]
    assert np.median([p.area for p in zoomed.places]) == 4 * np.median([p.area for p in crops.places])
    binned = zoomed.images.reshape(-1, 48, 2, 48, 2, 3).mean((2, 4))
    assert np.abs(binned - crops.images).mean() < 6


def test_a_field_is_held_out_as_a_whole(folder):
    crops = load_crops(config(folder, hold_out=(FIELDS[1],)), SIZE)
    assert {place.field for place in crops.training.places} == {FIELDS[0], FIELDS[2]}
    assert {place.field for place in crops.held_out.places} == {FIELDS[1]}
    assert len(crops.training.images) + len(crops.held_out.images) == len(crops.images)
    assert crops.held_out.describe().count("held out)") == 1


def test_a_held_out_band_and_the_training_share_no_pixel(folder):
    crops = load_crops(config(folder, region=Region(side="right", share=0.4, gap=0)), SIZE)
    edge = 340 - round(0.4 * 340)
    training, held_out = ([p.x for p in part.places] for part in (crops.training, crops.held_out))
    assert len(training) > 20 and len(held_out) > 10
    assert max(training) + 0.5 + 24 <= edge + 0.5 and min(held_out) + 0.5 - 24 >= edge - 0.5


def test_a_limit_draws_nuclei_by_the_seed(folder):
    first, again, other = (load_crops(config(folder, per_image=7, seed=seed), SIZE) for seed in (0, 0, 1))
    assert [sum(p.field == field for p in first.places) for field in FIELDS] == [7, 7, 7]
    np.testing.assert_array_equal(first.images, again.images)
    assert first.places == again.places != other.places


def test_what_is_wrong_with_a_folder_is_said(tmp_path, folder):
    with pytest.raises(UserError, match=r"FITC: no image in .* matches '\*_G.tif'. There are: 01_POS002_D.tif"):
        load_crops(config(folder, channels=STAINS | {"FITC": "*_G.tif"}), SIZE)
    with pytest.raises(UserError, match="No field named 01_POS003 to hold out. There are: 01_POS002"):
        load_crops(config(folder, hold_out=("01_POS003",)), SIZE)
    with pytest.raises(UserError, match="Nothing is left to train on"):
        load_crops(config(folder, hold_out=FIELDS), SIZE)
    with pytest.raises(UserError, match="01_POS002_D.tif and 01_POS002_F.tif are both DNA"):
        load_crops(config(folder, channels={"DNA": "*_*.tif"}), SIZE)
    with pytest.raises(UserError, match=r"01_POS002_D.tif: Y 320 x X 340, uint8.* Wanted are axes CYX with a channel"):
        load_crops(config(folder, channels={"DNA": 0}), SIZE)
    with pytest.raises(UserError, match="There is no image"):
        load_crops(config(tmp_path), SIZE)
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "01_POS076_F.tif").unlink()
    with pytest.raises(UserError, match=r"01_POS076 has no FITC \(\*_F.tif\)"):
        load_crops(config(broken), SIZE)
    tifffile.imwrite(broken / "01_POS076_F.tif", cut_out(FIELDS[1], "F")[:200])
    with pytest.raises(UserError, match="01_POS076 differ in size: rhodamine 320 x 340, FITC 200 x 340"):
        load_crops(config(broken), SIZE)
    for field in FIELDS:
        tifffile.imwrite(broken / f"{field}_F.tif", np.full((320, 340), 9, np.uint8))
    with pytest.raises(UserError, match="FITC: nearly all pixels of .* are alike"):
        load_crops(config(broken), SIZE)


def test_too_few_nuclei_are_said_with_what_to_change(folder):
    with pytest.raises(UserError, match=r"0 crops .* nuclei were found, \d+ pixels across .* outside the limits of"):
        load_crops(config(folder, area=(5000, 6000)), SIZE)
    with pytest.raises(UserError, match=r"too near to an edge.* cut smaller crops \(received: 400 pixels; a prior"):
        load_crops(config(folder), 400)


def test_settings_that_can_not_be_meant_are_refused(folder):
    for changes in ({"nuclei": "DAPI"}, {"area": (9, 3)}, {"exposure": (99, 1)}, {"channels": {"DNA": "D.tif"}}):
        with pytest.raises(ValidationError):
            config(folder, **changes)


def test_the_size_of_the_crops_is_no_rule_but_their_users(folder):
    with pytest.raises(ValidationError, match="size"):
        config(folder, size=SIZE)


def test_the_shipped_translocation_assay_shows_both_conditions_in_both_parts():
    crops = shipped_crops("nfkb")
    assert crops.channels == ("DNA", "NF-kB") and len(crops.training.places) > 700 and len(crops.held_out.places) > 200
    across = 2 * np.sqrt(np.array([place.area for place in crops.places]) / np.pi)
    assert 28 <= np.median(across) <= 32
    y, x = np.indices((128, 128)) - 63.5
    distance = np.hypot(y, x)
    for part in (crops.training, crops.held_out):
        reporter = part.images[..., 1].astype(float)
        ratio = reporter[:, distance < 8].mean(1) / reporter[:, (distance > 19) & (distance < 25)].mean(1)
        translocated = np.array([place.field == "01-A-01" for place in part.places])
        assert np.median(ratio[translocated]) > 1.3 * np.median(ratio[~translocated])


def test_no_shipped_image_has_the_stains_of_cells():
    with pytest.raises(ValueError, match="no shipped image has the stains of 'cells'"):
        shipped_crops("cells")  # pyright: ignore[reportArgumentType]


def test_a_field_without_nuclei_gives_no_crop(tmp_path, folder):
    copy = shutil.copytree(folder, tmp_path / "fields")
    for letter in "DFR":
        tifffile.imwrite(copy / f"09_EMPTY_{letter}.tif", np.full((320, 340), 9, np.uint8))
    with_it, without = (load_crops(config(place), SIZE) for place in (copy, folder))
    assert with_it.found == without.found
    assert len(with_it.places) == len(without.places)
