"""How far apart two answers of a network are, in a unit that fits all networks: its answer's standard deviation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDED = 4 * float(np.finfo(np.float32).eps)
"""Of the answer's largest value: what engines, and sizes of tiles, round another way."""


def deviations(
    answer: NDArray[Any], reference: NDArray[Any], whole: NDArray[Any] | None = None
) -> NDArray[np.floating[Any]]:
    """The difference of every value, in standard deviations of the whole.

    Differences of no more than float32's last bits count as none: of an answer that hardly varies about a large value,
    such as probabilities that are all about one half, they would be many standard deviations.

    Args:
        answer: of any shape.
        reference: of the same shape.
        whole: what the deviation is of: all of an answer where the others are parts of it. None: the reference.

    Returns:
        0 or more each, of the answer's shape.
    """
    whole = reference if whole is None else whole
    rounded = _ROUNDED * float(np.abs(whole).max(initial=0.0))
    return np.maximum(np.abs(answer - reference) - rounded, 0.0) / max(float(whole.std()), 1e-12)


def largest_deviation(answer: NDArray[Any], reference: NDArray[Any], whole: NDArray[Any] | None = None) -> float:
    """The largest of :func:`deviations`; NaN where the difference of a value is."""
    return float(deviations(answer, reference, whole).max(initial=0.0))
