"""The folder that an evaluation leaves: table.md, table.csv, images.csv and figure-*.png."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from relumen.errors import UserError
from relumen.evaluation.scores import Evaluation
from relumen.evaluation.tables import as_markdown, images_csv, table_csv
from relumen.run import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 130


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Makes the folder, so that a long evaluation doesn't end with nowhere to go.

    Raises:
        UserError: it holds an evaluation already, or can't be written to.
    """
    if _files(folder) and not overwrite:
        raise UserError(f"{folder} holds an evaluation already. Replace it with --overwrite, or name another with -o.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} can't be written to ({error.strerror}). Choose another with -o.") from error


def write_report(evaluation: Evaluation, figures: Iterable[tuple[str, Figure]], folder: Path) -> list[Path]:
    """Writes everything, in place of an evaluation that is there.

    Args:
        evaluation: what was found.
        figures: each with the name of its file.
        folder: where to.

    Returns:
        The files.
    """
    for old in _files(folder):
        old.unlink()
    texts = {"table.md": as_markdown, "table.csv": table_csv, "images.csv": images_csv}
    for name, text in texts.items():
        write_text(folder / name, text(evaluation))
    for name, figure in figures:
        figure.savefig(folder / name, dpi=_DPI)
    return _files(folder)


def _files(folder: Path) -> list[Path]:
    found = [folder / name for name in ("table.md", "table.csv", "images.csv")]
    return [path for path in found if path.is_file()] + sorted(folder.glob("figure-*.png"))
