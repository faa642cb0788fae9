"""A process's memory over time, and whether it grows.

Jobs make a server's memory go up and down by hundreds of MiB: the mean says which jobs were drawn, and its slope is
uncertain by 40 MiB an hour after half an hour. What a leak raises is the memory that stays between jobs. So the least
of each two minutes is fitted; its slope is known to a few MiB an hour.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

BLOCK_S = 120
"""Samples of which the least is one point of the fit."""
FEWEST_BLOCKS = 4


class Sample(NamedTuple):
    """What the system says of a process.

    Attributes:
        seconds: since the first sample.
        resident: MiB in memory.
        own: MiB of it that are no files.
        threads: of the process.
        files: that it has open.
    """

    seconds: float
    resident: float
    own: float
    threads: int
    files: int


class Slope(NamedTuple):
    """MiB an hour, and the half width of its 95 % interval; NaN of too few samples."""

    value: float
    uncertainty: float


@dataclass(frozen=True)
class Judged:
    """Whether a process's memory grows after a warm-up.

    Attributes:
        slopes: of "resident" and "own".
        warm_up_s: seconds that are left out.
        limit: MiB an hour that are no growth.
    """

    slopes: dict[str, Slope]
    warm_up_s: float
    limit: float

    @classmethod
    def of(cls, samples: list[Sample], warm_up_s: float, limit: float) -> Judged:
        """Judges samples."""
        later = [each for each in samples if each.seconds >= warm_up_s]
        return cls({name: _slope(later, name) for name in ("resident", "own")}, warm_up_s, limit)

    @property
    def flat(self) -> bool:
        """Whether it surely grows by no more than the limit."""
        return all(slope.value + slope.uncertainty <= self.limit for slope in self.slopes.values())

    @property
    def verdict(self) -> str:
        """In words."""
        if self.flat:
            return f"Flat: surely no more than {self.limit:g} MiB an hour."
        if any(slope.value - slope.uncertainty > self.limit for slope in self.slopes.values()):
            return f"It grows: surely more than {self.limit:g} MiB an hour."
        return f"Not shown: neither surely within {self.limit:g} MiB an hour nor surely beyond."


def sample(pid: int, seconds: float) -> Sample:
    """A process at this moment."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kib = {name: int(lines[name].split()[0]) for name in ("VmRSS", "RssAnon", "Threads")}
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(seconds, kib["VmRSS"] / 1024, kib["RssAnon"] / 1024, kib["Threads"], files)


def write(samples: list[Sample], file: Path) -> None:
    """Writes them as CSV."""
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([Sample._fields, *samples])


def read(file: Path) -> list[Sample]:
    """What :func:`write` wrote."""
    with file.open(newline="") as stream:
        return [
            Sample(float(row["seconds"]), float(row["resident"]), float(row["own"]), int(row["threads"]),
                   int(row["files"]))
            for row in csv.DictReader(stream)
        ]  # fmt: skip


def _slope(samples: list[Sample], name: str) -> Slope:
    """How fast the memory that stays between jobs grows, by least squares."""
    from scipy.stats import linregress, t

    blocks: defaultdict[int, list[Sample]] = defaultdict(list)
    for each in samples:
        blocks[int(each.seconds // BLOCK_S)].append(each)
    least = [min(block, key=lambda each: getattr(each, name)) for block in blocks.values()]
    if len(least) < FEWEST_BLOCKS:
        return Slope(float("nan"), float("nan"))
    found: Any = linregress([each.seconds / 3600 for each in least], [getattr(each, name) for each in least])
    return Slope(float(found.slope), float(found.stderr * t.ppf(0.975, len(least) - 2)))


def draw(samples: list[Sample], judged: Judged, path: Path) -> None:
    """The curves of resident and own memory."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    minutes = [each.seconds / 60 for each in samples]
    axes.plot(minutes, [each.resident for each in samples], label="resident", lw=1)
    axes.plot(minutes, [each.own for each in samples], label="resident, without files", lw=1)
    axes.axvspan(0, judged.warm_up_s / 60, color="0.9", label="warm-up")
    axes.set(xlabel="minutes of serving", ylabel="MiB", ylim=(0, None))
    title = f"what stays between jobs: {_words(judged.slopes['resident'])} MiB an hour after the warm-up"
    axes.set_title(title, fontsize=10)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def report(samples: list[Sample], judged: Judged) -> list[str]:
    """The table, and the verdict."""
    later = [each for each in samples if each.seconds >= judged.warm_up_s] or samples
    lines = [
        "| memory, MiB | at the start | after the warm-up | at the end | most | slope, MiB an hour |",
        "|---|---|---|---|---|---|",
    ]
    for name, words in (("resident", "resident"), ("own", "of it no files")):
        values = [getattr(each, name) for each in (samples[0], later[0], later[-1])]
        shown = " | ".join(f"{value:.0f}" for value in (*values, max(getattr(each, name) for each in samples)))
        lines.append(f"| {words} | {shown} | {_words(judged.slopes[name])} |")
    threads, files = ([getattr(each, name) for each in later] for name in ("threads", "files"))
    return [
        *lines,
        "",
        f"The slope is that of the least memory of each {BLOCK_S:g} seconds after the warm-up of "
        f"{judged.warm_up_s / 60:g} minutes, with its 95 % interval. {judged.verdict}",
        "",
        f"After the warm-up the process had {min(threads)} to {max(threads)} threads and {min(files)} to {max(files)} "
        "open files.",
    ]


def _words(slope: Slope) -> str:
    return f"{slope.value:+.0f} ± {slope.uncertainty:.0f}"
