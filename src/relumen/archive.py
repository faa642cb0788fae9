"""Zips: packing a folder, and unpacking what a stranger made, of which nothing leaves the target or fills the disk."""

from __future__ import annotations

import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from relumen.claims import FREE_BYTES
from relumen.errors import CheckFailedError, UserError
from relumen.whole import file_appears_whole

_CHUNK = 1 << 20
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # plain, strong, and masked-header encryption
_DRIVE = re.compile(r"^[A-Za-z]:")
_WHEN, _READABLE = (1980, 1, 1, 0, 0, 0), 0o644  # of all members, so that equal files are equal zips
NOT_READ = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What Python raises of a zip that is damaged, encrypted, or packed in a way that it doesn't know."""


@dataclass(frozen=True)
class Limits:
    """What an archive may grow to.

    Attributes:
        members: files and folders.
        total_bytes: bytes of all files together, unpacked.
        ratio: unpacked bytes for each byte of the archive file, counted once ``free_bytes`` are written.
        free_bytes: what may be written before the ratio counts (see :data:`~relumen.claims.FREE_BYTES`).
    """

    members: int = 10_000
    total_bytes: int = 8 << 30
    ratio: int = 100
    free_bytes: int = FREE_BYTES


def pack(folder: Path, names: Iterable[str], target: Path) -> None:
    """Writes files as a zip in which they lie as in their folder; it appears under its name only when it is whole.

    Args:
        folder: where the files lie.
        names: their paths inside it, with / between folders.
        target: the zip; one that is there is replaced.

    Raises:
        UserError: the target can't be written to.
        CheckFailedError: the disk is full.
    """
    files = {name: folder / name for name in names}
    room = sum(path.stat().st_size for path in files.values())
    with file_appears_whole(target, room) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, path in files.items():
            member = zipfile.ZipInfo(name, _WHEN)
            member.external_attr = _READABLE << 16
            archive.writestr(member, path.read_bytes(), zipfile.ZIP_DEFLATED)


def unpack(archive: Path, target: Path, limits: Limits | None = None) -> None:
    """Unpacks a zip into a folder that does not exist yet. Zips inside it are left as they are.

    Args:
        archive: the zip file.
        target: the folder to make; it is removed again when the archive is refused.
        limits: what the archive may grow to; counted on the bytes read, not on what its headers promise.

    Raises:
        UserError: not a zip, damaged, encrypted, a bomb, or a member that is a link, a second of its name, or
            that would be written outside the target.
        CheckFailedError: the disk refused to write.
    """
    limits = limits or Limits()
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = zipped.infolist()
            if len(members) > limits.members:
                _refuse(archive, f"it has {len(members)} members, more than {limits.members}")
            _check_members(archive, members)
            target.mkdir(parents=True)
            try:
                _write(archive, zipped, members, target, limits)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
    except NOT_READ as error:
        if isinstance(error, UserError | CheckFailedError):
            raise
        raise UserError(f"{archive} is not a zip that can be unpacked: {error}. Download or make it again.") from error
    except OSError as error:
        if not archive.is_file():
            raise UserError(f"There is no zip file at {archive}.") from error
        raise CheckFailedError(f"{archive} could not be unpacked to {target}: {error}.") from error


def _check_members(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuses by name and kind, before anything is written."""
    files: set[str] = set()
    folders: set[str] = set()
    for member in members:
        name = member.orig_filename
        parts = name.removesuffix("/").split("/")
        if name.startswith(("/", "\\")) or _DRIVE.match(name):
            _refuse(archive, f"its member {name!r} has an absolute path")
        if ".." in parts or ".." in name.split("\\"):
            _refuse(archive, f"its member {name!r} leads out of the folder")
        if "\\" in name or any(part in ("", ".") or not part.isprintable() for part in parts):
            _refuse(archive, f"the name of its member {name!r} differs between systems")
        if any(len(part.encode(errors="replace")) > 255 for part in parts):
            _refuse(archive, f"its member {name[:40]!r}... has a name of more than 255 bytes")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            _refuse(archive, f"its member {name!r} is a link or a device, not a file")
        if member.flag_bits & _ENCRYPTED:
            _refuse(archive, f"its member {name!r} is encrypted")
        # One folder on Windows and macOS holds no two names that differ only in case or in accents' encoding.
        keys = [unicodedata.normalize("NFC", part).casefold() for part in parts]
        key = "/".join(keys)
        if key in files or (key in folders and not member.is_dir()):
            _refuse(archive, f"it has two members named {name!r}")
        parents = {"/".join(keys[:depth]) for depth in range(1, len(keys))}
        if parents & files:
            _refuse(archive, f"its member {name!r} lies in a folder that is also a file")
        folders |= parents
        (folders if member.is_dir() else files).add(key)


def _write(
    archive: Path, zipped: zipfile.ZipFile, members: list[zipfile.ZipInfo], target: Path, limits: Limits
) -> None:
    allowed = min(limits.total_bytes, max(limits.free_bytes, limits.ratio * archive.stat().st_size))
    written = 0
    for member in members:
        path = target / member.filename
        if member.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipped.open(member) as source, path.open("xb") as sink:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > allowed:
                    _refuse(
                        archive,
                        f"it unpacks to more than {allowed / 2**20:.0f} MiB, which its "
                        f"{archive.stat().st_size / 2**20:.2f} MiB do not explain",
                    )
                sink.write(chunk)


def _refuse(archive: Path, why: str) -> NoReturn:
    raise UserError(f"{archive} was not unpacked, because {why}. Ask its maker for a plain zip of the files.")
