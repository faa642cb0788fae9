"""A picture of what a search found, for people: the low-resolution image, the solutions, and how the search went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen.pictures import in_colour
from relumen.search.intensity import Channels
from relumen.search.states import Solutions
from relumen.upsampling import bicubic_to

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_SOLUTIONS = 5
_NAMES = {"best": "best fit", "mean": "mean of solutions", "std": "standard deviation, x 4"}


def draw(
    low: NDArray[Any], fields: Mapping[str, NDArray[Any]], solutions: Solutions, prior: str, channels: Channels
) -> Figure:
    """The picture of one plane.

    Args:
        low: (y, x, channels), 0..1.
        fields: results by kind ("best", "mean", "std", "1", "2", ...), (height, width, channels), 0..1.
        solutions: of the first window, for the curves.
        prior: its name.
        channels: of the prior.
    """
    from matplotlib.figure import Figure

    shape = next(iter(fields.values())).shape[:2]
    enlarged = np.stack([bicubic_to(low[..., c], shape) for c in range(low.shape[-1])], -1)
    panels = {"low resolution": low, "cubic interpolation": enlarged}
    shown = [kind for kind in fields if not kind.isdecimal() or int(kind) <= _MOST_SOLUTIONS]
    for kind in shown:
        field = 4 * fields[kind] if kind == "std" else fields[kind]
        panels[_NAMES.get(kind, f"solution {kind}")] = field
    rows, columns = -(-(len(panels) + 1) // 4), min(len(panels) + 1, 4)
    figure = Figure(figsize=(3 * columns, 3.3 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, panel) in zip(axes, panels.items(), strict=False):
        axis.imshow(in_colour(panel))
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    curve = axes[len(panels)]
    curve.plot(np.arange(1, len(solutions.history) + 1), solutions.history)
    curve.set_yscale("log" if (solutions.history > 0).all() else "linear")
    curve.set_title("objective, first window" if shape != solutions.images.shape[1:3] else "objective", fontsize=9)
    curve.set_xlabel("iteration", fontsize=8)
    for axis in axes[len(panels) + 1 :]:
        axis.axis("off")
    residual = f"residual {solutions.residual.min():.3f} of black to white"
    distance = "" if solutions.prior_distance is None else f", prior distance {solutions.prior_distance.mean():.0f}"
    figure.suptitle(
        f"Synthesised by a search of {prior}: no microscope took these\n{channels.describe()}; {residual}{distance}",
        fontsize=9,
    )
    return figure
