"""The catalogue of what comes along: true to the files, and what it copies is whole."""

import filecmp
import re
import zipfile

import pytest

from relumen.catalogue import catalogue, copy_entry, entry
from relumen.errors import UserError
from relumen.package import open_package
from relumen.prior.folder import Prior
from relumen.shipped import shipped_names


def test_all_that_ships_is_listed_with_what_its_files_say():
    entries = {each.name: each for each in catalogue()}
    assert list(entries) == shipped_names()
    for each in entries.values():
        assert each.summary.endswith(".") and len(each.summary) > 30
        assert each.licence in ("CC-BY-4.0", "BSD-3-Clause")
        assert each.bytes == sum(path.stat().st_size for path in each.folder.rglob("*"))
        assert sum(each.files.values()) == each.bytes
        assert each.picture is None or re.search(rf"!\[.*\]\({each.picture.name}\)", each.card)
        assert (each.use == "train") == (each.picture is None)
    assert entries["cascade-phase-8x"].scale == 8
    assert entries["cascade-phase-8x"].pixel_size_um == pytest.approx(8 * 0.867)
    assert entries["prior-nfkb"].channels == "DNA, NF-kB"
    assert {each.name for each in entries.values() if each.use == "search"} == {
        "prior-cells", "prior-golgi", "prior-nfkb"
    }  # fmt: skip


def test_a_copy_is_a_package_or_a_prior_again(tmp_path):
    zipped, folder = tmp_path / "to" / "phase.zip", tmp_path / "prior"
    zipped.parent.mkdir()
    copy_entry(entry("cascade-phase-2x"), zipped)
    with open_package(zipped) as package:
        assert package.scale == 2 and len(package.weights) == 3
    with zipfile.ZipFile(zipped) as archive:
        assert set(archive.namelist()) == set(entry("cascade-phase-2x").files)
    copy_entry(entry("prior-golgi"), folder)
    assert Prior.open(folder).has_flow
    _, different, missing = filecmp.cmpfiles(folder, entry("prior-golgi").folder, entry("prior-golgi").files)
    assert not different and not missing


@pytest.mark.parametrize("name", ["there.zip", "there"])
def test_what_is_there_stays(tmp_path, name):
    there = tmp_path / name
    there.write_text("mine")
    with pytest.raises(UserError, match="already"):
        copy_entry(entry("cascade-phase-2x"), there)
    assert there.read_text() == "mine"
