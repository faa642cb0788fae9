"""Where a package may be written."""

from __future__ import annotations

from pathlib import Path

from relumen.errors import UserError
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
