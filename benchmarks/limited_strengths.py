"""Shows when a restorer of several defects helps: its gain by the strength of a defect, down to where it harms.

The held-out stand-ins are degraded anew, each at several strengths of each defect, and restored. Beside noise stand
Gaussian and non-local means denoising, each at the setting that is best for the image against its truth, which no user
can know. A network that restores whatever comes changes an image that lacks nothing as well: how much is the last row.

    python benchmarks/limited_strengths.py > benchmarks/limited_strengths.md
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from relumen.restore import Restorer
    from relumen.training.stand_ins import Strengths

PHOTONS = (10, 30, 100, 300)
PLANES = (4, 6, 8, 12)
COARSE = (2, 4, 8)


class Judged(NamedTuple):
    """PSNR of each patch in dB, before and after; of the best of Gaussian and non-local means where that is asked."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    classical: NDArray[np.float64] | None


def main() -> None:
    """Measures, and prints a Markdown table."""
    from relumen.restore import open_model
    from relumen.training.stand_ins import held_out_patches

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=Path("cgan-fluorescence"), help="a run, a package, or the name of a shipped model"
    )
    arguments = parser.parse_args()
    patches = list(held_out_patches())
    print(
        f"PSNR (dB) of {len(patches)} held-out patches before and after `{arguments.model.name}`, made by `python "
        "benchmarks/limited_strengths.py`.\n\n"
        "| what they lack | before | best of Gaussian and non-local means | after | gain, from and to | better |\n"
        "|---|---|---|---|---|---|"
    )
    with open_model(arguments.model) as model:
        for defect, words, strengths in plan():
            print(row(words, judge(patches, defect, strengths, model)), flush=True)
        after = [restored_psnr(patch, patch, model) for patch in patches]
    print(f"| nothing | - | - | {sum(after) / len(after):.2f}, at the worst {min(after):.2f} | - | - |")


def plan() -> list[tuple[str, str, Strengths]]:
    """Each defect at each of its strengths, and that in words."""
    from relumen.training.stand_ins import STRONG

    return [
        *(("noise", f"noise, {n} photons", replace(STRONG, photons=(n, n))) for n in PHOTONS),
        *(("missing-planes", f"one row of {n} left", replace(STRONG, planes=(n, n))) for n in PLANES),
        *(("low-resolution", f"{n} x {n} pixels binned", replace(STRONG, coarse=(n, n))) for n in COARSE),
    ]


def judge(patches: Sequence[NDArray[np.float32]], defect: str, strengths: Strengths, model: Restorer) -> Judged:
    """What became of all patches with a defect."""
    import numpy as np

    from relumen.evaluation.classical import best_gaussian, best_non_local_means
    from relumen.metrics import psnr

    rng = np.random.default_rng(0)
    pairs = [(strengths.make(defect, patch, rng), patch) for patch in patches]
    classical = None
    if defect == "noise":
        methods = (best_gaussian, best_non_local_means)
        classical = np.array([max(method(low, high, 1).psnr for method in methods) for low, high in pairs])
    return Judged(
        before=np.array([psnr(high, low) for low, high in pairs]),
        after=np.array([restored_psnr(low, high, model) for low, high in pairs]),
        classical=classical,
    )


def restored_psnr(low: NDArray[np.float32], high: NDArray[np.float32], model: Restorer) -> float:
    """PSNR in dB of what becomes of an image (y, x)."""
    from relumen.metrics import psnr
    from relumen.restore import restore_plane

    return psnr(high, restore_plane(low[..., None], model)[..., 0])


def row(words: str, judged: Judged) -> str:
    """A row of the table."""
    gain = judged.after - judged.before
    classical = "-" if judged.classical is None else f"{judged.classical.mean():.2f}"
    return (
        f"| {words} | {judged.before.mean():.2f} | {classical} | {judged.after.mean():.2f} | {gain.mean():+.2f}, "
        f"{gain.min():+.2f} to {gain.max():+.2f} | {(gain > 0).sum()} of {len(gain)} |"
    )


if __name__ == "__main__":
    main()
