"""The masked autoregressive flow of RLS: the density of latent codes, by a transform that makes them Gaussian."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
ops: Any = keras.ops  # whose annotations say that every answer may be None

BOUND = 4.0
"""Greatest absolute log-scale of a block: no code, however far out, overflows."""
_EPSILON = 1e-5  # added to variances between blocks, as Papamakarios et al.
_CHUNK = 4096  # codes that are transformed at a time


@keras.saving.register_keras_serializable("relumen")
class MaskedAutoregressiveFlow(keras.Model):
    """F of RLS: an invertible transform of codes w to z that are standard normal, with the log-determinant.

    (batch, d) -> z (batch, d), ``log |det dz/dw|`` (batch,). Only this direction, that of the density, is there. Codes
    are raw, as the mapping network gives them: a first step sets each dimension to mean 0 and deviation 1 over the
    training codes, and is counted in the determinant, so densities are of raw w. Then come blocks, each a masked
    network (:class:`MADE`) and a normalisation; the order of dimensions is reversed from one block to the next.
    Everything is computed in float32, whatever Keras's global policy is.

    A new flow has no statistics yet: call :meth:`adapt` with the training codes.

    Args:
        dimension: d, of a code.
        blocks: masked networks.
        hidden: width of each masked network's one hidden layer.
        norm: between blocks and after the last: 'batch', by the statistics of the batch in training, and of a whole
            set of codes afterwards; 'actnorm', by those of all training codes at the start, and learned from there.
        slope: below 0, of the leaky ReLU that codes come out of, which is undone before anything else (not in the
            paper); StyleGAN's mapping network has 0.2. The density then jumps where a code's dimension is 0, as that of
            such codes does. None: codes are taken as they are.
        seed: of the first weights; None: any.

    References:
        Papamakarios, Pavlakou and Murray, Masked Autoregressive Flow for Density Estimation, NeurIPS 2017, Eqs. 3-5.
        Gheisari and Genovesio, Sec. 4.1: five blocks, 1024 hidden units.
        Dinh, Sohl-Dickstein and Bengio, Density Estimation Using Real NVP, ICLR 2017, Sec. 3.7: batch normalisation.
        Kingma and Dhariwal, Glow, NeurIPS 2018, Sec. 3.1: actnorm.

    >>> flow = MaskedAutoregressiveFlow(dimension=4, blocks=2, hidden=8)
    >>> z, log_det = flow(np.zeros((3, 4), np.float32))
    >>> z.shape, log_det.shape
    (TensorShape([3, 4]), TensorShape([3]))
    """

    def __init__(
        self,
        dimension: int = 512,
        blocks: int = 5,
        hidden: int = 1024,
        norm: Literal["batch", "actnorm"] = "batch",
        slope: float | None = None,
        seed: int | None = None,
        **kwargs: Any,  # noqa: ANN401  Keras's own
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.dimension = dimension
        self.blocks = blocks
        self.hidden = hidden
        self.norm = norm
        self.slope = slope
        if norm not in ("batch", "actnorm"):
            raise ValueError(f"norm is 'batch' or 'actnorm'. Received: norm={norm!r}")
        self.steps: list[keras.layers.Layer] = [] if slope is None else [Straightening(slope, name="straightening")]
        self.steps.append(Normalisation(batch=False, learned=False, name="standardisation"))
        for block in range(blocks):
            first = None if seed is None else seed + block
            self.steps.append(MADE(hidden, reverse=block % 2 == 1, seed=first, name=f"made_{block + 1}"))
            # The greatest likelihood has z of mean 0 and deviation 1: there is nothing to learn after the last block.
            learned = norm == "actnorm" or block < blocks - 1
            self.steps.append(Normalisation(batch=norm == "batch", learned=learned, name=f"norm_{block + 1}"))
        self.build((None, dimension))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """The weights of every step."""
        for step in self.steps:
            step.build(input_shape)
        self.built = True

    def call(self, w: keras.KerasTensor, training: bool = False) -> tuple[Any, Any]:
        """The Gaussian codes z, and the log-determinant."""
        x: Any = w
        log_det: Any = 0.0
        for step in self.steps:
            x, change = step(x, training=training)
            log_det = log_det + change
        return x, log_det

    def log_prob(self, w: Any, training: bool = False) -> Any:  # noqa: ANN401  Keras's own
        """The log density p_F of raw codes (batch, d), natural logarithm: (batch,)."""
        z, log_det = self(w, training=training)
        return standard_normal_log_prob(z) + log_det

    def adapt(self, w: NDArray[Any], *, batch_norm_only: bool = False) -> None:
        """Sets the statistics of normalisations to those of codes (n, d), step by step.

        Training begins with those of all, and ends with those of batch normalisations alone. The latter should be over
        codes that the flow was not trained on: those that it was come out too near the origin, and others then too far.
        """
        x = np.array(w, np.float32)
        for step in self.steps:
            if isinstance(step, Normalisation) and (step.batch or not batch_norm_only):
                step.adapt(x)
            for start in range(0, len(x), _CHUNK):
                part = slice(start, start + _CHUNK)
                x[part] = ops.convert_to_numpy(step(x[part])[0])

    def get_config(self) -> dict[str, Any]:
        """What makes the flow again."""
        mine = {"dimension": self.dimension, "blocks": self.blocks, "hidden": self.hidden}
        return super().get_config() | mine | {"norm": self.norm, "slope": self.slope}


def standard_normal_log_prob(z: Any) -> Any:  # noqa: ANN401  Keras's own
    """The log density of a standard normal distribution at z (batch, d): (batch,)."""
    squared: Any = ops.sum(ops.square(z), axis=-1)
    return -0.5 * squared - 0.5 * z.shape[-1] * math.log(2 * math.pi)


@keras.saving.register_keras_serializable("relumen")
class MADE(keras.layers.Layer):
    """One autoregressive block: z_i = (x_i - mu_i) exp(-alpha_i), where mu_i and alpha_i are of the x before x_i.

    (batch, d) -> z (batch, d), log-determinant (batch,). One masked network with a hidden layer of ReLUs gives all mu
    and alpha at once. alpha is 4 tanh(raw / 4), so a scale lies within exp(-4)..exp(4). At first both are 0, and z
    is x.

    Weights that the masks exclude are exactly 0, and stay so because training gives them no gradient; so masks are
    applied in training alone.

    Args:
        hidden: width of the hidden layer.
        reverse: whether the last dimension is the first in order.
        seed: of the first weights; None: any.

    Attributes:
        masks: which weights of the hidden and of the output layer may be other than 0.

    References:
        Germain, Gregor, Murray and Larochelle, MADE, ICML 2015, Eqs. 8-11.
        Papamakarios et al. 2017, Eqs. 3-5.

    >>> MADE(8)(np.ones((2, 3), np.float32))[0].shape
    TensorShape([2, 3])
    """

    def __init__(
        self,
        hidden: int,
        reverse: bool = False,
        seed: int | None = None,
        **kwargs: Any,  # noqa: ANN401  Keras's own
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.hidden = hidden
        self.reverse = reverse
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Degrees of the hidden units are spread evenly over 1..d-1: one of degree m sees the first m dimensions."""
        dimension = int(input_shape[-1] or 0)
        place = np.arange(1, dimension + 1)
        place = place[::-1] if self.reverse else place
        degree = 1 + np.arange(self.hidden) * max(1, dimension - 1) // self.hidden
        self.masks = place[:, np.newaxis] <= degree, degree[:, np.newaxis] < np.tile(place, 2)
        drawn = keras.initializers.HeUniform(self.seed)

        def masked(shape: tuple[int, ...], dtype: str) -> Any:  # noqa: ANN401  Keras's own
            return drawn(shape, dtype) * ops.cast(self.masks[0], dtype)

        self.into = self.add_weight(shape=(dimension, self.hidden), initializer=masked, name="into")
        self.bias = self.add_weight(shape=(self.hidden,), initializer="zeros", name="bias")
        self.out = self.add_weight(shape=(self.hidden, 2 * dimension), initializer="zeros", name="out")
        self.out_bias = self.add_weight(shape=(2 * dimension,), initializer="zeros", name="out_bias")

    def call(self, x: Any, training: bool = False) -> tuple[Any, Any]:  # noqa: ANN401  Keras's own
        """The transformed codes z, and the log-determinant."""
        into, out = self.into, self.out
        if training:
            into, out = (ops.where(mask, weights, 0.0) for mask, weights in zip(self.masks, (into, out), strict=True))
        seen = ops.relu(ops.matmul(x, into) + self.bias)
        answer: Any = ops.matmul(seen, out) + self.out_bias
        mean, raw = answer[:, : x.shape[-1]], answer[:, x.shape[-1] :]
        bounded: Any = ops.tanh(raw / BOUND)
        log_scale = BOUND * bounded
        return (x - mean) * ops.exp(-log_scale), ops.sum(-log_scale, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return super().get_config() | {"hidden": self.hidden, "reverse": self.reverse, "seed": self.seed}


@keras.saving.register_keras_serializable("relumen")
class Straightening(keras.layers.Layer):
    """The inverse of a leaky ReLU, with the log-determinant: x where that is above 0, else x / slope.

    (batch, d) -> (batch, d), log-determinant (batch,).

    Args:
        slope: of the leaky ReLU below 0.

    >>> x, log_det = Straightening(0.2)(np.array([[1, -1]], np.float32))
    >>> np.round(x).tolist(), round(float(log_det[0]), 3)
    ([[1.0, -5.0]], 1.609)
    """

    def __init__(self, slope: float, **kwargs: Any) -> None:  # noqa: ANN401  Keras's own
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.slope = slope

    def call(self, x: Any, training: bool = False) -> tuple[Any, Any]:  # noqa: ANN401  Keras's own
        """The codes before the leaky ReLU, and the log-determinant."""
        below: Any = ops.cast(x < 0, x.dtype)
        return ops.where(x < 0, x / self.slope, x), ops.sum(below * -math.log(self.slope), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return super().get_config() | {"slope": self.slope}


@keras.saving.register_keras_serializable("relumen")
class Normalisation(keras.layers.Layer):
    """Scale and shift of each dimension, (x - mean) / deviation * exp(gamma) + beta, with the log-determinant.

    (batch, d) -> (batch, d), log-determinant (batch,).

    Args:
        batch: whether mean and deviation are the batch's in training, instead of those given to :meth:`adapt`.
        learned: whether there are gamma and beta, which begin as 0.
    """

    def __init__(self, batch: bool, learned: bool, **kwargs: Any) -> None:  # noqa: ANN401  Keras's own
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.batch = batch
        self.learned = learned

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Statistics that change nothing."""
        shape = (input_shape[-1],)
        self.mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(shape=shape, initializer="ones", trainable=False, name="deviation")
        if self.learned:
            self.gamma = self.add_weight(shape=shape, initializer="zeros", name="gamma")
            self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")

    def adapt(self, x: Float32) -> None:
        """Sets the statistics to those of x (n, d)."""
        self.mean.assign(x.mean(0, dtype=np.float64))
        self.deviation.assign(np.sqrt(x.var(0, dtype=np.float64) + (_EPSILON if self.batch else 0.0)))

    def call(self, x: Any, training: bool = False) -> tuple[Any, Any]:  # noqa: ANN401  Keras's own
        """The normalised codes and the log-determinant."""
        mean, deviation = self.mean, self.deviation
        if training and self.batch:
            mean = ops.mean(x, axis=0)
            variance: Any = ops.mean(ops.square(x - mean), axis=0)
            deviation = ops.sqrt(variance + _EPSILON)
        answer = (x - mean) / deviation
        volume: Any = ops.sum(ops.log(deviation))
        log_det = -volume
        if self.learned:
            answer = answer * ops.exp(self.gamma) + self.beta
            log_det = log_det + ops.sum(self.gamma)
        return answer, ops.zeros_like(x[:, 0]) + log_det

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return super().get_config() | {"batch": self.batch, "learned": self.learned}
