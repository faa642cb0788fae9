"""Progress bars: with rate and time left, silent where there is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from relumen.export.report import Check

console: Console = Console(highlight=False)


class _Rate(ProgressColumn):
    """How many units are done in a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """The unit, and the rate once it is known."""
        return Text(f"{self._unit}s" if not task.speed else f"{self._unit}s, {task.speed:.1f} a second")


def progress_bar(unit: str) -> Progress:
    """A bar that counts ``unit``s; give it to a ``with`` statement and add a task."""
    return Progress(
        TextColumn("{task.description}", markup=False),  # names of files
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def checking() -> Iterator[Callable[[Check], None]]:
    """Shows which check of a package was the last one; gives what to tell each."""
    with console.status("Checking") as status:
        yield lambda check: status.update(Text(f"Checked: {check.name}"))


def say(message: str) -> None:
    """Prints a line for the user, as it is."""
    console.print(message, markup=False, soft_wrap=True)
