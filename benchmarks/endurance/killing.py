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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_KILLED = str(Path(__file__).with_name("killed.py"))
_NUMBERS = re.compile(r"\d[\d,.e+-]*|/\S+")
LONGEST_S = 600


@dataclass(frozen=True)
class Moment:
    """When a process is to be killed: whichever comes first.

    Attributes:
        change: right before it makes this change on the disk, for the ``number``-th time; "": at none.
        number: see there.
        seconds: after it was started.
    """

    change: str = ""
    number: int = 0
    seconds: float = LONGEST_S

    @classmethod
    def drawn(cls, draw: random.Random, changes: Sequence[str], seconds: float) -> Moment:
        """Half of the times at a change on the disk, each alike; else by the clock alone, up to so many seconds."""
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
        """Whether it was, or had come to its end before."""
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
    timer = threading.Timer(moment.seconds, process.kill)
    timer.start()
    assert process.stdout is not None
    lines = [line.rstrip() for line in process.stdout]
    code = process.wait()
    timer.cancel()
    made = changes.read_text().splitlines() if changes.exists() else []
    at_change = moment.change and made[-1:] == [moment.change] and made.count(moment.change) == moment.number
    phase = f"before {made[-1]}" if at_change else _NUMBERS.sub("N", lines[-1])[:60] if lines else "starting"
    if code not in (0, -signal.SIGKILL):
        phase = f"failed: {(work / 'stderr').read_text()[-2000:]}"
    return Ended(code, phase, lines)


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

    def note(self, ended: Ended) -> None:
        """Counts a kill."""
        if ended.killed:
            self.kills += 1
            self.phases[ended.phase] += 1
        elif ended.code:
            self.faults.append(f"{self.what} {ended.phase}")

    def check(self, what: str, ok: object, fault: str) -> bool:
        """Counts a check, keeps what is wrong, and gives whether it is right."""
        self.checks[what] += 1
        if not ok:
            self.faults.append(f"after kill {self.kills}: not so: {what}: {fault}")
        return bool(ok)

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
