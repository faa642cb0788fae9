"""The settings of the paper's Table 2 and Fig. 5, on stand-ins, at one effort on a CPU.

Trains CIN-GAN on ten defective images of each kind, and restorers on ten pairs: alone, with its defects among them to
the end as in the paper, and with these in the first half alone; three times with other pairs. Then, once each, CIN-GAN
for each defect apart, the baselines, and more pairs. Figures on these images say nothing about the paper's. Runs that
are there are gone on with, or taken as they are.

    python benchmarks/long/limited_table2.py           # about 3 hours of one core; two run beside each other

A network of all three defects is trained three times as long as one of a single defect, so that the effort is equal.
"""

from __future__ import annotations

import argparse
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock

from trials import DEFECTS, RUNS, STAND_INS, Trial, make_stand_ins, relumen

SEEDS = (0, 1, 2)
FEW = 10
MORE = (50,)
ALL = 1000
MAKER_STEPS = 1600  # of CIN-GAN; of a restorer:
STEPS = 1000
PRECISION = "precision=mixed_bfloat16"  # of restorers: half the time where the processor has matrix units
ONE_CORE = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
UNTIL = 0.5  # of a training, where made pairs begin it and real ones alone end it


@dataclass(frozen=True)
class Made:
    """A data set of defects that CIN-GAN made, after the runs that it needs.

    Attributes:
        folder: under runs/.
        makers: the runs.
    """

    folder: str
    makers: tuple[Trial, ...]
    lock: Lock = field(default_factory=Lock, compare=False)

    def make(self) -> None:
        """Trains the makers, and makes the data set, once for all rows that want it."""
        with self.lock:
            for maker in self.makers:
                maker.train("cin-gan", STAND_INS)
            place = RUNS / self.folder
            if not (place / "manifest.json").is_file():
                shutil.rmtree(place, ignore_errors=True)
                runs = [str(maker.run.path) for maker in self.makers]
                relumen("data", "synthesise", *runs, "--clean", str(STAND_INS), "-o", str(place))


@dataclass(frozen=True)
class Row:
    """Trainings that make one row of the table, and what they need first."""

    system: str
    trials: tuple[Trial, ...]
    made: Made | None = None

    def train(self) -> None:
        """Trains what is missing."""
        if self.made is not None:
            self.made.make()
        for trial in self.trials:
            trial.train(self.system, STAND_INS)


@cache
def joint(k: int, seed: int) -> Made:
    """The defects of one CIN-GAN for all, which saw k images of each."""
    steps = f"steps={MAKER_STEPS}"
    maker = Trial("CIN-GAN", f"limited-cin-gan-{k}-{seed}", (f"images={k}", f"seed={seed}", steps))
    return Made(f"limited-made-{k}-{seed}", (maker,))


@cache
def separate(k: int, seed: int) -> Made:
    """The defects of a GAN for each, equal in effort."""
    same = (f"images={k}", f"seed={seed}", f"steps={MAKER_STEPS // len(DEFECTS)}")
    makers = [Trial("GAN", f"limited-gan-{name}-{k}-{seed}", (*same, f"defects=[{name}]")) for name in DEFECTS]
    return Made(f"limited-made-apart-{k}-{seed}", tuple(makers))


def restorer(name: str, k: int, seed: int, made: Made | None = None, *, until: float = 1.0) -> Row:
    """A restorer of all defects, on k real pairs of each, and made ones up to a part of the training."""
    changes = [f"pairs={k}", f"seed={seed}", f"steps={STEPS}", PRECISION]
    if made is not None:
        folder, share = (RUNS / made.folder).resolve(), 1 if k == 0 else 0.5
        changes.append(f"synthetic={{folder: {folder}, share: {share}, until: {until}}}")
    return Row("cgan", (Trial(name, f"limited-{name}-{k}-{seed}", tuple(changes)),), made)


def baseline(system: str, preset: str, k: int, seed: int) -> Row:
    """A network of one defect for each, equal in effort."""
    count = f"pairs={k}" if system == "cgan" else f"images={k}"
    same = (count, f"seed={seed}", f"steps={STEPS // len(DEFECTS)}", PRECISION)
    trials = [
        Trial(preset, f"limited-{preset}-{name}-{k}-{seed}", (*same, f"defects=[{name}]"), preset) for name in DEFECTS
    ]
    return Row(system, tuple(trials))


def rows() -> list[Row]:
    """All of them, what matters most first."""
    few = [restorer("real", FEW, seed) for seed in SEEDS]
    few += [restorer("then-real", FEW, seed, joint(FEW, seed), until=UNTIL) for seed in SEEDS]
    few += [restorer("real-cin-gan", FEW, seed, joint(FEW, seed)) for seed in SEEDS]
    others = [baseline("cgan", preset, FEW, 0) for preset in ("care", "deblurgan")]
    others.append(baseline("cyclegan", "compact", FEW, 0))
    others.append(restorer("none-cin-gan", 0, 0, joint(FEW, 0)))
    others.append(restorer("then-real-apart", FEW, 0, separate(FEW, 0), until=UNTIL))
    more = [restorer("real", k, 0) for k in (ALL, *MORE)]
    more += [restorer("then-real", k, 0, joint(k, 0), until=UNTIL) for k in MORE]
    return few + others + more


def main() -> None:
    """Trains what is missing, and leaves the table and the figures beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="trainings beside each other, each on a core")
    jobs = parser.parse_args().jobs
    make_stand_ins()
    plan = rows()
    os.environ |= ONE_CORE
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(Row.train, plan))
    for name in ONE_CORE:
        del os.environ[name]
    judged = RUNS / "limited-table2"
    makers = [str(maker.run.path) for seed in SEEDS for maker in joint(FEW, seed).makers]
    runs = [str(trial.run.path) for row in plan for trial in row.trials]
    data = ["--data", str(STAND_INS), "--crop", "160"]
    relumen("evaluate", "limited", *runs, *makers, *data, "-o", str(judged), "--overwrite")
    here = Path(__file__).with_suffix("")
    shutil.copyfile(judged / "table.md", here.with_name(f"{here.name}.md"))
    for figure in sorted([*judged.glob("figure-[345].png"), *judged.glob("figure-[67]-*-0.png")]):  # of one seed
        shutil.copyfile(figure, here.with_name(f"{here.name}-{figure.name}"))


if __name__ == "__main__":
    main()
