"""The images that come with relumen, and their copy as a data folder."""

import hashlib
import json

import pytest

from relumen.data import copy_images, fields, image_path, records
from relumen.errors import UserError
from relumen.images import read_image
from relumen.training.data import load_data
from relumen.training.settings import DataConfig


def test_every_image_is_what_the_manifest_says():
    for name, record in records().items():
        assert hashlib.sha256(image_path(name).read_bytes()).hexdigest() == record.sha256, name


def test_a_copy_is_whole_and_its_manifest_tells_the_licences(tmp_path):
    copied = copy_images(tmp_path / "cells", ["translocation/A-12", "ht29"])
    held = {place for place in copied if place.startswith("validation/")}
    assert {copied[place].field for place in held} == {"translocation/A-12", "ht29/D03"}
    assert not {copied[place].field for place in copied.keys() - held} & {"translocation/A-12", "ht29/D03"}
    manifest = json.loads((tmp_path / "cells" / "manifest.json").read_text())
    assert {image["name"] for image in manifest["images"]} == copied.keys()
    assert len(copied) == len(records("fluorescence"))
    for image in manifest["images"]:
        content = (tmp_path / "cells" / image["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == image["sha256"]
        assert image["licence"] and image["source"]


def test_the_phase_contrast_frames_are_a_data_folder_that_tells_its_pixel_size(tmp_path):
    copied = copy_images(tmp_path / "phase", modality="phase contrast")
    assert {record.modality for record in copied.values()} == {"phase contrast"}
    assert len(copied) == 13 and len(copied) + len(records("fluorescence")) == len(records())
    assert {record.licence for record in copied.values()} == {"MIT"}
    for place in copied:
        image = read_image(tmp_path / "phase" / place)
        assert (image.axes, image.pixels.dtype.name) == ("YX", "uint16")
        assert image.pixel_size is not None and image.pixel_size.micrometres == pytest.approx(0.867)
    folder = tmp_path / "phase"
    for name in sorted(copied)[2:]:
        (folder / name).unlink()  # two are enough to be read
    reduction = {"factor": 8, "blur": 0, "photons": None}
    assert load_data(DataConfig(folder=folder, degradation=reduction), 8).pixel_size_um == pytest.approx(6.936)


def test_fields_of_the_other_modality_can_not_be_held_out_into_nothing(tmp_path):
    with pytest.raises(UserError, match="no image is left"):
        copy_images(tmp_path / "phase", ["phase_t98g"], modality="phase contrast")


def test_a_copy_goes_over_an_earlier_one_but_over_nothing_else(tmp_path):
    folder = tmp_path / "cells"
    for _ in range(2):
        copy_images(folder, ["kc167/POS218"])
    (folder / "01_POS002_D.tif").unlink()  # as an interrupted copy leaves it
    copy_images(folder, ["kc167/POS218"])
    with pytest.raises(UserError, match="01_POS218_D.tif"):
        copy_images(folder)  # it would be trained on and held out
    (folder / "01_POS002_D.tif").write_bytes(b"my own")
    with pytest.raises(UserError, match="something else: .*01_POS002_D.tif"):
        copy_images(folder, ["kc167/POS218"])
    assert (folder / "01_POS002_D.tif").read_bytes() == b"my own"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="manifest.json"):
        copy_images(mine)


def test_names_of_fields():
    assert fields(["kc167/POS218", "ht29"]) == {"kc167/POS218", "ht29/D03"}
    assert fields([]) == set()
    with pytest.raises(UserError, match="No field named kc16. There are: ht29/D03, kc167/POS002"):
        fields(["kc16", "ht29"])


def test_something_is_left_to_train_on(tmp_path):
    with pytest.raises(UserError, match="no image is left"):
        copy_images(tmp_path / "cells", sorted({record.field for record in records().values()}))
    assert not (tmp_path / "cells").exists()
