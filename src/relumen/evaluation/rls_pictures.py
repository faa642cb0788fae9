"""Pictures of a study: images in rows and columns that have names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen.evaluation.rls_study import Study
from relumen.pictures import in_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 6  # where nothing else is said
_LETTERS = 18  # of a line of a title that is no wider than its column


def spread(study: Study, count: int = _ROWS) -> NDArray[np.intp]:
    """Images of all conditions in turn."""
    of = [np.flatnonzero(study.truth.conditions == name) for name in study.truth.names]
    return np.array([part[i] for i in range(count) for part in of if i < len(part)][:count])


def as_squares(low: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Low-resolution images (n, m, m, channels) with their pixels as squares."""
    return low.repeat(factor, 1).repeat(factor, 2)


def mosaic(
    columns: Mapping[str, NDArray[Any]],
    rows: Sequence[str],
    title: str,
    beneath: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Images in rows and named columns.

    Args:
        columns: by name, images (rows, y, x, channels), 0..1.
        rows: what each row is of.
        title: of the figure.
        beneath: of columns that have it, what is said beneath each image.
    """
    from matplotlib.figure import Figure

    figure = Figure(
        figsize=(1.6 * len(columns) + 0.5, (1.8 if beneath else 1.62) * len(rows) + 0.7), layout="constrained"
    )
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for column, (name, images) in enumerate(columns.items()):
        axes[0, column].set_title(fill(name, _LETTERS), fontsize=9)
        for row, image in enumerate(images):
            axes[row, column].imshow(in_colour(image))
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
        for row, words in enumerate((beneath or {}).get(name, ())):
            axes[row, column].set_xlabel(words, fontsize=8)
    for row, name in enumerate(rows):
        axes[row, 0].set_ylabel(name, fontsize=8)
    figure.suptitle(title, fontsize=9)
    return figure
