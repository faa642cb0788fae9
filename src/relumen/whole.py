"""A folder that appears under its name only when it is whole, and takes the place of an older one safely."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relumen.errors import CheckFailedError, UserError


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
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".partial", dir=folder.parent))
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
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace(folder: Path, partial: Path) -> None:
    old = partial.with_name(f"{partial.name}.old")
    os.replace(folder, old)
    try:
        os.replace(partial, folder)
    except OSError:
        os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
