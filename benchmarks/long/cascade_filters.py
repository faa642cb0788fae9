"""What the diffraction pattern filters do for the cascade: the ablation that the paper did not make.

Trains the narrow 8x cascade on the shipped phase contrast frames with the content loss alone, so that nothing but the
filters differs: the same batches in the same order, the same effort, three seeds. Judged on a region and on frames
that were never trained on. Runs that are there are gone on with, or taken as they are.

    python benchmarks/long/cascade_filters.py          # about 45 minutes on 2 idle cores
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from trials import RUNS, Trial, relumen

from relumen.run import About

IMAGES = RUNS / "images-phase"
SEEDS = (0, 1, 2)
SAME = (
    "losses.adversarial=0",
    "data.region={side: bottom, share: 0.3}",
    "data.offsets=4",
    "steps=2000",
)
ARMS = {
    "no enrichment": ("none", ("generator.enrichment=none", "losses.filtered=false")),
    "the image 12 times": ("repeat", ("generator.enrichment=repeat", "losses.filtered=false")),
    "paper's filters": ("paper", ()),
    "physical filters": ("physical", ("optics.mode=physical",)),
    "physical filters, input only": ("physical-input", ("optics.mode=physical", "losses.filtered=false")),
}
PLAIN = "no enrichment"


def main() -> None:
    """Trains what is missing, and writes the table beside this file."""
    relumen("data", "copy", str(IMAGES), "--phase-contrast")
    for seed in SEEDS:
        for arm in ARMS:
            trial(arm, seed).train("cascade", IMAGES, same=SAME)
    Path(__file__).with_suffix(".md").write_text("\n".join(report()) + "\n", encoding="utf-8")


def trial(arm: str, seed: int) -> Trial:
    """The training of an arm with a seed."""
    name, changes = ARMS[arm]
    return Trial(arm, f"filters-{name}-{seed}", (*changes, f"seed={seed}"))


def report() -> list[str]:
    """The table: means over the held-out images, then over the seeds, and differences of equal seeds."""
    abouts = {arm: [trial(arm, seed).run.about() for seed in SEEDS] for arm in ARMS}
    first = abouts[PLAIN][0]
    bicubic = np.mean([(f.bicubic_psnr, f.bicubic_ssim) for f in first.figures], 0)
    lines = [
        "# What the diffraction pattern filters do",
        "",
        f"Made by `python benchmarks/long/cascade_filters.py` on: {first.machine}. Preset compact (8x), {first.steps} "
        f"steps of 4 patches (16 x 16 input pixels), content loss alone, seeds {', '.join(map(str, SEEDS))}.",
        f"Data: {first.data}. Inputs: {first.degradation}.",
        "",
        "PSNR in dB and SSIM over the 0.1st to 99.9th percentile of the target, means over the held-out images. "
        "Differences are to the run without enrichment of the same seed: same batches, in the same order.",
        "",
        f"| what the generator sees, and L_con compares through | {' | '.join(f'seed {seed}' for seed in SEEDS)} | "
        "mean PSNR | difference, and its deviation over the seeds | mean SSIM |",
        "|---|" + "---|" * (len(SEEDS) + 3),
        f"| bicubic | {' | '.join('' for _ in SEEDS)} | {bicubic[0]:.2f} | | {bicubic[1]:.3f} |",
    ]
    plain = np.array([psnr(about) for about in abouts[PLAIN]])
    for arm, found in abouts.items():
        values = np.array([psnr(about) for about in found])
        gains = values - plain
        gain = "" if arm == PLAIN else f"{gains.mean():+.3f} (deviation {gains.std(ddof=1):.3f})"
        ssim = np.mean([f.ssim for about in found for f in about.figures])
        cells = [f"{value:.3f}" for value in values]
        lines.append(f"| {arm} | {' | '.join(cells)} | {values.mean():.3f} | {gain} | {ssim:.4f} |")
    return lines


def psnr(about: About) -> float:
    """Mean over the held-out images, dB."""
    return float(np.mean([figures.psnr for figures in about.figures]))


if __name__ == "__main__":
    main()
