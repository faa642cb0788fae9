"""What StyleGAN2's generator and discriminator are made of: equalised layers, modulated convolution, resampling.

Weights are drawn with deviation 1 and scaled when they are used, so that all learn at one rate (equalised learning
rate; Karras et al., Progressive Growing of GANs, ICLR 2018, Sec. 4.1). Activations are leaky ReLU, times sqrt(2) so
that they keep their variance.

What lies between two convolutions is compiled by XLA into one pass over the features, in single precision, and the
convolutions are left to the device's library, whose half precision XLA does not use on a CPU: a training step is
faster than where XLA compiles all of it (benchmarks/prior_speed.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

ops: Any = keras.ops  # whose annotations say that every answer may be None

SLOPE = 0.2  # of leaky ReLU below 0
GAIN = math.sqrt(2)  # after it


class Dense(keras.layers.Layer):
    """A dense layer with equalised learning rate: (batch, features) -> (batch, units).

    Args:
        units: of the output.
        lr_multiplier: of its learning rate (StyleGAN2, Appendix B: 0.01 in the mapping network).
        activation: whether leaky ReLU follows.
    """

    def __init__(
        self,
        units: int,
        lr_multiplier: float = 1.0,
        activation: bool = False,
        **kwargs: Any,  # noqa: ANN401  Keras's own
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.lr_multiplier = lr_multiplier
        self.activation = activation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Kernel of deviation 1 after the multiplier, bias 0."""
        features = int(input_shape[-1] or 0)
        at_first = keras.initializers.RandomNormal(0.0, 1 / self.lr_multiplier)
        self.kernel = self.add_weight(shape=(features, self.units), initializer=at_first, name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.scale = self.lr_multiplier / math.sqrt(features)

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The output."""
        answer: Any = ops.matmul(x, self.scale * self.kernel) + self.lr_multiplier * self.bias
        return activated(answer) if self.activation else answer


class Conv(keras.layers.Layer):
    """A convolution with equalised learning rate: (batch, y, x, features) -> (batch, y, x, filters), or half of y, x.

    Args:
        filters: of the output.
        size: of the kernel.
        down: whether the image is blurred and halved.
        activation: whether there is a bias, followed by leaky ReLU.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        down: bool = False,
        activation: bool = True,
        **kwargs: Any,  # noqa: ANN401  Keras's own
    ) -> None:
        super().__init__(**kwargs, autocast=False)
        self.filters = filters
        self.size = size
        self.down = down
        self.activation = activation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Kernel of deviation 1, bias 0."""
        features = int(input_shape[-1] or 0)
        shape = (self.size, self.size, features, self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=keras.initializers.RandomNormal(0.0, 1.0), name="kernel")
        self.bias = (
            self.add_weight(shape=(self.filters,), initializer="zeros", name="bias") if self.activation else None
        )
        self.scale = 1 / math.sqrt(self.size**2 * features)

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The output."""
        kernel: Any = ops.cast(self.scale * self.kernel, self.compute_dtype)
        x = ops.cast(x, self.compute_dtype)
        if not self.down:
            answer: Any = ops.conv(x, kernel, padding="same")
        elif self.size == 1:
            answer = ops.conv(halved(x), kernel)
        else:
            answer = ops.conv(blurred(x, border=2), kernel, strides=2, padding="valid")
        return answer if self.bias is None else _biased(answer, ops.cast(self.bias, "float32"))


class Modulated(keras.layers.Layer):
    """What a style vector modulates: the affine map from it to a factor for each feature, "A" in StyleGAN2's Fig. 2.

    Its layers cast by themselves: styles stay in single precision, whatever the features are in.

    Args:
        w_dim: length of a style vector.
        clamp: greatest absolute value of the answer; None: any.
    """

    def __init__(self, w_dim: int, clamp: float | None = None, **kwargs: Any) -> None:  # noqa: ANN401  Keras's own
        super().__init__(**kwargs, autocast=False)
        self.w_dim = w_dim
        self.clamp = clamp

    def _add_affine(self, features: int) -> None:
        """Weights of deviation 1, factors of 1 at first."""
        normal = keras.initializers.RandomNormal(0.0, 1.0)
        self.affine_kernel = self.add_weight(shape=(self.w_dim, features), initializer=normal, name="affine_kernel")
        self.affine_bias = self.add_weight(shape=(features,), initializer="ones", name="affine_bias")

    def _style(self, w: Any) -> Any:  # noqa: ANN401  Keras's own
        """A factor for each feature: (batch, w_dim) -> (batch, features)."""
        return ops.matmul(w, self.affine_kernel / math.sqrt(self.w_dim)) + self.affine_bias


class StyledConv(Modulated):
    """Modulated convolution, noise, bias and leaky ReLU (StyleGAN2, Fig. 2c and d, Eqs. 1-3).

    (batch, y, x, features), style vector (batch, w_dim) -> (batch, size, size, filters). The activations are scaled
    before and after the convolution, not the kernels: so one kernel serves the whole batch.

    Args:
        filters: of the output.
        size: height and width of the output.
        w_dim: length of a style vector.
        up: whether the features are doubled.
        clamp: greatest absolute activation; None: any.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        w_dim: int,
        up: bool = False,
        clamp: float | None = None,
        **kwargs: Any,  # noqa: ANN401  Keras's own
    ) -> None:
        super().__init__(w_dim, clamp, **kwargs)
        self.filters = filters
        self.size = size
        self.up = up

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Kernel of deviation 1, styles of 1 at first, noise maps that are drawn once and not yet added."""
        features = int(input_shape[-1] or 0)
        normal = keras.initializers.RandomNormal(0.0, 1.0)
        self.kernel = self.add_weight(shape=(3, 3, features, self.filters), initializer=normal, name="kernel")
        self._add_affine(features)
        self.noise_strength = self.add_weight(shape=(), initializer="zeros", name="noise_strength")
        self.noise = self.add_weight(shape=(self.size, self.size), initializer=normal, trainable=False, name="noise")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x: keras.KerasTensor, w: keras.KerasTensor, noise: Any = None) -> keras.KerasTensor:  # noqa: ANN401
        """The features.

        Args:
            x: the features before.
            w: style vectors (batch, w_dim).
            noise: a map (y, x) or (batch, y, x, 1) to add; None: nothing is added.
        """
        style = self._style(w)
        power = ops.sum(ops.square(self.kernel), axis=(0, 1))
        demodulation = ops.rsqrt(ops.matmul(ops.square(style), power) + 1e-8)
        kernel: Any = ops.cast(self.kernel, self.compute_dtype)
        x = _scaled(ops.cast(x, self.compute_dtype), style)
        if self.up:
            x = ops.conv_transpose(x, ops.transpose(kernel, (0, 1, 3, 2)), strides=2, padding="valid")
            x = blurred(x, border=1, gain=4.0)
        else:
            x = ops.conv(x, kernel, padding="same")
        added: Any = ops.zeros(()) if noise is None else self.noise_strength * tf.convert_to_tensor(noise)
        added = ops.reshape(added, (1, 1, 1, 1) if noise is None else (-1, self.size, self.size, 1))
        return _finished(x, demodulation, added, ops.cast(self.bias, "float32"), clamp=self.clamp)


class ToRGB(Modulated):
    """The image that features show: a modulated 1x1 convolution without demodulation (StyleGAN2, Fig. 7b).

    (batch, y, x, features), style vector (batch, w_dim) -> (batch, y, x, channels), float32.

    Args:
        channels: of the image; three in the paper, hence the name.
        w_dim: length of a style vector.
        clamp: greatest absolute value; None: any.
    """

    def __init__(self, channels: int, w_dim: int, clamp: float | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(w_dim, clamp, **kwargs)
        self.channels = channels

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Kernel of deviation 1, styles of 1 at first."""
        features = int(input_shape[-1] or 0)
        normal = keras.initializers.RandomNormal(0.0, 1.0)
        self.kernel = self.add_weight(shape=(1, 1, features, self.channels), initializer=normal, name="kernel")
        self._add_affine(features)
        self.bias = self.add_weight(shape=(self.channels,), initializer="zeros", name="bias")

    def call(self, x: keras.KerasTensor, w: keras.KerasTensor) -> keras.KerasTensor:
        """The image."""
        style = self._style(w) / math.sqrt(self.kernel.shape[2])
        answer: Any = ops.conv(_scaled(x, style), ops.cast(self.kernel, x.dtype))
        return clamped(ops.cast(answer, "float32") + self.bias, self.clamp)


def activated(x: Any) -> Any:  # noqa: ANN401  Keras's own
    """Leaky ReLU that keeps the variance."""
    return ops.leaky_relu(x, SLOPE) * GAIN


def clamped(x: Any, limit: float | None) -> Any:  # noqa: ANN401  Keras's own
    """Values between -limit and limit."""
    return x if limit is None else ops.clip(x, -limit, limit)


def _fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles what it decorates into one pass; its answer has the dtype of the first argument."""
    compiled: dict[Any, Callable[..., Any]] = {}  # one for each layer's shapes: TensorFlow warns of one for many

    def call(x: Any, *others: Any, **options: Any) -> Any:  # noqa: ANN401  Keras's own
        shapes = tuple((tuple(each.shape), each.dtype) for each in (x, *others))
        key = (shapes, *sorted(options.items()))
        if key not in compiled:
            compiled[key] = tf.function(
                partial(_in_single_precision, function, **options), autograph=False, jit_compile=True
            )
        return compiled[key](x, *others)

    return call


def _in_single_precision(function: Callable[..., Any], x: Any, *others: Any, **options: Any) -> Any:  # noqa: ANN401
    return ops.cast(function(ops.cast(x, "float32"), *others, **options), x.dtype)


@_fused
def _scaled(x: Any, style: Any) -> Any:  # noqa: ANN401  Keras's own
    """Features times the style of each."""
    return x * _everywhere(style)


@_fused
def _biased(x: Any, bias: Any) -> Any:  # noqa: ANN401  Keras's own
    return activated(x + bias)


@_fused
def _finished(x: Any, demodulation: Any, noise: Any, bias: Any, clamp: float | None) -> Any:  # noqa: ANN401
    return clamped(activated(x * _everywhere(demodulation) + noise + bias), clamp)


def blurred(x: Any, border: int, gain: float = 1.0) -> Any:  # noqa: ANN401  Keras's own
    """The binomial filter [1, 3, 3, 1] along y and x, after a border of zeros.

    (batch, y, x, features) -> (batch, y + 2 border - 3, x + 2 border - 3, features), times ``gain``.
    """
    return _resampled(x, lambda size: math.sqrt(gain) * _filter_matrix(size, border))


def halved(x: Any) -> Any:  # noqa: ANN401  Keras's own
    """Every second pixel of the blurred image: (batch, y, x, features) -> (batch, y / 2, x / 2, features)."""
    return _resampled(x, lambda size: _filter_matrix(size, border=1)[::2])


def upsampled(x: Any) -> Any:  # noqa: ANN401  Keras's own
    """Twice as many pixels along y and x, by the same filter between zeros; beyond its border an image is 0."""
    return _resampled(x, lambda size: 2 * _filter_matrix(2 * size, border=2)[:-1, ::2])


def _resampled(x: Any, matrix: Callable[[int], NDArray[Any]]) -> Any:  # noqa: ANN401  Keras's own
    """A linear filter along y and x as dense matrices, which are faster than shifted sums up to some hundred pixels.

    Args:
        x: (batch, y, x, features).
        matrix: (new, size) for a size.
    """
    _, height, width, features = x.shape
    down, across = (ops.convert_to_tensor(matrix(size), x.dtype) for size in (height, width))
    x = ops.matmul(down, ops.reshape(x, (-1, height, width * features)))
    x = ops.matmul(across, ops.reshape(x, (-1, width, features)))
    return ops.reshape(x, (-1, down.shape[0], across.shape[0], features))


@cache
def _filter_matrix(size: int, border: int) -> NDArray[np.float64]:
    """What [1, 3, 3, 1] / 8 makes of a line of so many pixels after a border of zeros: (size + 2 border - 3, size)."""
    matrix = np.zeros((size + 2 * border - 3, size + 2 * border))
    for row, line in enumerate(matrix):
        line[row : row + 4] = np.array([1, 3, 3, 1]) / 8
    return matrix[:, border : border + size]


def _everywhere(vector: Any) -> Any:  # noqa: ANN401  Keras's own
    """(batch, features) as (batch, 1, 1, features)."""
    return ops.expand_dims(vector, (1, 2))
