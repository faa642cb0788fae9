"""The best step of each search of a batch, kept on the device while the search goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class BestRead:
    """What was best, as arrays."""

    iteration: NDArray[np.int32]
    styles: Float32
    images: Float32
    low: Float32
    terms: Float32


class Best:
    """The best step of each image so far; kept on the device.

    Args:
        styles: their shape, (batch, L, d).
        images: theirs.
        low: theirs.
        terms: (batch, terms).
    """

    def __init__(
        self, styles: tuple[int, ...], images: tuple[int, ...], low: tuple[int, ...], terms: tuple[int, ...]
    ) -> None:
        batch = styles[:1]
        self._least = tf.Variable(tf.zeros(batch))
        self._iteration = tf.Variable(tf.zeros(batch, tf.int32))
        self._kept = [tf.Variable(tf.zeros(shape)) for shape in (styles, images, low, terms)]

    @property
    def variables(self) -> list[tf.Variable]:
        """All that is kept, each (batch, ...)."""
        return [self._least, self._iteration, *self._kept]

    def forget(self) -> None:
        """No step was yet."""
        self._least.assign(tf.fill(self._least.shape, np.inf))
        self._iteration.assign(tf.zeros_like(self._iteration))

    def keep(self, values: Any, iteration: Any, *parts: Any) -> None:  # noqa: ANN401
        """Takes over the parts of the images whose value is less than ever."""
        better = values < self._least
        self._least.assign(tf.where(better, values, self._least))
        self._iteration.assign(tf.where(better, iteration, self._iteration))
        for kept, part in zip(self._kept, parts, strict=True):
            kept.assign(tf.where(tf.reshape(better, (-1, *[1] * (len(part.shape) - 1))), part, kept))

    def read(self) -> BestRead:
        """What was best."""
        return BestRead(self._iteration.numpy(), *(kept.numpy() for kept in self._kept))
