"""What a search moves: the codes of each image, where they begin, and where they are put back to."""

from __future__ import annotations

import math
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.prior.whitening import SLOPE, Whitening

Float32 = NDArray[np.float32]


class Codes(Protocol):
    """The unknowns of a search; the variables of one batch.

    Attributes:
        variables: what the optimiser changes.
        state: all that :meth:`begin` sets, which a search needs to go on.
        together: whether the codes of a batch have to do with each other, by :meth:`penalty`; the best step is then
            that of all.
    """

    variables: list[keras.Variable]
    state: list[keras.Variable]
    together: bool

    def begin(self, start: Float32, rng: list[np.random.Generator]) -> None:
        """Sets the variables to a start (batch, L, d) of style vectors, and draws what is drawn by each generator."""
        ...

    def codes(self) -> Any:  # noqa: ANN401
        """What the cross term compares: (batch, L, d)."""
        ...

    def styles(self) -> Any:  # noqa: ANN401
        """The style vectors of the codes: (batch, L, d)."""
        ...

    def penalty(self) -> Any:  # noqa: ANN401
        """A number to add to the sum of all objectives, where the codes of a batch have to do with each other."""
        ...

    def put_back(self) -> None:
        """Undoes what a step may not change."""
        ...


class Styles:
    """Style vectors themselves.

    Args:
        shape: (batch, L, d).
        mean: of style vectors, (d,).
        ball: radius of an L1 ball around it that each style vector stays in, times sqrt(d); None: none.
    """

    together = False

    def __init__(self, shape: tuple[int, int, int], mean: Float32, ball: float | None = None) -> None:
        self._w = keras.Variable(np.zeros(shape, np.float32), name="styles")
        self._mean = mean
        self._radius = None if ball is None else ball * math.sqrt(shape[-1])
        self.variables = self.state = [self._w]

    def begin(self, start: Float32, rng: list[np.random.Generator]) -> None:
        """At the start."""
        self._w.assign(start)

    def codes(self) -> Any:  # noqa: ANN401
        """The style vectors."""
        return self._w.value

    def styles(self) -> Any:  # noqa: ANN401
        """The style vectors."""
        return self._w.value

    def penalty(self) -> Any:  # noqa: ANN401
        """None."""
        return tf.zeros(())

    def put_back(self) -> None:
        """Into the ball."""
        if self._radius is not None:
            self._w.assign(self._mean + into_l1_ball(self._w.value - self._mean, self._radius))


class Whitened:
    """Codes v that PULSE's whitening makes of style vectors: w = LeakyReLU_0.2(deviation v + mean).

    Args:
        shape: (batch, L, d).
        whitening: its statistics.
        sphere: whether codes keep the norm of each layer that they began with.
    """

    together = False

    def __init__(self, shape: tuple[int, int, int], whitening: Whitening, *, sphere: bool) -> None:
        self._v = keras.Variable(np.zeros(shape, np.float32), name="whitened")
        self._norms = keras.Variable(np.ones((*shape[:2], 1), np.float32), trainable=False, name="norms")
        self._whitening = whitening
        self._mean = whitening.mean.astype(np.float32)
        self._deviation = whitening.deviation.astype(np.float32)
        self._sphere = sphere
        self.variables = [self._v]
        self.state = [self._v, self._norms]

    def begin(self, start: Float32, rng: list[np.random.Generator]) -> None:
        """At the start, whitened."""
        v = self._whitening(start).astype(np.float32)
        self._v.assign(v)
        self._norms.assign(np.linalg.norm(v, axis=-1, keepdims=True))

    def codes(self) -> Any:  # noqa: ANN401
        """The whitened codes."""
        return self._v.value

    def styles(self) -> Any:  # noqa: ANN401
        """Their style vectors."""
        return tf.nn.leaky_relu(self._deviation * self._v.value + self._mean, 1 / SLOPE)

    def penalty(self) -> Any:  # noqa: ANN401
        """None."""
        return tf.zeros(())

    def put_back(self) -> None:
        """Onto the sphere."""
        if self._sphere:
            self._v.assign(self._v.value * self._norms / tf.norm(self._v.value, axis=-1, keepdims=True))


def into_l1_ball(x: Any, radius: float) -> Any:  # noqa: ANN401
    """The nearest points to x (..., d) whose sum of absolute values is at most the radius.

    References:
        Duchi et al., Efficient Projections onto the l1-Ball for Learning in High Dimensions, ICML 2008, Fig. 1.

    >>> into_l1_ball(np.array([[3.0, -1.0], [0.2, 0.3]]), 2.0).numpy().tolist()
    [[2.0, 0.0], [0.2, 0.3]]
    """
    size = tf.abs(x)
    excess = tf.cumsum(tf.sort(size, axis=-1, direction="DESCENDING"), axis=-1) - radius
    # What is taken off is the excess of the coordinates that stay, over their number: the greatest of all.
    share = tf.reduce_max(excess / tf.range(1, x.shape[-1] + 1, dtype=x.dtype), -1, keepdims=True)
    return tf.sign(x) * tf.maximum(size - tf.maximum(share, 0), 0)
