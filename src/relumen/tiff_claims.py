"""What a TIFF says of its own size, looked at before a library believes it.

A damaged or hostile file of some KiB can claim millions of planes, or tags of gigabytes that all lie in the same bytes;
its reader then takes all of the memory, or no end.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.claims import explained_bytes
from relumen.errors import UserError

_MOST_SHARED = 20
"""Most bytes of all tags together for each byte of the file; tags may share them."""
_MOST_PLANES = 1_000_000
_HEADER = 8
_DESCRIPTION = 270
_DAMAGED = "It is damaged: copy or save it again."
_SIZES = np.zeros(256, np.int64)
_SIZES[:19] = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
"""Bytes of a tag's values, by their type (TIFF 6.0, section 2; BigTIFF)."""
_OME_PLANES = re.compile(rb"<(?:\w+:)?(?:Pixels|TiffData)\b[^>]*>")
_OME_NUMBER = re.compile(rb"""\b(?:Size[ZCT]|IFD|PlaneCount)\s*=\s*["']\s*(\d+)""")


def check_tiff(path: Path) -> None:
    """Refuses a TIFF that claims far more than it can hold.

    Args:
        path: of a file; one that is no TIFF is left to its reader.

    Raises:
        UserError: its directories lead in a circle, its tags would take far more memory than it has bytes, or its
            OME-XML tells of over a million planes.
    """
    size = path.stat().st_size
    if size < _HEADER:
        return
    most, total = explained_bytes(size, _MOST_SHARED), 0.0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for index, entries in enumerate(_directories(data)):
            sizes = _SIZES[entries["type"] & 255] * entries["count"].astype(np.float64)
            total += sizes.sum()
            if total > most:
                raise UserError(
                    f"its tags claim over {most / 1e6:,.0f} MB, and it has {size / 1e6:,.1f} MB. {_DAMAGED}"
                )
            if index == 0:  # OME-XML describes the first
                for entry in entries[entries["tag"] == _DESCRIPTION]:
                    at = int(entry["value"])
                    _check_planes(data[at : at + int(entry["count"])])


def _check_planes(description: bytes) -> None:
    for told in _OME_PLANES.finditer(description):
        planes = math.prod(int(number) for number in _OME_NUMBER.findall(told[0]))
        if planes > _MOST_PLANES:
            raise UserError(f"its OME-XML tells of {planes:,} planes, more than {_MOST_PLANES:,}. {_DAMAGED}")


def _directories(data: mmap.mmap) -> Iterator[NDArray[Any]]:
    """The entries of each directory, as far as the directories can be followed: "tag", "type", "count" and "value".

    Raises:
        UserError: they lead in a circle.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    version = int.from_bytes(data[2:4], "little" if order == "<" else "big")
    big = version == 43
    count, offset = (np.dtype(f"{order}u{8 if big else 2}"), np.dtype(f"{order}u{8 if big else 4}"))
    entry = np.dtype([("tag", f"{order}u2"), ("type", f"{order}u2"), ("count", offset), ("value", offset)])
    at, seen = _number(data, 8 if big else 4, offset), set[int]()
    while at:
        if at in seen:
            raise UserError(f"its directories lead in a circle. {_DAMAGED}")
        seen.add(at)
        number = _number(data, at, count)
        begin = at + count.itemsize
        end = begin + number * entry.itemsize
        if end + offset.itemsize > len(data):
            return
        yield np.frombuffer(data[begin:end], entry)
        at = _number(data, end, offset)


def _number(data: mmap.mmap, at: int, kind: np.dtype) -> int:
    """A number of the file; 0 beyond its end."""
    stored = data[at : at + kind.itemsize]
    return int(np.frombuffer(stored, kind)[0]) if len(stored) == kind.itemsize else 0
