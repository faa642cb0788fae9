"""Fields larger than a prior's view: where it is laid, and how the answers are put together."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from relumen.errors import UserError

Float32 = NDArray[np.float32]
Tiling = Literal["auto", "cells", "grid"]

_DIAMETER = 32  # of a nucleus, pixels of the prior's images: crops are cut so that it is about that
_SHARPNESS = 3  # power of the blending window: neighbours mix in a band about a third of the view wide


def windows(
    dna: NDArray[Any] | None, shape: tuple[int, int], view: int, factor: int, tiling: Tiling
) -> list[tuple[int, int]]:
    """Top and left of each window of ``view`` x ``view`` low-resolution pixels; together they show every pixel.

    Args:
        dna: the stain of nuclei (y, x), where it is known.
        shape: height and width of the field, low-resolution pixels.
        view: height and width of what the prior shows, low-resolution pixels.
        factor: of the search.
        tiling: "grid": windows half of which the next one shows too. "cells": windows around cells, which is what a
            prior of single cells has seen, and those of the grid whose middle they leave out. "auto": cells where
            nuclei are known, a grid where not.

    Raises:
        UserError: the field is smaller than the view, or cells are asked for without a stain of nuclei.
    """
    check_field(shape, view, factor, tiling, nuclei_known=dna is not None)
    height, width = shape
    if (height, width) == (view, view):
        return [(0, 0)]
    grid = [(top, left) for top in _starts(height, view) for left in _starts(width, view)]
    if tiling == "grid" or (tiling == "auto" and dna is None):
        return grid
    assert dna is not None  # checked
    around = [
        tuple(int(np.clip(round(c - view / 2), 0, size - view)) for c, size in zip(centre, shape, strict=True))
        for centre in nuclei(dna, factor)
    ]
    chosen = list(dict.fromkeys((top, left) for top, left in around))
    seen = np.zeros(shape, bool)
    for top, left in chosen:
        seen[top : top + view, left : left + view] = True
    rest = [each for each in grid if not seen[_middle(each[0], height, view), _middle(each[1], width, view)].all()]
    return chosen + rest


def check_field(shape: tuple[int, int], view: int, factor: int, tiling: Tiling, *, nuclei_known: bool) -> None:
    """Whether windows can be laid over a field; arguments as of :func:`windows`.

    Raises:
        UserError: as :func:`windows`.
    """
    height, width = shape
    if min(shape) < view:
        raise UserError(
            f"At {factor}x the prior shows {view} x {view} pixels. The image has {height} x {width}: take a smaller "
            "factor, or an image with more around the cell."
        )
    if tiling == "cells" and not nuclei_known and shape != (view, view):
        raise UserError("Cells are found by a stain named DNA, which this prior or image lacks. Take the tiles 'grid'.")


def _middle(start: int, length: int, view: int) -> slice:
    """The half of a window that none of its neighbours in the grid shows in its own, along one axis."""
    margin = view // 4
    stop = start + view
    return slice(start if start == 0 else start + margin, stop if stop == length else stop - margin)


def nuclei(dna: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """Centres (n, 2) of nuclei in a low-resolution image (y, x), from its top left corner, in its pixels.

    Maxima of the image after a blur of a quarter of a nucleus, at least three quarters of a nucleus apart and above
    Otsu's threshold; each is refined by the centre of mass around it.
    """
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.filters import threshold_otsu

    across = _DIAMETER / factor
    smooth = np.asarray(ndimage.gaussian_filter(dna.astype(np.float64), across / 4))
    if np.ptp(smooth) == 0:
        return np.zeros((0, 2))
    apart = max(1, round(0.75 * across))
    peaks = peak_local_max(
        smooth, min_distance=apart, threshold_abs=float(threshold_otsu(smooth)), exclude_border=False
    )
    reach = max(1, round(across / 2))
    refined = []
    for y, x in peaks:
        rows = slice(max(0, y - reach), y + reach + 1)
        columns = slice(max(0, x - reach), x + reach + 1)
        part = smooth[rows, columns] - smooth[rows, columns].min()
        weights = part / part.sum() if part.any() else np.full(part.shape, 1 / part.size)
        middle = [(weights * index).sum() for index in np.indices(part.shape)]
        refined.append((middle[0] + rows.start + 0.5, middle[1] + columns.start + 0.5))
    return np.array(refined).reshape(-1, 2)


class Mosaic:
    """The answers of windows as one field; where they overlap, what a window shows in its middle counts most.

    Args:
        shape: height and width of the field, low-resolution pixels.
        factor: of the search.
        view: height and width of a window, low-resolution pixels.
        channels: of the answers.
    """

    def __init__(self, shape: tuple[int, int], factor: int, view: int, channels: int) -> None:
        height, width = (factor * side for side in shape)
        self._factor = factor
        self._sum = np.zeros((height, width, channels), np.float32)
        self._weights = np.zeros((height, width, 1), np.float32)
        size = factor * view
        line = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** (2 * _SHARPNESS) + 1e-6  # its edge may stand alone
        self._window = (line[:, np.newaxis] * line)[..., np.newaxis].astype(np.float32)

    def add(self, window: tuple[int, int], answer: NDArray[Any]) -> None:
        """Lays an answer (size, size, channels) at the top and left of its window, low-resolution pixels."""
        top, left = (self._factor * start for start in window)
        at = slice(top, top + len(answer)), slice(left, left + answer.shape[1])
        self._sum[at] += self._window * answer
        self._weights[at] += self._window

    @property
    def field(self) -> Float32:
        """The field (factor * height, factor * width, channels)."""
        return self._sum / self._weights


def _starts(length: int, view: int) -> list[int]:
    """Where windows begin along a line, half a view apart; the last ends with it."""
    step = max(1, view // 2)
    return [*range(0, length - view, step), length - view]
