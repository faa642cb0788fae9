"""What is written appears whole, whatever ends the process that writes it."""

import os
import signal
import subprocess
import sys

import pytest

from relumen import whole
from relumen.whole import file_appears_whole, folder_appears_whole, temporary_sibling

KILLED = """
import os, signal, sys
from pathlib import Path
from relumen import whole
from relumen.whole import file_appears_whole

place, moment = Path(sys.argv[1]), sys.argv[2]
end = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if moment == "after the exchange":
    whole._remove = end
if place.suffix:
    with file_appears_whole(place) as partial:
        partial.write_text("new")
        end()
with whole.folder_appears_whole(place, replace=True) as partial:
    (partial / "rdf.yaml").write_text("new")
    if moment == "before":
        end()
"""


def killed(place, moment):
    process = subprocess.run([sys.executable, "-c", KILLED, str(place), moment], env={**os.environ})
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("moment", "left"), [("before", "old"), ("after the exchange", "new")])
def test_a_killed_process_leaves_the_older_folder_or_the_new_one(tmp_path, moment, left):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "rdf.yaml").write_text("old")
    killed(folder, moment)
    assert (folder / "rdf.yaml").read_text() == left
    assert len(list(tmp_path.iterdir())) == 2  # and what it was about to be removed, or to be put in its place
    with folder_appears_whole(folder, replace=True) as partial:
        (partial / "rdf.yaml").write_text("newest")
    assert [path.name for path in tmp_path.iterdir()] == ["package"]
    assert (folder / "rdf.yaml").read_text() == "newest"


def test_what_a_killed_process_left_of_a_file_goes_when_it_is_written_next(tmp_path):
    file = tmp_path / "image.tif"
    killed(file, "before")
    other = tmp_path / ".image-abcdefgh.partial.png"  # of another file
    other.touch()
    assert len(list(tmp_path.iterdir())) == 2
    with file_appears_whole(file) as partial:
        partial.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, file.name]


@pytest.mark.parametrize(("umask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_others_may_read_what_the_user_lets_them(tmp_path, umask, file_mode, folder_mode):
    before = os.umask(umask)
    try:
        with folder_appears_whole(tmp_path / "folder") as folder, file_appears_whole(folder / "a.tif") as file:
            file.write_text("whole")
    finally:
        os.umask(before)
    assert (tmp_path / "folder").stat().st_mode & 0o777 == folder_mode
    assert (tmp_path / "folder/a.tif").stat().st_mode & 0o777 == file_mode


def test_what_is_in_use_stays(tmp_path):
    with temporary_sibling(tmp_path / "a.tif") as first, temporary_sibling(tmp_path / "a.tif") as second:
        assert first != second
        assert first.exists() and second.exists()
    assert not any(tmp_path.iterdir())


def test_files_are_written_into_a_folder_that_is_being_written(tmp_path):
    with folder_appears_whole(tmp_path / "folder") as folder, file_appears_whole(folder / "a.tif") as file:
        file.write_text("whole")
    assert (tmp_path / "folder" / "a.tif").read_text() == "whole"


def test_what_was_taken_for_abandoned_is_made_again(tmp_path, monkeypatch):
    new, made = whole._new, []

    def taken_once(*arguments):
        partial, handle = new(*arguments)
        if not made:
            partial.unlink()
        made.append(partial)
        return partial, handle

    monkeypatch.setattr(whole, "_new", taken_once)
    with temporary_sibling(tmp_path / "a.tif") as partial:
        assert partial.exists()
    assert len(made) == 2


def test_where_the_system_cannot_exchange_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "_exchanged", lambda a, b: False)
    (tmp_path / "folder").mkdir()
    with folder_appears_whole(tmp_path / "folder", replace=True) as partial:
        (partial / "new").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["folder", "folder/new"]
