"""Progress bars: with rate and time left, silent where there is no terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(highlight=False)


def progress_bar(unit: str) -> Progress:
    """A bar that counts ``unit``s; give it to a ``with`` statement and add a task."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def say(message: str) -> None:
    """Prints a line for the user, as it is."""
    console.print(message, markup=False, soft_wrap=True)
