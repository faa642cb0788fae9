"""One restored field against the truth, beside what can be done without learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relumen.evaluation.classical import baselines
from relumen.evaluation.zoom import liveliest
from relumen.metrics import psnr, ssim
from relumen.tables import markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """Quality of one method on one field.

    Attributes:
        field: image and noise.
        method: such as "bicubic".
        setting: of the method, chosen as the best for this field.
        psnr: dB.
        ssim: up to 1.
    """

    field: str
    method: str
    setting: str
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Comparison:
    """All methods on one field, the network's row last.

    Attributes:
        rows: of the classical methods, then of the network.
        images: the restored image (y, x) of each row.
        low: the noisy input (y, x).
        target: the truth.
    """

    rows: tuple[Row, ...]
    images: tuple[Float32, ...]
    low: Float32
    target: Float32

    @property
    def gain(self) -> float:
        """The network's PSNR above the best of the others, in dB."""
        return self.rows[-1].psnr - max(row.psnr for row in self.rows[:-1])


def compare(field: str, low: Float32, target: Float32, output: Float32, scale: int) -> Comparison:
    """Judges a network's output on one field.

    Args:
        field: what it is called in the table.
        low: noisy input (y, x).
        target: truth (scale * y, scale * x).
        output: what the network made of the input.
        scale: magnification.
    """
    classical = baselines(low, target, scale)
    rows = [Row(field, b.method, b.setting, b.psnr, ssim(target, b.image)) for b in classical]
    rows.append(Row(field, "relumen", "", psnr(target, output), ssim(target, output)))
    return Comparison(tuple(rows), (*(b.image for b in classical), output), low, target)


def as_markdown(comparisons: Sequence[Comparison]) -> str:
    """The rows as a Markdown table."""
    rows = (row for comparison in comparisons for row in comparison.rows)
    cells = [[row.field, row.method, row.setting, f"{row.psnr:.2f}", f"{row.ssim:.3f}"] for row in rows]
    return markdown(["field", "method", "best setting", "PSNR (dB)", "SSIM"], cells) + "\n"


def figure(comparisons: Sequence[Comparison], *, crop: int = 160) -> Figure:
    """One row a field: the input, the best of the classical methods, the network, the truth.

    Args:
        comparisons: of fields of one scale.
        crop: height and width of the part that is shown, input pixels; the liveliest part of the first field.
    """
    from matplotlib.figure import Figure

    scale = comparisons[0].target.shape[0] // comparisons[0].low.shape[0]
    y, x = liveliest(comparisons[0].target, scale * crop)
    drawing = Figure(figsize=(12, 3.4 * len(comparisons)), layout="constrained")
    axes = drawing.subplots(len(comparisons), 4, squeeze=False)
    for row, comparison in zip(axes, comparisons, strict=True):
        best = max(range(len(comparison.rows) - 1), key=lambda i: comparison.rows[i].psnr)
        part = (slice(y, y + scale * crop), slice(x, x + scale * crop))
        low_part = comparison.low[y // scale : y // scale + crop, x // scale : x // scale + crop]
        darkest, brightest = np.percentile(comparison.target[part], (0.5, 99.5))
        cells = [
            (low_part, f"input\n{comparison.rows[0].field}"),
            (comparison.images[best][part], _title(comparison.rows[best])),
            (comparison.images[-1][part], _title(comparison.rows[-1])),
            (comparison.target[part], "truth\n"),
        ]
        for cell, (image, title) in zip(row, cells, strict=True):
            cell.imshow(image, cmap="gray", vmin=darkest, vmax=brightest, interpolation="nearest")
            cell.set_title(title, fontsize=9)
            cell.set_axis_off()
    return drawing


def _title(row: Row) -> str:
    setting = f" ({row.setting})" if row.setting else ""
    return f"{row.method}\n{row.psnr:.2f} dB{setting}"
