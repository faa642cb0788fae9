"""Files and folders that appear under their names only when they are whole, and take the place of older ones safely.

Whatever ends the process: an older one is there until the new one is, and what a killed process left is removed when
the same file or folder is written next.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from relumen.errors import CheckFailedError, UserError

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a disk, a user's share of it, or a file that may grow no more."""
_MAKE_ROOM = "Free some space, or choose another folder."


@contextmanager
def folder_appears_whole(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Gives a temporary sibling of ``folder`` that takes its place at the end, or is removed on any failure.

    Args:
        folder: made with the folders above it.
        replace: takes the place of what stands there, which stays where that fails.

    Raises:
        UserError: nothing can be written there.
        CheckFailedError: writing failed later, as on a full disk.
    """
    with ExitStack() as stack:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial = stack.enter_context(temporary_sibling(folder, is_folder=True))
        except OSError as error:
            raise UserError(f"{folder} can't be written to ({error.strerror}). Choose another folder.") from error
        with _writing(folder):
            yield partial
            if replace and folder.exists():
                _replace(folder, partial)
            else:
                os.replace(partial, folder)


@contextmanager
def file_appears_whole(path: Path, expected_bytes: int = 0) -> Iterator[Path]:
    """Gives a temporary sibling of ``path`` that takes its place at the end, or is removed on any failure.

    Args:
        path: of the file; what stands there stays where that fails.
        expected_bytes: as of :func:`check_room`, which is asked first.

    Raises:
        UserError: the folder doesn't exist or can't be written to.
        CheckFailedError: the disk has no room, or writing failed later.
    """
    check_room(path, expected_bytes)
    with ExitStack() as stack:
        try:
            partial = stack.enter_context(temporary_sibling(path))
        except OSError as error:
            folder = path.resolve().parent
            raise UserError(f"{folder} can't be written to ({error.strerror}). Choose another folder.") from error
        with _writing(path):
            yield partial
            os.replace(partial, path)


def check_room(path: Path, expected_bytes: int = 0) -> None:
    """Whether a file or folder of that size can be made at a path.

    Raises:
        UserError: its folder doesn't exist.
        CheckFailedError: the disk has no room.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Make it first.")
    free = shutil.disk_usage(folder).free
    if expected_bytes > free:
        raise CheckFailedError(
            f"{path} needs {expected_bytes / 1e6:,.0f} MB, and {folder} has {free / 1e6:,.0f} MB free. {_MAKE_ROOM}"
        )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tells plainly what the system says while a path is written."""
    try:
        yield
    except OSError as error:
        advice = _MAKE_ROOM if error.errno in FULL else "Choose another folder."
        raise CheckFailedError(f"{path} could not be written ({error.strerror or error}). {advice}") from error


def files_in(folder: Path) -> list[str]:
    """Paths of all files inside a folder and its folders, with / between folders."""
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def copy_whole(source: Path, names: Iterable[str], folder: Path, *, replace: bool = False) -> None:
    """Copies files into a folder that appears when all are in it.

    Args:
        source: where they lie.
        names: their paths inside it, with / between folders.
        folder: to make; ``replace`` and errors as of :func:`folder_appears_whole`.
        replace: see there.
    """
    with folder_appears_whole(folder, replace=replace) as partial:
        for name in names:
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, partial / name)


@contextmanager
def temporary_sibling(path: Path, *, is_folder: bool = False) -> Iterator[Path]:
    """A new hidden file, or folder, beside a path; it is removed at the end where it still has its name.

    Those of processes that were killed while they wrote to this path are removed first: of one that is in use, a lock
    is held, which ends with its process however that ends.

    Args:
        path: of which it is made; its folder is there.
        is_folder: whether it is a folder.

    Raises:
        OSError: it can't be made.
    """
    stem, suffix = (path.name, "") if is_folder else (path.stem, path.suffix)
    prefix, ending = f".{stem}-", f".partial{suffix}"
    _remove_abandoned(path.parent, re.compile(rf"{re.escape(prefix)}[a-z0-9_]{{8}}{re.escape(ending)}"))
    partial, handle = _new(path.parent, prefix, ending, is_folder)
    while not _hold(partial, handle):
        os.close(handle)
        partial, handle = _new(path.parent, prefix, ending, is_folder)
    try:
        yield partial
    finally:
        _remove(partial)
        os.close(handle)


def _new(folder: Path, prefix: str, ending: str, is_folder: bool) -> tuple[Path, int]:
    """A new file or folder, and a handle of it; who may read it is as the user has it of all that is made."""
    while True:
        partial = folder / f"{prefix}{secrets.token_hex(4)}{ending}"
        with suppress(FileExistsError):
            if is_folder:
                partial.mkdir()
                return partial, os.open(partial, os.O_RDONLY)
            return partial, os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _hold(partial: Path, handle: int) -> bool:
    """Locks what is new; False where another process took it for abandoned before it was."""
    with suppress(OSError):  # of a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.stat(partial), os.fstat(handle))
    except FileNotFoundError:
        return False


def _remove_abandoned(folder: Path, name: re.Pattern[str]) -> None:
    """Removes the temporary files or folders of this name whose process is gone."""
    found: list[Path] = []
    with suppress(OSError):  # a folder that may be written to, and not looked into
        found += [each for each in folder.iterdir() if name.fullmatch(each.name)]
    for path in found:
        with suppress(OSError):  # it is in use, another user's, or removed by its process just now
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            finally:
                os.close(handle)


def _remove(partial: Path) -> None:
    if partial.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
    else:
        partial.unlink(missing_ok=True)


def _replace(folder: Path, partial: Path) -> None:
    """Puts a folder in another's place: in one step where the system has one, so that no kill comes between."""
    if _exchanged(folder, partial):
        return  # the older one is removed as what is temporary
    old = partial.with_name(f"{partial.name}.old")
    os.replace(folder, old)
    try:
        os.replace(partial, folder)
    except OSError:
        os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchanged(a: Path, b: Path) -> bool:
    """Has two paths change places; False where the system can't."""
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if exchange is None:
        return False
    if exchange(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(a))
