"""Arrays in files without a name, whose room is taken at once."""

import os
import resource
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile

from relumen.errors import CheckFailedError
from relumen.images import read_image
from relumen.spool import spooled


@contextmanager
def files_end_at(size):
    """No file may grow beyond so many bytes: the system says so as it says that a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_written_is_read_and_nothing_is_left(tmp_path):
    array = spooled((3, 50, 40), np.uint16, tmp_path)
    assert not array.any()
    array[1] = 7
    assert array.sum() == 7 * 50 * 40
    assert not os.listdir(tmp_path)


def test_it_is_zeros_where_room_is_taken_by_writing_too(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    array = spooled((5000, 1000), np.float32, tmp_path)  # more than one piece
    array[-1] = 1
    assert array.sum() == 1000
    with files_end_at(1 << 20), pytest.raises(CheckFailedError, match="no room for 20 MB"):
        spooled((5000, 1000), np.float32, tmp_path)


def test_a_full_disk_is_told_before_anything_is_written(tmp_path):
    with files_end_at(1 << 20), pytest.raises(CheckFailedError, match=f"{tmp_path} has no room for 20 MB"):
        spooled((5000, 1000), np.float32, tmp_path)
    tifffile.imwrite(tmp_path / "packed.tif", np.zeros((2000, 1000), np.uint8), compression="zlib")
    with files_end_at(1 << 20), pytest.raises(CheckFailedError, match="no room for 2 MB.*TMPDIR"):
        read_image(tmp_path / "packed.tif")
    assert read_image(tmp_path / "packed.tif").pixels.shape == (2000, 1000)
