"""BBBC021's published layout, on a small folder of Kc167 cells that stands in for it."""

import csv
import shutil
from collections import Counter

import numpy as np
import pytest
import tifffile

from relumen.data import image_path
from relumen.errors import UserError
from relumen.images import read_image
from relumen.training.bbbc021 import CHANNELS, BBBC021Config, load_bbbc021

WELLS = (  # plate, well, compound, concentration; two fields each
    ("Week1_22123", "B02", "DMSO", "0.0"),
    ("Week1_22123", "B03", "DMSO", "0.0"),
    ("Week1_22141", "B02", "DMSO", "0.0"),
    ("Week1_22123", "C02", "nocodazole", "0.1"),
    ("Week1_22141", "C02", "nocodazole", "1.0"),
    ("Week1_22141", "D02", "taxol", "0.3"),
)
LETTERS = {"DAPI": ("D", 1), "Tubulin": ("F", 2), "Actin": ("R", 4)}  # letter in Kc167, wavelength in BBBC021
SIZE = 48
RULES = {"diameter": 20, "area": (120, 900), "per_image": None}


def corner(letter, number):
    """The lower left quarters of three fields, turned and mirrored to be twelve, of 16 bit."""
    field = ("002", "076", "218")[number % 3]
    pixels = np.array(read_image(image_path(f"kc167/01_POS{field}_{letter}.tif")).pixels)[400:800, 100:500]
    return np.rot90(pixels, number // 3).astype(np.uint16) * 100


def table(folder):
    with (folder / "BBBC021_v1_image.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write_table(folder, rows):
    with (folder / "BBBC021_v1_image.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """One plate under its path in the table, the other as its archive unpacks."""
    folder = tmp_path_factory.mktemp("BBBC021")
    rows = []
    for plate, well, compound, concentration in WELLS:
        place = folder / ("Week1/" + plate if plate.endswith("22123") else plate)
        place.mkdir(parents=True, exist_ok=True)
        for site in (1, 2):
            row = {"TableNumber": "1", "ImageNumber": str(len(rows) + 1)}
            for stain, (letter, wavelength) in LETTERS.items():
                name = f"Week1_150607_{well}_s{site}_w{wavelength}0A7F-{len(rows)}.tif"
                tifffile.imwrite(place / name, corner(letter, len(rows)))
                row |= {f"Image_FileName_{stain}": name, f"Image_PathName_{stain}": f"Week1/{plate}"}
            rows.append(
                row
                | {
                    "Image_Metadata_Plate_DAPI": plate,
                    "Image_Metadata_Well_DAPI": well,
                    "Replicate": "1",
                    "Image_Metadata_Compound": compound,
                    "Image_Metadata_Concentration": concentration,
                }
            )
    write_table(folder, rows)
    moa = "compound,concentration,moa\nnocodazole,1.0,Microtubule destabilizers\nDMSO,0.0,DMSO\n"
    (folder / "BBBC021_v1_moa.csv").write_text(moa)
    return folder


def config(folder, **changes):
    return BBBC021Config(**{"folder": folder, "per_compound": 24, "validation": 0, **RULES, **changes})


def test_as_many_crops_of_each_compound_with_what_is_known_of_them(published):
    crops = load_bbbc021(config(published), SIZE)
    assert crops.channels == CHANNELS == ("actin", "tubulin", "DNA")
    assert crops.images.shape == (72, 48, 48, 3) and crops.images.dtype == np.uint8
    assert Counter(place.compound for place in crops.places) == {"DMSO": 24, "nocodazole": 24, "taxol": 24}
    known = {(place.compound, place.concentration, place.moa) for place in crops.places}
    assert known >= {("DMSO", 0.0, "DMSO"), ("taxol", 0.3, "")}
    assert {place.field for place in crops.places if place.compound == "taxol"} <= {
        f"Week1_22141/Week1_150607_D02_s{site}" for site in (1, 2)
    }
    dna = crops.images[..., 2].astype(float)
    assert dna[:, 20:28, 20:28].mean() > 2 * dna[:, [0, -1]].mean()


def test_crops_hold_the_stains_in_order(published):
    crops = load_bbbc021(config(published, compounds=("taxol",)), SIZE)
    place, numbers = crops.places[0], {"s1": 10, "s2": 11}
    top, left = round(place.y + 0.5 - 24), round(place.x + 0.5 - 24)
    for channel, letter in enumerate("RFD"):
        pixels = corner(letter, numbers[place.field[-2:]])[top : top + 48, left : left + 48]
        assert np.corrcoef(pixels.ravel(), crops.images[0, ..., channel].ravel())[0, 1] > 0.97


def test_crops_are_spread_over_wells_and_fields_and_follow_the_seed(published):
    first, again, other = (load_bbbc021(config(published, per_image=4, seed=seed), SIZE) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.images, again.images)
    assert first.places == again.places != other.places
    fields = Counter(place.field for place in first.places if place.compound == "DMSO")
    assert len(fields) == 6 and set(fields.values()) == {4}
    few = load_bbbc021(config(published, per_image=4, per_compound=12, compounds=("DMSO", "nocodazole")), SIZE)
    wells = Counter((p.field[:11], p.field.split("_")[-2]) for p in few.places if p.compound == "DMSO")
    assert wells == {("Week1_22123", "B02"): 4, ("Week1_22123", "B03"): 4, ("Week1_22141", "B02"): 4}


def test_wells_are_held_out_as_a_whole(published):
    crops = load_bbbc021(config(published, validation=0.3), SIZE)
    assert Counter(place.compound for place in crops.held_out.places) == {"DMSO": 8, "nocodazole": 8}
    assert Counter(place.compound for place in crops.training.places) == {"DMSO": 24, "nocodazole": 24, "taxol": 24}
    wells = [{place.field.rpartition("_")[0] for place in part.places} for part in (crops.training, crops.held_out)]
    assert not wells[0] & wells[1]


def test_missing_files_columns_and_names_are_said(published, tmp_path):
    with pytest.raises(UserError, match=r"There is no .*BBBC021_v1_image.csv"):
        load_bbbc021(config(tmp_path), SIZE)
    with pytest.raises(UserError, match="no taxotere, aspirin in Image_Metadata_Compound. There are: DMSO, nocoda"):
        load_bbbc021(config(published, compounds=("taxotere", "aspirin")), SIZE)
    folder = shutil.copytree(published, tmp_path / "part")
    shutil.rmtree(folder / "Week1_22141")
    with pytest.raises(UserError, match=r"18 of 36 images .* not there: .*Week1_22141.* plates=\[Week1_22123\]"):
        load_bbbc021(config(folder), SIZE)
    part = load_bbbc021(config(folder, plates=("Week1_22123",)), SIZE)
    assert {place.field.partition("/")[0] for place in part.places} == {"Week1_22123"}
    rows = table(folder)
    write_table(folder, [row | {"Image_Metadata_Concentration": "high"} for row in rows])
    with pytest.raises(UserError, match="a concentration is a number. Received: 'high'"):
        load_bbbc021(config(folder), SIZE)
    dropped = ("Image_PathName_Actin", "Image_Metadata_Compound")
    write_table(folder, [{key: row[key] for key in row if key not in dropped} for row in rows])
    with pytest.raises(UserError, match="lacks the columns Image_PathName_Actin, Image_Metadata_Compound"):
        load_bbbc021(config(folder), SIZE)
