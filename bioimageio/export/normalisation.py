"""What an image becomes before it enters a network, as DeepImageJ, the zoo, the macro and relumen all compute it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from relumen.configs import Frozen

EPS = 1e-6
"""Added to the standard deviation by zero_mean_unit_variance: the default of the format and of JDLL."""
_OTHERS = (
    "Percentiles, minimum and maximum, and a mean of each channel by itself are not offered: Fiji computes them in "
    "another way than Python, or not at all. Bring images into the network's range before they enter, and say none; or "
    "say MEAN,DEVIATION with numbers that suit all images, such as their usual 1st percentile, and what lies between "
    "that and the 99.8th"
)


class Normalisation(Frozen):
    """network's input = (image - mean) / standard deviation, both measured on the image or stated.

    Attributes:
        measured: whether both are the image's own; else they are as stated.
        together: whether the measured ones are of all channels together.
        mean: of every image, where it is stated.
        deviation: of every image, where it is stated.
    """

    measured: bool = False
    together: bool = False
    mean: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    deviation: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    @property
    def changes(self) -> bool:
        """Whether an image enters otherwise than it is."""
        return self.measured or (self.mean, self.deviation) != (0, 1)

    def statistics(self, image: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The mean and the deviation by which an image (y, x, channels) enters, one of each for every channel."""
        channels = image.shape[-1]
        if not self.measured:
            return np.full(channels, self.mean, np.float32), np.full(channels, self.deviation, np.float32)
        axes = (0, 1, 2) if self.together else (0, 1)
        mean, deviation = image.mean(axes, np.float64), image.std(axes, np.float64) + EPS
        return tuple(np.broadcast_to(each, channels).astype(np.float32) for each in (mean, deviation))  # type: ignore[return-value]

    def applied(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """An image (y, x, channels) in the units in which it enters."""
        mean, deviation = self.statistics(image)
        return (image.astype(np.float32) - mean) / deviation

    def steps(self) -> list[dict[str, Any]]:
        """The same as a package's preprocessing; only what JDLL computes as bioimageio.core does."""
        if self.measured:
            axes = ["channel", "y", "x"] if self.together else ["y", "x"]
            return [{"id": "zero_mean_unit_variance", "kwargs": {"axes": axes, "eps": EPS}}]
        if not self.changes:
            return []
        return [{"id": "scale_linear", "kwargs": {"gain": 1 / self.deviation, "offset": -self.mean / self.deviation}}]


_WORDS = {
    "input": Normalisation(measured=True),
    "together": Normalisation(measured=True, together=True),
    "none": Normalisation(),
}


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value in _WORDS:
        return _WORDS[value]
    try:
        mean, deviation = map(float, value.split(","))
    except ValueError:
        raise ValueError(
            f"say {', '.join(_WORDS)}, or MEAN,DEVIATION such as 0,255 for an image that is divided by 255. {_OTHERS}"
        ) from None
    return Normalisation(mean=mean, deviation=deviation)


Normalised = Annotated[Normalisation, BeforeValidator(_parsed)]
"""As a field that is also told as text: input, together, none, or two numbers."""
