"""What all commands of relumen evaluate do with a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from relumen.cli.progress import console, progress_bar, say

if TYPE_CHECKING:
    from relumen.evaluation.report import Report


OnImage = Callable[[int, int], None]
"""Told (images done, in all)."""


def show_report(evaluate: Callable[[OnImage], Report], output: Path, *, overwrite: bool) -> None:
    """Evaluates with a progress bar, prints the tables, and leaves them with the figures in a folder.

    Args:
        evaluate: gives the report; is given what to tell on its way. It alone imports TensorFlow, whose notices are
            kept back until then.
        output: the folder.
        overwrite: whether an evaluation that is there may be replaced.
    """
    from relumen.device import describe_device
    from relumen.evaluation.report import check_free, write_report

    say(describe_device())
    check_free(output, overwrite=overwrite)
    with progress_bar("image") as bar:
        task = bar.add_task("evaluating", total=None)
        report = evaluate(lambda done, total: bar.update(task, completed=done, total=total))
    for note in report.notes:
        say(note)
    for table in report.tables:
        console.print(table, crop=False)  # wider than the terminal, rather than without figures
    for path in write_report(report, output):
        say(f"Written: {path}")
