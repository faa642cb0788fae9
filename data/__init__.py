"""The real microscopy images that come with relumen, with their sources and licences.

``manifest.json`` tells for each file what it shows, where it comes from, its licence and its SHA-256.
:func:`copy_images` lays the images out as a data folder that a training takes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from relumen.errors import UserError

Modality = Literal["fluorescence", "phase contrast"]

_FOLDER = Path(str(files("relumen.data")))
_MANIFEST = "manifest.json"
_COPY_NOTE = "Copied by relumen data copy from the images that come with relumen."


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
        modality: "fluorescence" or "phase contrast".
    """

    name: str
    field: str
    shows: str
    source: str
    licence: str
    sha256: str
    modality: Modality = "fluorescence"


@cache
def records(modality: Modality | None = None) -> dict[str, ImageRecord]:
    """Every shipped image by its name, or those of one modality."""
    manifest = json.loads((_FOLDER / _MANIFEST).read_text(encoding="utf-8"))
    known = [ImageRecord(**entry) for entry in manifest["images"]]
    return {record.name: record for record in known if modality in (None, record.modality)}


def image_path(name: str) -> Path:
    """The file of a shipped image.

    Raises:
        UserError: no image of that name is shipped.
    """
    if name not in records():
        raise UserError(f"No image named {name!r} comes with relumen. There are: {', '.join(sorted(records()))}")
    return _FOLDER / "images" / name


def fields(names: Sequence[str]) -> set[str]:
    """Fields of view by their names; the name of a folder, such as ``ht29``, stands for all of its fields.

    Raises:
        UserError: there is no such field.
    """
    known = sorted({record.field for record in records().values()})
    found = {name: {field for field in known if name in (field, field.partition("/")[0])} for name in names}
    if unknown := [name for name, matches in found.items() if not matches]:
        raise UserError(f"No field named {', '.join(unknown)}. There are: {', '.join(known)}")
    return set().union(*found.values())


def copy_images(
    folder: Path, hold_out: Sequence[str] = (), *, modality: Modality = "fluorescence"
) -> dict[str, ImageRecord]:
    """Lays the shipped images of a modality out as a data folder.

    Those of held-out fields stand in ``validation/``, the others at the top; ``manifest.json`` beside them keeps the
    sources and licences.

    Args:
        folder: to make; it may exist where it is empty or holds such a copy, whole or in part.
        hold_out: names of fields, see :func:`fields`.
        modality: of the images.

    Returns:
        What is known of each image, by its place in the folder, such as ``validation/01_POS218_F.tif``.

    Raises:
        UserError: no such field, none left to train on, or a folder that holds something else.
    """
    held = fields(hold_out)
    copied = {
        f"{'validation/' if record.field in held else ''}{Path(name).name}": record
        for name, record in records(modality).items()
    }
    if all(record.field in held for record in copied.values()):
        raise UserError("Every field is held out, so that no image is left to train on.")
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not _is_ours(path, copied.get(path.relative_to(folder).as_posix())):
            raise UserError(f"{folder} holds something else: {path}. Name an empty folder, or one yet to be made.")
    for place, record in copied.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image_path(record.name), folder / place)
    images = [asdict(record) | {"name": place} for place, record in copied.items()]
    manifest = {"note": _COPY_NOTE, "held out": sorted(held), "images": images}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return copied


def _is_ours(path: Path, record: ImageRecord | None) -> bool:
    """Whether a copy may overwrite a file: it is an earlier copy of the same."""
    if path.name == _MANIFEST:
        return _COPY_NOTE in path.read_text(encoding="utf-8", errors="replace")
    return record is not None and hashlib.sha256(path.read_bytes()).hexdigest() == record.sha256
