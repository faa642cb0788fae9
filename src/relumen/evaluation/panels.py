"""Restored images beside each other: in the layout of Chatton's Figs. 5-11, and of Han and Yin's Figs. 4 and 6."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from relumen.evaluation.scores import Method, Sample
from relumen.evaluation.zoom import liveliest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PERCENTILES = (0.5, 99.8)
_ZOOM = 4
"""How many times smaller than the image the enlarged part is."""
_PATCH = 256
"""Height and width of the parts that stand beside each other, pixels: the images of Han and Yin."""


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
        show(whole[i], image, target)
        whole[i].set_title(f"({chr(ord('a') + i)}) {title}", fontsize=9)
        whole[i].add_patch(Rectangle((x - 0.5, y - 0.5), size, size, fill=False, edgecolor="red", linewidth=1.2))
        show(zoomed[i], image[part], target[part])
    return drawing


def draw_beside(samples: Sequence[Sample], methods: Sequence[Method]) -> Figure:
    """Columns: (a) the target, (b) and so on the methods. Rows: a part of each image, each another place.

    PSNR and SSIM of the whole image, raw, stand under each part. All parts of a row have the contrast of the row's
    target.
    """
    columns = [samples[0].target_name, *map(_heading, methods)]
    drawing = Figure(figsize=(2.6 * len(columns), 2.75 * len(samples) + 0.7), layout="constrained")
    grid = drawing.subplots(len(samples), len(columns), squeeze=False)
    places: list[tuple[int, int]] = []
    for row, sample in zip(grid, samples, strict=True):
        size = min(_PATCH, *sample.target.shape)
        y, x = liveliest(sample.target, size, places)
        places.append((y, x))
        part = slice(y, y + size), slice(x, x + size)
        outputs = dict(zip((score.method for score in sample.scores), sample.images, strict=True))
        figures = {score.method: score.raw for score in sample.scores}
        show(row[0], sample.target[part], sample.target[part])
        row[0].text(0.5, -0.03, name(sample), transform=row[0].transAxes, ha="center", va="top", fontsize=8)
        for cell, method in zip(row[1:], methods, strict=True):
            show(cell, outputs[method.name][part], sample.target[part])
            cell.text(0.5, -0.03, figures[method.name], transform=cell.transAxes, ha="center", va="top", fontsize=8)
    drawing.supxlabel("PSNR (dB) / SSIM of the whole image stand under its parts.", fontsize=8)
    for number, (cell, heading) in enumerate(zip(grid[0], columns, strict=True)):
        cell.set_title(f"({chr(ord('a') + number)}) {heading}", fontsize=9)
    return drawing


def _heading(method: Method) -> str:
    """A method with the setting of the paper that it is of."""
    row = method.published
    return method.name if row is None or row.name.lower() == method.name.lower() else f"{method.name}\n({row.name})"


def by_condition(samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    """The samples of each channel and condition, with words for the name of a file."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(_words(sample), []).append(sample)
    return list(groups.items())


def name(sample: Sample) -> str:
    """What a figure is of."""
    score = sample.scores[0]
    return ", ".join(filter(None, (score.image, score.channel, score.condition)))


def file_name(sample: Sample) -> str:
    """Where a figure is saved: one file for each channel and condition."""
    return f"figure-{_words(sample)}.png"


def _words(sample: Sample) -> str:
    score = sample.scores[0]
    return re.sub(r"[^\w.]+", "-", f"{score.channel} {score.condition}").strip("-")


def show(axes: Axes, image: NDArray[Any], target: NDArray[Any]) -> None:
    """An image without axes, with the contrast of its target."""
    low, high = np.percentile(target, _PERCENTILES)
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
    axes.set_axis_off()
