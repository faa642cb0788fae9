"""The settings of the paper's Table 1, on the shipped phase contrast frames, at one effort on a CPU.

Trains the narrow 8x network with each setting, then judges all on a region and on frames that were never trained on.
Figures on these images say nothing about the paper's. Runs that are there are gone on with, or taken as they are.

    python benchmarks/long/cascade_table1.py           # about 35 minutes on 2 idle cores
"""

from __future__ import annotations

import shutil
from pathlib import Path

from trials import RUNS, Trial, relumen

IMAGES = RUNS / "images-phase"
SAME = ("data.region={side: bottom, share: 0.3}", "data.offsets=4", "steps=2000")
TRIALS = (
    Trial("LapSRN", "table1-lapsrn", preset="lapsrn"),
    Trial("cascade", "table1-cascade"),
    Trial("content loss only", "table1-content", ("losses.adversarial=0",)),
    Trial("adversarial loss only", "table1-adversarial", ("losses.alpha=0", "losses.adversarial=1")),
    Trial("single image input", "table1-single", ("generator.enrichment=none", "losses.filtered=false")),
)


def main() -> None:
    """Trains what is missing, and leaves the table and the figures beside this file."""
    relumen("data", "copy", str(IMAGES), "--phase-contrast")
    for trial in TRIALS:
        trial.train("cascade", IMAGES, same=SAME)
    judged = RUNS / "table1"
    runs = [str(trial.run.path) for trial in TRIALS]
    relumen("evaluate", "cascade", *runs, "--data", str(IMAGES), "-o", str(judged), "--overwrite")
    here = Path(__file__).with_suffix("")
    for made, suffix in (("table.md", ".md"), ("figure-4.png", "-figure-4.png"), ("figure-6.png", "-figure-6.png")):
        shutil.copyfile(judged / made, here.with_name(here.name + suffix))


if __name__ == "__main__":
    main()
