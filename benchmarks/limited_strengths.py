"""Shows when a restorer of several defects helps: its gain by the strength of a defect, down to where it harms.

The held-out stand-ins are degraded anew, each at several strengths of each defect, and restored. Beside noise stand
Gaussian and non-local means denoising, each at the setting that is best for the image against its truth, which no user
can know. A network that restores whatever comes changes an image that lacks nothing as well: how much is the last row.

    python benchmarks/limited_strengths.py > benchmarks/limited_strengths.md
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from relumen.restore import Restorer

PHOTONS = (10, 30, 100, 300)
PLANES = (4, 6, 8, 12)
COARSE = (2, 4, 8)


class Judged(NamedTuple):
    """PSNR of an image in dB, before and after, and the best of Gaussian and non-local means where that is asked."""

    before: float
    after: float
    classical: float | None


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
    with open_model(arguments.model) as model:
        rows = [(words, [judge(low, high, model, words) for low, high in pairs]) for words, pairs in cases(patches)]
    print(report(arguments.model.name, len(patches), rows))


def cases(
    patches: list[NDArray[np.float32]],
) -> Iterator[tuple[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]]]:
    """Each strength in words, and all patches with it beside themselves."""
    import numpy as np

    from relumen.training.stand_ins import Strengths

    plans = [
        *(("noise", f"noise, {each} photons", Strengths((each, each), (1, 1), (1, 1))) for each in PHOTONS),
        *(("missing-planes", f"one row of {each} left", Strengths((1, 1), (each, each), (1, 1))) for each in PLANES),
        *(
            ("low-resolution", f"{each} x {each} pixels binned", Strengths((1, 1), (1, 1), (each, each)))
            for each in COARSE
        ),
    ]
    for defect, words, strengths in plans:
        rng = np.random.default_rng(0)
        yield words, [(strengths.make(defect, patch, rng), patch) for patch in patches]
    yield "nothing", [(patch, patch) for patch in patches]


def judge(low: NDArray[np.float32], high: NDArray[np.float32], model: Restorer, words: str) -> Judged:
    """What became of an image."""
    from relumen.evaluation.classical import best_gaussian, best_non_local_means
    from relumen.metrics import psnr
    from relumen.restore import restore_plane

    after = psnr(high, restore_plane(low[..., None], model)[..., 0])
    classical = None
    if words.startswith("noise"):
        classical = max(method(low, high, 1).psnr for method in (best_gaussian, best_non_local_means))
    return Judged(psnr(high, low), after, classical)


def report(model: str, count: int, rows: list[tuple[str, list[Judged]]]) -> str:
    """The table."""
    import numpy as np

    lines = [
        f"PSNR (dB) of {count} held-out patches before and after `{model}`, made by `python "
        "benchmarks/limited_strengths.py`.",
        "",
        "| what they lack | before | best of Gaussian and non-local means | after | gain, from and to | better |",
        "|---|---|---|---|---|---|",
    ]
    for words, judged in rows:
        before, after = (np.array([getattr(each, name) for each in judged]) for name in ("before", "after"))
        classical = [each.classical for each in judged if each.classical is not None]
        beside = f"{np.mean(classical):.2f}" if classical else "-"
        if np.isinf(before).all():
            lines.append(f"| {words} | - | - | {after.mean():.2f}, at the worst {after.min():.2f} | - | - |")
            continue
        gain = after - before
        lines.append(
            f"| {words} | {before.mean():.2f} | {beside} | {after.mean():.2f} | {gain.mean():+.2f}, {gain.min():+.2f} "
            f"to {gain.max():+.2f} | {(gain > 0).sum()} of {count} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
