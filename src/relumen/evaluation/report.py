"""The folder that an evaluation leaves: table.md, table.csv, images.csv and ``figure-*.png``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING

from relumen.errors import UserError
from relumen.evaluation.scores import Evaluation
from relumen.evaluation.system import C, System
from relumen.evaluation.tables import Cells, as_markdown, for_terminal, images_csv, table_csv, terminal
from relumen.tables import as_csv, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

_DPI = 130
_TEXTS = ("table.md", "table.csv", "images.csv")


@dataclass(frozen=True)
class Report:
    """What an evaluation found, for people and machines.

    Attributes:
        notes: what a reader must know, in sentences.
        tables: for the terminal.
        texts: by the names of their files: table.md, table.csv, images.csv.
        figures: each with the name of its file, which begins with "figure-".
    """

    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    texts: Mapping[str, str]
    figures: Iterable[tuple[str, Figure]]


def report_of(evaluation: Evaluation, system: System[C]) -> Report:
    """The report on networks of a system."""
    return Report(
        evaluation.notes,
        tuple(for_terminal(evaluation)),
        dict(zip(_TEXTS, (as_markdown(evaluation), table_csv(evaluation), images_csv(evaluation)), strict=True)),
        system.figures(evaluation),
    )


@dataclass(frozen=True)
class Part:
    """A table of a report.

    Attributes:
        title: none of the first, which the report's heading is for.
        columns: their names.
        blocks: of rows; the terminal has a line between them.
    """

    title: str
    columns: Sequence[str]
    blocks: Sequence[Cells]


def report_of_parts(
    heading: str,
    notes: Sequence[str],
    parts: Sequence[Part],
    rows: Iterable[Mapping[str, str | float]],
    images: Iterable[Mapping[str, str | float]] | None = None,
    figures: Iterable[tuple[str, Figure]] = (),
) -> Report:
    """A report with tables of its own kind.

    Args:
        heading: what was evaluated, in a few words.
        notes: what a reader must know, in sentences.
        parts: the tables.
        rows: of table.csv.
        images: rows of images.csv, of a report that has one.
        figures: each with the name of its file.
    """
    text = [f"# {heading}", "\n".join(f"- {note}" for note in notes)]
    for part in parts:
        text += [f"## {part.title}"] if part.title else []
        text.append(markdown(part.columns, [row for block in part.blocks for row in block]))
    texts = {"table.md": "\n\n".join(text) + "\n", "table.csv": as_csv(rows)}
    return Report(
        notes=tuple(notes),
        tables=tuple(terminal(part.title or heading, part.columns, part.blocks) for part in parts),
        texts=texts if images is None else {**texts, "images.csv": as_csv(images)},
        figures=figures,
    )


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Makes the folder, so that a long evaluation doesn't end with nowhere to go.

    Raises:
        UserError: it holds an evaluation already, or can't be written to.
    """
    if _files(folder) and not overwrite:
        raise UserError(f"{folder} holds an evaluation already. Replace it with --overwrite, or name another with -o.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder} can't be written to ({error.strerror}). Choose another with -o.") from error


def write_report(report: Report, folder: Path) -> list[Path]:
    """Writes everything, in place of an evaluation that is there until then.

    Returns:
        The files.
    """
    with TemporaryDirectory(prefix=".evaluation-", dir=folder) as inside:
        for name, text in report.texts.items():
            Path(inside, name).write_text(text, encoding="utf-8")
        for name, figure in report.figures:
            figure.savefig(Path(inside, name), dpi=_DPI)
        for old in _files(folder):
            old.unlink()
        for new in Path(inside).iterdir():
            os.replace(new, folder / new.name)
    return _files(folder)


def _files(folder: Path) -> list[Path]:
    found = [folder / name for name in _TEXTS]
    return [path for path in found if path.is_file()] + sorted(folder.glob("figure-*.png"))
