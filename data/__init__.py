"""The real microscopy images that come with relumen, with their sources and licences.

``manifest.json`` tells for each file what it shows, where it comes from, its licence and its SHA-256.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from relumen.errors import UserError

_FOLDER = Path(str(files("relumen.data")))


@dataclass(frozen=True)
class ImageRecord:
    """What is known of one shipped image.

    Attributes:
        name: folder and file name, such as ``kc167/01_POS218_F.tif``.
        field: the field of view; images of one field are never split between training and test.
        shows: what is in the picture.
        source: where the image was published.
        licence: SPDX name or words of the licence under which it may be redistributed.
        sha256: of the file.
    """

    name: str
    field: str
    shows: str
    source: str
    licence: str
    sha256: str


@cache
def records() -> dict[str, ImageRecord]:
    """Every shipped image by its name."""
    manifest = json.loads((_FOLDER / "manifest.json").read_text(encoding="utf-8"))
    return {entry["name"]: ImageRecord(**entry) for entry in manifest["images"]}


def image_path(name: str) -> Path:
    """The file of a shipped image.

    Raises:
        UserError: no image of that name is shipped.
    """
    if name not in records():
        raise UserError(f"No image named {name!r} comes with relumen. There are: {', '.join(sorted(records()))}")
    return _FOLDER / "images" / name
