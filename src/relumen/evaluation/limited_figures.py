"""The figures of Razdaibiedina et al. on any data: restored defects (3, 4), box plots (5), made defects (6, 7).

They take plain data, so that every command that has some draws them alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from relumen.evaluation.panels import show
from relumen.evaluation.zoom import liveliest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PART = 128
"""Height and width of the parts that stand beside each other, pixels."""
_LINE = 26
"""Letters of a line under a part."""
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")  # Tol's, for any eye
_BOX, _GAP = 0.8, 1.2  # widths of a box, and of the space between two groups, in boxes


@dataclass(frozen=True)
class Restored:
    """A row of Figs. 3 and 4.

    Attributes:
        name: of the defect.
        cells: the heading of each image but the last, with its figures on the whole image and the image (y, x); the
            input first.
        target: what they should be.
        image: its name.
        target_name: its heading.
    """

    name: str
    cells: tuple[tuple[str, str, NDArray[Any]], ...]
    target: NDArray[Any]
    image: str = ""
    target_name: str = "truth"


def draw_restored(rows: Sequence[Restored]) -> Figure:
    """Figs. 3 and 4: columns are the input, the methods and the truth, rows the defects.

    Of each image the part is shown in which the truth has most edges. All parts of a row have the contrast of the
    truth's, so that a change of brightness shows. A method that was not made for a defect leaves its place empty.
    """
    columns = list(dict.fromkeys(heading for row in rows for heading, _, _ in row.cells))
    figure = Figure(figsize=(2.3 * (len(columns) + 1) + 0.4, 2.5 * len(rows) + 0.7), layout="constrained")
    grid = figure.subplots(len(rows), len(columns) + 1, squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        size = min(_PART, *row.target.shape)
        y, x = liveliest(row.target, size)
        part = slice(y, y + size), slice(x, x + size)
        told = {heading: (words, image) for heading, words, image in row.cells}
        for cell, heading in zip(axes, columns, strict=False):
            cell.set_axis_off()
            if heading in told:
                words, image = told[heading]
                show(cell, image[part], row.target[part])
                _beneath(cell, words)
        show(axes[-1], row.target[part], row.target[part])
        _beneath(axes[-1], fill(row.image, _LINE))
        _beside(axes[0], row.name)
    for cell, heading in zip(grid[0], [*columns, rows[0].target_name], strict=True):
        cell.set_title(heading, fontsize=9)
    figure.supxlabel("PSNR (dB) / SSIM of the whole image stand under its parts.", fontsize=8)
    return figure


def draw_boxes(values: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> Figure:
    """Fig. 5: how PSNR spreads over the images of each defect, by the number of real pairs and the method.

    Boxes reach from the first to the third quartile with a line at the median, whiskers over 1.5 of that at most.

    Args:
        values: PSNR of the images, by defect, then by number of pairs, then by method.
    """
    methods = list(dict.fromkeys(m for groups in values.values() for group in groups.values() for m in group))
    figure = Figure(figsize=(1.2 + 3.6 * len(values), 3.8), layout="constrained")
    for axes, (defect, groups) in zip(figure.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True):
        middles, left = [], 0.0
        for group in groups.values():
            places = left + np.arange(len(group))
            boxes = axes.boxplot(
                list(group.values()),
                positions=places,
                widths=_BOX,
                patch_artist=True,
                medianprops={"color": "black"},
                flierprops={"markersize": 2},
            )
            for box, method in zip(boxes["boxes"], group, strict=True):
                box.set_facecolor(_colour(methods.index(method)))
            middles.append(float(places.mean()))
            left = float(places[-1]) + 1 + _GAP
        axes.set_xticks(middles, list(groups))
        axes.set_xlabel("real pairs of each defect")
        axes.set_title(defect, fontsize=10)
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].set_ylabel("PSNR (dB), raw")
    handles = [Patch(facecolor=_colour(i), edgecolor="black", label=method) for i, method in enumerate(methods)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    return figure


def draw_made(rows: Sequence[tuple[str, NDArray[Any], NDArray[Any], NDArray[Any] | None]]) -> Figure:
    """Fig. 6: each made defect beside the clean image that it was made of, and a real one.

    Clean and made image have the contrast of the clean one; a real image shows something else, and has its own.

    Args:
        rows: the defect's name, the clean image (y, x), the made one, and a real one with the defect where there is.
    """
    headings = ["clean", "made", *(["real"] if any(real is not None for *_, real in rows) else [])]
    figure = Figure(figsize=(2.3 * len(headings) + 0.4, 2.4 * len(rows) + 0.4), layout="constrained")
    grid = figure.subplots(len(rows), len(headings), squeeze=False)
    for axes, (name, clean, made, real) in zip(grid, rows, strict=True):
        for cell in axes:
            cell.set_axis_off()
        show(axes[0], clean, clean)
        show(axes[1], made, clean)
        if real is not None:
            show(axes[2], real, real)
        _beside(axes[0], name)
    for cell, heading in zip(grid[0], headings, strict=True):
        cell.set_title(heading, fontsize=9)
    return figure


def draw_divergence(curves: Mapping[str, Sequence[tuple[int, float]]], real: Mapping[str, float]) -> Figure:
    """Fig. 7: PSNR between clean images and the defects made of them over the training; of the real ones, dashed.

    Args:
        curves: (step, PSNR in dB) by defect.
        real: PSNR between clean images and their real defective partners, by defect, where there are pairs.
    """
    names = list(dict.fromkeys([*curves, *real]))
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, points in curves.items():
        steps, values = zip(*points, strict=True)
        mark = "o" if len(points) == 1 else ""  # a line of one point can't be seen
        axes.plot(steps, values, marker=mark, color=_colour(names.index(name)), label=name)
    for name, value in real.items():
        axes.axhline(value, linestyle="--", color=_colour(names.index(name)))
    axes.set_xlabel("step")
    axes.set_ylabel("PSNR to the clean image (dB)")
    axes.grid(alpha=0.3)
    handles = [Line2D([], [], color=_colour(i), label=name) for i, name in enumerate(names)]
    if real:
        handles.append(Line2D([], [], color="black", linestyle="--", label="the real defect"))
    axes.legend(handles=handles, fontsize=8)
    return figure


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _beneath(axes: Axes, words: str) -> None:
    axes.text(0.5, -0.03, words, transform=axes.transAxes, ha="center", va="top", fontsize=8)


def _beside(axes: Axes, words: str) -> None:
    axes.text(-0.04, 0.5, words, transform=axes.transAxes, ha="right", va="center", rotation=90, fontsize=8)
