"""What a server that was killed leaves on the disk, and which of its jobs may be given up for that.

A server promises to give a job up only after five sudden ends while it worked on it, with no progress in between. Here
it is counted by what lies on the disk after each end, not by the server's own counter.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

MOST = 5
"""Sudden ends at which a job is given up."""

_Kept = frozenset[tuple[str, int, int]]


class SuddenEnds:
    """Of each job: how often the server ended while it worked on it, since it got further last.

    Args:
        folder: of the server.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._begun: dict[str, float] = {}
        self._kept: dict[str, _Kept] = {}

    def note(self) -> None:
        """Looks at the disk after an end; no server may run.

        A job counts that was begun in the life that ended. What it had reached is its checkpoint but for the plan,
        which is written at the begin of the work and no progress.
        """
        for id, state, started in rows(self._folder):
            if state != "running" or started is None or self._begun.get(id) == started:
                continue  # the server ended before it came to this job again
            self._begun[id] = started
            kept = _kept(self._folder / "jobs" / id / "checkpoint")
            further = kept - self._kept.get(id, frozenset())
            self._kept[id] = kept
            self._counts[id] = 1 if further else self._counts[id] + 1

    def count(self, id: str) -> int:
        """Of a job."""
        return self._counts[id]


class Row(NamedTuple):
    """What a server's database says of a job.

    Attributes:
        id: of the job.
        state: where it stands.
        started: when the work on it began last; None: it waits, or nobody ever did.
    """

    id: str
    state: str
    started: float | None


def rows(folder: Path) -> list[Row]:
    """All jobs of a server that doesn't run, read from a copy of its database, as reading can change it."""
    with TemporaryDirectory() as copy:
        for path in folder.glob("jobs.sqlite*"):
            if not path.name.endswith("-shm"):  # is made anew of the others
                shutil.copy(path, copy)
        with closing(sqlite3.connect(Path(copy) / "jobs.sqlite")) as connection:
            there = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'jobs'").fetchone()[0]
            found = connection.execute("SELECT id, state, started FROM jobs").fetchall() if there else []
    return [Row(*each) for each in found]


def _kept(folder: Path) -> _Kept:
    """The whole files of a checkpoint, with their sizes and times."""
    if not folder.is_dir():
        return frozenset()
    files = [path for path in folder.iterdir() if path.suffix == ".npz" and not path.name.startswith(".")]
    return frozenset((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
