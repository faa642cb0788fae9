"""Trainings that a benchmark compares: made by relumen's own commands, gone on with, or taken as they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relumen.run import RunFolder

RUNS = Path("runs")
STAND_INS = RUNS / "stand-ins"
DEFECTS = ("low-resolution", "missing-planes", "noise")
"""Of the stand-ins."""


@dataclass(frozen=True)
class Trial:
    """One training: its name in the table, its run folder, and how it differs from the others.

    Attributes:
        name: in tables.
        folder: under runs/.
        changes: "name=value".
        preset: of the system; None for its default.
    """

    name: str
    folder: str
    changes: tuple[str, ...] = ()
    preset: str | None = None

    @property
    def run(self) -> RunFolder:
        """Where it is trained."""
        return RunFolder(RUNS / self.folder)

    def train(self, system: str, images: Path, *, same: Sequence[str] = ()) -> None:
        """Trains it to its end, with the changes that all trials share."""
        if self.run.config_file.is_file():
            relumen("train", system, "--resume", str(self.run.path))
            return
        changes = [word for change in (*same, *self.changes) for word in ("--set", change)]
        options = ["--preset", self.preset] if self.preset else []
        relumen("train", system, "--data", str(images), "-o", str(self.run.path), *options, *changes)


def relumen(*arguments: str) -> None:
    """Runs relumen's command line."""
    subprocess.run([str(Path(sys.executable).with_name("relumen")), *arguments], check=True)


def make_stand_ins() -> None:
    """Makes the stand-ins of the limited-data benchmarks where they are not there yet."""
    if not STAND_INS.is_dir():
        relumen("data", "stand-ins", str(STAND_INS), "--pairs", "1000")
