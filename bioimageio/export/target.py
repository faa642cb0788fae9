"""A folder that appears under its name only when it is whole, and takes the place of an older package safely."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relumen.errors import CheckFailedError, UserError
from relumen.rdf import RDF_NAME


def check_target(folder: Path, overwrite: bool) -> None:
    """Refuses to write where something stands.

    Raises:
        UserError: there is something; with ``overwrite``, something that is no package.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if not overwrite:
        raise UserError(f"There is something at {folder} already. Choose another folder, or give --overwrite.")
    if not (folder / RDF_NAME).is_file():
        raise UserError(
            f"{folder} is no package (it has no {RDF_NAME}), so it is not overwritten. Choose another folder."
        )


@contextmanager
def appears_whole(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Gives a temporary sibling of ``folder`` that takes its place at the end, or is removed on any failure.

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
        if overwrite and folder.exists():
            _replace(folder, partial)
        else:
            os.replace(partial, folder)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "Free some space, or choose another folder." if full else "Choose another folder."
        raise CheckFailedError(
            f"The package {folder} could not be written ({error.strerror or error}). {advice}"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace(folder: Path, partial: Path) -> None:
    """Puts the new package in the place of the old one, which stays where that fails."""
    old = partial.with_name(f"{partial.name}.old")
    os.replace(folder, old)
    try:
        os.replace(partial, folder)
    except OSError:
        os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
