"""How far apart two answers of a network are, in a unit that fits all networks: its answer's standard deviation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LAST_BITS = 4 * float(np.finfo(np.float32).eps)
"""Of the answer's largest value: what tiles of other sizes, and other moments, round another way."""


def deviations(
    answer: NDArray[Any], reference: NDArray[Any], whole: NDArray[Any] | None = None, *, last_bits: bool = True
) -> NDArray[np.floating[Any]]:
    """The difference of every value, in standard deviations of the whole.

    Args:
        answer: of any shape.
        reference: of the same shape.
        whole: what the deviation is of: all of an answer where the others are parts of it. None: the reference.
        last_bits: whether differences in float32's last bits count. Of an answer that hardly varies about a large
            value, such as probabilities that are all about one half, they are many standard deviations, and say nothing
            of the network.

    Returns:
        0 or more each, of the answer's shape.
    """
    whole = reference if whole is None else whole
    apart = np.abs(answer - reference)
    if not last_bits:
        apart = np.maximum(apart - _LAST_BITS * float(np.abs(whole).max(initial=0.0)), 0.0)
    return apart / max(float(whole.std()), 1e-12)


def largest_deviation(
    answer: NDArray[Any], reference: NDArray[Any], whole: NDArray[Any] | None = None, *, last_bits: bool = True
) -> float:
    """The largest of :func:`deviations`; NaN where the difference of a value is."""
    return float(deviations(answer, reference, whole, last_bits=last_bits).max(initial=0.0))
