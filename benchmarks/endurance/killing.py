"""Processes that end without warning, at moments that are drawn so that every phase of a command is hit."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

_KILLED = str(Path(__file__).with_name("killed.py"))
_NUMBERS = re.compile(r"\d[\d,.e+-]*|/\S+")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Moment:
    """When a process is to be killed: whichever comes first; never by default.

    Attributes:
        change: right before it makes this change on the disk, for the ``number``-th time; "": at none.
        number: see there.
        seconds: after it was started; None: it is left to its end.
    """

    change: str = ""
    number: int = 0
    seconds: float | None = None

    @classmethod
    def drawn(cls, draw: random.Random, changes: Sequence[str], seconds: float) -> Moment:
        """Half of the times at a change that is known, each alike; else by the clock alone, up to so many seconds."""
        if changes and draw.random() < 0.5:
            return cls(draw.choice(changes), draw.choice((1, 1, 2, 3)), 2 * seconds)
        return cls(seconds=draw.uniform(0, seconds))


@dataclass
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; the number of the signal, negative, where one ended it.
        phase: what it did: the change that it was about to make, or the last line that it said.
        lines: all that it said.
    """

    code: int
    phase: str
    lines: list[str] = field(default_factory=list)

    @property
    def killed(self) -> bool:
        """Whether it was killed, and neither came to its end nor failed."""
        return self.code == -signal.SIGKILL


def run(command: Sequence[str], folder: Path, work: Path, moment: Moment) -> Ended:
    """Runs a command of relumen until it ends or is killed.

    Args:
        command: its words after "relumen".
        folder: in which its changes count.
        work: its current folder, in which it leaves the file "changes" with those of this run.
        moment: when it is killed.
    """
    changes = work / "changes"
    changes.unlink(missing_ok=True)
    words = [sys.executable, _KILLED, str(folder), moment.change or "-", str(moment.number), *command]
    with (work / "stderr").open("w") as stderr:
        process = subprocess.Popen(words, cwd=work, stdout=subprocess.PIPE, stderr=stderr, text=True)
    timer = None if moment.seconds is None else threading.Timer(moment.seconds, process.kill)
    if timer is not None:
        timer.start()
    assert process.stdout is not None
    lines = [line.rstrip() for line in process.stdout]
    code = process.wait()
    if timer is not None:
        timer.cancel()
    phase = before(changes, moment) or (_NUMBERS.sub("N", lines[-1])[:60] if lines else "starting")
    if code not in (0, -signal.SIGKILL):
        phase = f"failed: {(work / 'stderr').read_text()[-2000:]}"
    return Ended(code, phase, lines)


def before(changes: Path, moment: Moment) -> str:
    """The change that a process was about to make as it was killed; "" where it was killed by the clock.

    Args:
        changes: that it made, as told by killed.py.
        moment: when it was to be killed.
    """
    made = changes.read_text().splitlines() if changes.exists() else []
    there = made[-1:] == [moment.change] and made.count(moment.change) == moment.number
    return f"before {moment.change}" if there else ""


@dataclass
class Found:
    """What a series of kills came to.

    Attributes:
        what: the command.
        kills: times that it was killed.
        phases: how often each phase was hit.
        faults: what was damaged or lost, in words.
        checks: what was looked at, with how often.
        seconds: that it took.
    """

    what: str
    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _counted: set[tuple[str, str]] = field(default_factory=set)
    _wrong: set[tuple[str, str]] = field(default_factory=set)

    def note(self, ended: Ended, *, may_end: bool = True) -> None:
        """Counts a kill; any other end is a fault, but for a good one of a command that comes to an end."""
        if ended.killed:
            self.kills += 1
            self.phases[ended.phase] += 1
        elif ended.code or not may_end:
            self.faults.append(f"after kill {self.kills}: {self.what} ended with {ended.code}: {ended.phase}")

    def check(self, what: str, ok: object, fault: object, of: str = "") -> bool:
        """Counts a check, keeps what is wrong, and gives whether it is right.

        Args:
            what: is to be so.
            ok: whether it is.
            fault: how it is instead.
            of: what is looked at; counted once, and its fault told once, however often it is looked at. "": each time.
        """
        if not of or (what, of) not in self._counted:
            self.checks[what] += 1
            self._counted.add((what, of))
        if not ok and not (of and (what, of) in self._wrong):
            self.faults.append(f"after kill {self.kills}: not so: {what}: {fault}")
            self._wrong.add((what, of))
        return bool(ok)

    def tried(self, what: str, look: Callable[[], _T], of: str = "") -> _T | None:
        """Checks that a look at something raises nothing, and gives what it found; None where it raised."""
        try:
            seen = look()
        except Exception as error:  # of any reader: what is damaged is told, and the next is looked at
            self.check(what, False, f"{of} {type(error).__name__}: {error}", of)
            return None
        self.check(what, True, "", of)
        return seen

    def done(self) -> Found:
        """Takes the time."""
        self.seconds = time.monotonic() - self._began
        return self

    def report(self) -> list[str]:
        """Tables in Markdown."""
        lines = [
            f"### {self.what}: {self.kills} kills, {len(self.faults)} faults ({self.seconds / 60:.0f} minutes)",
            "",
            "| looked at | times |",
            "|---|---|",
            *(f"| {what} | {times} |" for what, times in self.checks.items()),
            "",
            "| killed | times |",
            "|---|---|",
            *(f"| {phase.replace('|', '/')} | {times} |" for phase, times in self.phases.most_common()),
        ]
        return [*lines, "", *(f"- **{fault}**" for fault in self.faults), ""]
