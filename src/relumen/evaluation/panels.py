"""Restored images beside each other in the layout of Chatton's Figs. 5-11."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from relumen.evaluation.scores import Sample
from relumen.evaluation.zoom import liveliest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PERCENTILES = (0.5, 99.8)
_ZOOM = 4
"""How many times smaller than the image the enlarged part is."""


def draw(sample: Sample) -> Figure:
    """Columns: (a) bicubic, (b) and so on the networks, last the target. Rows: the image, and its boxed part enlarged.

    PSNR and SSIM, raw, stand in parentheses under the titles. All images of a row have the contrast of the row's
    target, so that a change of brightness shows.
    """
    target = sample.target
    size = max(min(*target.shape, 32), min(target.shape) // _ZOOM)
    y, x = liveliest(target, size)
    part = slice(y, y + size), slice(x, x + size)
    images = [*sample.images, target]
    titles = [f"{score.method}\n({score.raw})" for score in sample.scores] + [f"{sample.target_name}\n"]
    height, width = target.shape
    drawing = Figure(figsize=(2.8 * len(images), 2.8 * (1 + height / width) + 0.9), layout="constrained")
    drawing.suptitle(name(sample), fontsize=9)
    whole, zoomed = drawing.subplots(2, len(images), squeeze=False, height_ratios=[height / width, 1])
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        _show(whole[i], image, target)
        whole[i].set_title(f"({chr(ord('a') + i)}) {title}", fontsize=9)
        whole[i].add_patch(Rectangle((x - 0.5, y - 0.5), size, size, fill=False, edgecolor="red", linewidth=1.2))
        _show(zoomed[i], image[part], target[part])
    return drawing


def name(sample: Sample) -> str:
    """What a figure is of."""
    score = sample.scores[0]
    return ", ".join(filter(None, (score.image, score.channel, score.condition)))


def file_name(sample: Sample) -> str:
    """Where a figure is saved: one file for each channel and condition."""
    score = sample.scores[0]
    words = re.sub(r"[^\w.]+", "-", f"{score.channel} {score.condition}").strip("-")
    return f"figure-{words}.png"


def _show(axes: Axes, image: NDArray, target: NDArray) -> None:
    low, high = np.percentile(target, _PERCENTILES)
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
    axes.set_axis_off()
