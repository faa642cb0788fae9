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
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from relumen.errors import CheckFailedError, UserError

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


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
        try:
            yield partial
            partial.chmod(0o755)
            if replace and folder.exists():
                _replace(folder, partial)
            else:
                os.replace(partial, folder)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "Free some space, or choose another folder." if full else "Choose another folder."
            raise CheckFailedError(f"{folder} could not be written ({error.strerror or error}). {advice}") from error


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
    """A new file or folder, and a handle of it."""
    if is_folder:
        partial = tempfile.mkdtemp(prefix=prefix, suffix=ending, dir=folder)
        return Path(partial), os.open(partial, os.O_RDONLY)
    handle, partial = tempfile.mkstemp(prefix=prefix, suffix=ending, dir=folder)
    return Path(partial), handle


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
