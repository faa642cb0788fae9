"""Files that survive a power cut, and a full disk told in plain words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from relumen.errors import CheckFailedError, UserError
from relumen.whole import file_appears_whole

from .errors import DiskFullError


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Tells a disk's failures apart from those of what is written.

    Args:
        folder: which is written to; what clients are told doesn't name it.

    Raises:
        DiskFullError: in place of any error that an OSError is, or is behind, or that says the folder has no room.
    """
    try:
        yield
    except (OSError, UserError, CheckFailedError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError):
            raise no_room(cause) from error
        if isinstance(error, CheckFailedError) and str(folder) in str(error):
            raise no_room("No space left on device") from error
        raise


def no_room(cause: object) -> DiskFullError:
    """What is told of it, and never a path."""
    why = (cause.strerror if isinstance(cause, OSError) else None) or cause
    return DiskFullError(
        f"The server's disk is full, or can't be written to ({why}). Nothing was stored; try again once it has room."
    )


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """A file that is on the disk as a whole once this comes back, or isn't there.

    Args:
        path: of the file.
        write: writes it to the path that it is given.
    """
    with file_appears_whole(path) as partial:
        write(partial)
        sync(partial)
    sync(path.parent)


def sync(path: Path) -> None:
    """Has a file, or the names in a folder, on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
