"""What an image becomes before it enters a network, as DeepImageJ, the zoo, the macro and relumen all compute it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from relumen.chunked import Pixels
from relumen.configs import Frozen
from relumen.errors import UserError

EPS = 1e-6
"""Added to the standard deviation by zero_mean_unit_variance: the default of the format and of JDLL."""
_ROWS_AT_ONCE = 256


class Normalisation(Frozen):
    """network's input = (image - mean) / deviation, both measured on the image or stated.

    Measured ones are those of zero_mean_unit_variance in the bioimage.io specification, over y and x: the deviation is
    the standard deviation + eps.

    Attributes:
        measured: whether both are the image's own; else they are as stated.
        together: whether the measured ones are of all channels together.
        mean: of every image, where it is stated.
        deviation: of every image, where it is stated.
        eps: added to a measured standard deviation.
    """

    measured: bool = False
    together: bool = False
    mean: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    deviation: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    eps: Annotated[float, Field(ge=0, lt=1)] = EPS

    @property
    def changes(self) -> bool:
        """Whether an image enters otherwise than it is."""
        return self.measured or (self.mean, self.deviation) != (0, 1)

    def statistics(self, planes: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The mean and the deviation by which an image enters, one of each for every channel.

        Args:
            planes: the image's channels (y, x), of one size; some rows are read at a time.

        Raises:
            UserError: they are measured, and a pixel is no finite number.
        """
        if not self.measured:
            return np.full(len(planes), self.mean, np.float32), np.full(len(planes), self.deviation, np.float32)
        means = np.array([_mean(plane, lambda rows: rows.sum(dtype=np.float64)) for plane in planes])
        check_finite(means)
        if self.together:
            means[:] = means.mean()
        variances = np.array([_mean(plane, partial(_squares, mean)) for plane, mean in zip(planes, means, strict=True)])
        if self.together:
            variances[:] = variances.mean()
        return means.astype(np.float32), (np.sqrt(variances) + self.eps).astype(np.float32)

    def applied(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """An image (y, x, channels) in the units in which it enters; errors as of :meth:`statistics`."""
        mean, deviation = self.statistics(list(np.moveaxis(image, -1, 0)))
        return ((image.astype(np.float32) - mean) / deviation).astype(np.float32)


def check_finite(values: NDArray[Any]) -> None:
    """Whether an image can be computed with, by its pixels or what was made of them.

    Raises:
        UserError: a value is no finite number.
    """
    if not np.isfinite(values).all():
        raise UserError(
            "The image holds pixels that are no finite numbers (NaN or infinite). "
            "Replace them first, in Fiji with Process > Noise > Remove NaNs."
        )


def _mean(plane: Pixels, total: Callable[[NDArray[Any]], float]) -> float:
    """The mean over a plane of what is totalled over some rows (rows, x) at a time."""
    tops = range(0, plane.shape[0], _ROWS_AT_ONCE)
    return sum(total(plane[top : top + _ROWS_AT_ONCE]) for top in tops) / plane.size


def _squares(mean: float, rows: NDArray[Any]) -> float:
    return float(np.square(rows.astype(np.float64) - mean).sum())
