"""How soon each command of relumen answers: the help of all of them, and what those tell that compute nothing.

Each is a process of its own, begun three times, of which the fastest counts: what is measured is what relumen imports,
not what else the machine does.

    python benchmarks/start_times.py > benchmarks/start_times.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer
from measuring import measured

from relumen import cli
from relumen.tables import markdown

REPEATS = 3
RELUMEN = (sys.executable, "-c", "from relumen.cli import main; main()")
AT_ONCE = (("models",), ("models", "esrgan-widefield"), ("cite",), ("doctor",))
"""Besides help: what lists and tells. Only the last needs TensorFlow and Java."""


def main() -> None:
    """Measures, and prints a Markdown table."""
    empty = fastest((sys.executable, "-c", "pass"))
    print("# How soon a command answers\n")
    print("Made by `python benchmarks/start_times.py`, the fastest of three processes each.")
    print(f"Python alone starts in {empty:.2f} s.\n")
    words = [(*path, "--help") for path in commands(typer.main.get_command(cli.app), ())]
    rows = [(f"`relumen {' '.join(each)}`", f"{fastest((*RELUMEN, *each)):.2f}") for each in (*words, *AT_ONCE)]
    print(markdown(("command", "seconds"), rows))


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:  # noqa: ANN401  click's, or typer's own
    """The words of every command, those that only hold others too."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


def fastest(command: tuple[str, ...]) -> float:
    """Seconds of the fastest of a few processes."""
    return min(measured(command)[1] for _ in range(REPEATS))


if __name__ == "__main__":
    main()
