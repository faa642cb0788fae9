"""An rdf.yaml as plain values, and the files that it names, read with care: anyone may have written it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from relumen.errors import UserError
from relumen.plain_yaml import plain_values

RDF_NAME = "rdf.yaml"
_RDF_BYTES = 1 << 20
_LARGEST = 10**12
_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://|^(?:data|file|mailto):", re.IGNORECASE)


def read_rdf(folder: Path) -> dict[str, Any]:
    """A package's rdf.yaml as plain Python values.

    Raises:
        UserError: it is missing, too large, not YAML, or not a list of fields.
    """
    path = folder / RDF_NAME
    if not path.is_file():
        raise UserError(f"{folder} has no {RDF_NAME}. Give the folder in which rdf.yaml lies.")
    if path.stat().st_size > _RDF_BYTES:
        raise UserError(f"{path} has {path.stat().st_size} bytes; an rdf.yaml of over 1 MiB is not read.")
    try:
        rdf = plain_values(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = re.sub(r"\s+", " ", str(error)).strip()
        raise UserError(f"{path} is not readable as YAML: {place}.") from error
    if not isinstance(rdf, dict):
        raise UserError(
            f"{path} is not a list of fields: it holds a {type(rdf).__name__}. "
            "An rdf.yaml begins with lines such as 'format_version: 0.5.10'."
        )
    return rdf


def file_in(folder: Path, name: object, where: str) -> Path:
    """A file that an rdf names, inside the package's folder.

    Args:
        folder: the package's folder.
        name: the name in the rdf, or a map with the name under ``source``.
        where: the field, for the message.

    Raises:
        UserError: no name, an address, a path that leads out of the package, or no such file.
    """
    if isinstance(name, dict):
        name, where = name.get("source"), f"{where}.source"
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"{where} should name a file of the package. Received: {name!r}")
    if _ADDRESS.match(name):
        raise UserError(
            f"{where} is an address ({name}); relumen reads files of the package only. "
            "Download it into the package's folder and name the file."
        )
    parts = re.split(r"[/\\]", name)
    if name.startswith(("/", "\\")) or ".." in parts or ":" in name or not name.isprintable():
        raise UserError(f"{where} leads out of the package: {name!r}. Name a file inside its folder.")
    path = folder / name
    try:
        inside, there = path.resolve().is_relative_to(folder.resolve()), path.is_file()
    except OSError:  # of a name that is longer than a file system's
        inside, there = True, False
    if not inside:
        raise UserError(f"{where} is a link that leads out of the package: {name!r}.")
    if not there:
        raise UserError(f"{where} names {short(name)}, and the package has no such file. Unpack or make it again.")
    return path


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer, not a truth value, and of a size that can be reckoned with."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number, not a truth value, and of a size that can be reckoned with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def short(value: object) -> str:
    """A value as it is shown in a message."""
    words = repr(value)
    return words if len(words) <= 80 else f"{words[:77]}..."
