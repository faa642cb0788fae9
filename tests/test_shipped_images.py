"""The images that come with relumen, and their copy as a data folder."""

import hashlib
import json

import pytest

from relumen.data import copy_images, fields, image_path, records
from relumen.errors import UserError


def test_every_image_is_what_the_manifest_says():
    for name, record in records().items():
        assert hashlib.sha256(image_path(name).read_bytes()).hexdigest() == record.sha256, name


def test_a_copy_is_whole_and_its_manifest_tells_the_licences(tmp_path):
    copied = copy_images(tmp_path / "cells", ["translocation/A-12", "ht29"])
    held = {place for place in copied if place.startswith("validation/")}
    assert {copied[place].field for place in held} == {"translocation/A-12", "ht29/D03"}
    assert not {copied[place].field for place in copied.keys() - held} & {"translocation/A-12", "ht29/D03"}
    manifest = json.loads((tmp_path / "cells" / "manifest.json").read_text())
    assert {image["name"] for image in manifest["images"]} == copied.keys() and len(copied) == len(records())
    for image in manifest["images"]:
        content = (tmp_path / "cells" / image["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == image["sha256"]
        assert image["licence"] and image["source"]


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
