"""Whether a small generator is as good as a large one that has seen as many patches: learning curves and figures.

Trains both on the shipped images with the pixel loss alone, on the same batches in the same order, and judges them
on the same held-out fields at the same noise. RRDB-23 can't be trained on a CPU: RRDB-4 with its 64 features stands
in for it. Runs that are there are gone on with, or taken as they are.

    python benchmarks/long/compact_quality.py          # about 25 minutes on 2 idle cores
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from trials import RUNS, Trial, relumen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES = RUNS / "images-widefield"
HELD_OUT = ("kc167/POS218", "translocation/A-12", "ht29", "widefield/fitc")
SAME = (
    "phase_2=null",
    "phase_1.steps=2000",
    "precision=mixed_bfloat16",
    "check_every=200",
    "data.degradation={blur: 1.0, photons: [15, 600]}",
)
LARGE = "generator={blocks: 4, width: 64, growth: 32}"
SLOWER = "phase_1.learning_rate.initial=5.0e-4"


TRIALS = (
    Trial("RRDB-4, 64 features, rate 5e-4", "compare-rrdb4-5e4", (LARGE, SLOWER)),
    Trial("compact, rate 1e-3 (as preset)", "compare-compact-1e3"),
)


def main() -> None:
    """Trains what is missing, and writes the table and the figure beside this file."""
    relumen("data", "copy", str(IMAGES), *(word for field in HELD_OUT for word in ("--hold-out", field)))
    for trial in TRIALS:
        trial.train("esrgan", IMAGES, same=SAME)
    here = Path(__file__).with_suffix("")
    here.with_suffix(".md").write_text("\n".join(report()) + "\n", encoding="utf-8")
    curves().savefig(here.with_suffix(".png"), dpi=110)


def report() -> list[str]:
    """The table over all held-out images, by noise."""
    abouts = [trial.run.about() for trial in TRIALS]
    conditions = list(dict.fromkeys(figures.condition for figures in abouts[0].figures))
    lines = [
        "# The compact generator beside a large one, at equal patches seen",
        "",
        f"Made by `python benchmarks/long/compact_quality.py` on: {abouts[0].machine}. {abouts[0].steps} steps of 8 "
        "patches (32 x 32 pixels), pixel loss alone, the same batches in the same order, mixed bfloat16.",
        f"Data: {abouts[0].data}. Inputs: {abouts[0].degradation}.",
        "",
        "PSNR in dB, mean over the held-out images (whole images, 0.1st to 99.9th percentile of the target).",
        "",
        f"| network | {' | '.join(conditions)} | mean |",
        f"|---|{'---|' * (len(conditions) + 1)}",
    ]
    bicubic = [[f.bicubic_psnr for f in abouts[0].figures if f.condition == condition] for condition in conditions]
    lines.append(row("bicubic", [float(np.mean(values)) for values in bicubic]))
    for trial, about in zip(TRIALS, abouts, strict=True):
        means = [float(np.mean([f.psnr for f in about.figures if f.condition == each])) for each in conditions]
        lines.append(row(trial.name, means))
    lines += [
        "",
        "This says that at this effort the small network loses nothing, and no more: other learning rates of the large "
        "one and longer trainings were not tried, and the curves flatten because the rate falls to its floor.",
    ]
    lines += ["", "![PSNR on parts of held-out images over the training](compact_quality.png)"]
    return lines


def row(name: str, means: list[float]) -> str:
    """A row of the table."""
    return f"| {name} | {' | '.join(f'{value:.2f}' for value in [*means, float(np.mean(means))])} |"


def curves() -> Figure:
    """PSNR on parts of the held-out images, by patches seen."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(6.4, 4), layout="constrained")
    axes = drawing.subplots()
    for trial in TRIALS:
        with trial.run.validation_file.open(encoding="utf-8") as file:
            points = [(8 * int(line["step"]), float(line["psnr"])) for line in csv.DictReader(file)]
        axes.plot(*zip(*points, strict=True), marker=".", label=trial.name)
    axes.set_xlabel("patches seen")
    axes.set_ylabel("PSNR on held-out images (dB)")
    axes.legend()
    return drawing


if __name__ == "__main__":
    main()
