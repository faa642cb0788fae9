"""Layers, initialisers and constraints that Keras lacks; whoever loads a .keras file imports them here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from relumen.models.optics import Optics


@keras.saving.register_keras_serializable("relumen")
class BilinearUpsampling(keras.layers.Layer):
    """Twice as many pixels along y and x by bilinear interpolation with half-pixel centres.

    (batch, y, x, channels) -> (batch, 2 y, 2 x, channels). Unlike Keras's UpSampling2D it exports with open y and x,
    and unlike corner-aligned interpolation its answer to a tile is that to the whole image.
    """

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """The upsampled image."""
        return tf.cast(tf.image.resize(image, 2 * tf.shape(image)[1:3]), image.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Twice the input's height and width, where they are known."""
        batch, *sides, channels = input_shape
        return (batch, *(None if side is None else 2 * side for side in sides), channels)


@keras.saving.register_keras_serializable("relumen")
class DiffractionPatternFilters(keras.layers.Layer):
    """Convolves an image with a bank of diffraction pattern filters, which are constants (Han and Yin, Fig. 2).

    (batch, y, x, 1) -> (batch, y, x, count), or one more where the image itself is kept, as the last. Beyond its
    border the image is 0.

    Args:
        optics: the bank, or its fields.
        level: the image's size as a multiple of the network's input.
        keep_image: whether the image itself is a channel too.

    >>> DiffractionPatternFilters(Optics())(np.ones((1, 8, 8, 1), np.float32)).shape
    TensorShape([1, 8, 8, 12])
    """

    def __init__(
        self,
        optics: Optics | dict[str, Any],
        level: int = 1,
        keep_image: bool = False,
        **kwargs: Any,  # noqa: ANN401  Keras's own
    ) -> None:
        super().__init__(**{"trainable": False, **kwargs})
        self.optics = Optics(**optics) if isinstance(optics, dict) else optics
        self.level = level
        self.keep_image = keep_image
        weights = self.optics.weights(level)
        if keep_image:
            weights = np.hstack([weights, [[0.0], [1.0]]])
        airy = self.optics.airy(level).astype(np.float32)[:, :, np.newaxis, np.newaxis]
        self.kernels = airy, weights.astype(np.float32)[np.newaxis, np.newaxis]

    def call(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """One convolution with A; each filter is a combination of its answer and the image."""
        first, combined = (ops.cast(kernel, image.dtype) for kernel in self.kernels)
        airy = ops.conv(image, first, padding="same")
        answer: Any = ops.conv(ops.concatenate([airy, image], axis=-1), combined, padding="same")
        return answer

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's, with one channel for each filter."""
        return (*input_shape[:-1], self.kernels[1].shape[-1])

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        mine = {"optics": vars(self.optics), "level": self.level, "keep_image": self.keep_image}
        return super().get_config() | mine


@keras.saving.register_keras_serializable("relumen")
class ConditionalAffine(keras.layers.Layer):
    """Scale and shift of every channel, learned separately for each condition: gamma_i x + beta_i.

    [(batch, y, x, channels), one-hot (batch, conditions)] -> (batch, y, x, channels). After a normalisation it is
    conditional instance normalisation (Dumoulin et al., A Learned Representation for Artistic Style, ICLR 2017,
    Eq. 5; Razdaibiedina et al., Method).

    Args:
        scale: of all channels at first.
        spread: standard deviation of the scales at first: conditions that begin alike are slow to part.
        center: whether there is a shift.

    >>> ConditionalAffine()([np.ones((2, 4, 4, 3), np.float32), np.eye(2, dtype=np.float32)]).shape
    TensorShape([2, 4, 4, 3])
    """

    def __init__(
        self,
        scale: float = 1.0,
        spread: float = 0.0,
        center: bool = True,
        **kwargs: Any,  # noqa: ANN401  Keras's own
    ) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.spread = spread
        self.center = center

    def build(self, input_shape: Sequence[tuple[int | None, ...]]) -> None:
        """Shift 0 at first, for every condition."""
        shape = (input_shape[1][-1], input_shape[0][-1])
        at_first = keras.initializers.RandomNormal(self.scale, self.spread)
        self.gamma = self.add_weight(shape=shape, initializer=at_first, name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta") if self.center else None

    def call(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """The features with scale and shift of their image's condition."""
        x: Any
        x, condition = inputs
        condition = ops.cast(condition, x.dtype)

        def own(weight: Any) -> Any:  # noqa: ANN401  Keras's own
            return ops.expand_dims(ops.matmul(condition, ops.cast(weight, x.dtype)), (1, 2))

        answer: Any = x * own(self.gamma)
        return answer if self.beta is None else answer + own(self.beta)

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """That of the features."""
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return super().get_config() | {"scale": self.scale, "spread": self.spread, "center": self.center}


@keras.saving.register_keras_serializable("relumen")
class Clipped(keras.constraints.Constraint):
    """Weights between -limit and limit, as a Wasserstein critic's may be kept (Arjovsky et al. 2017, Algorithm 1).

    Args:
        limit: greatest absolute value.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def __call__(self, w: keras.KerasTensor) -> keras.KerasTensor:
        """The weights, clipped."""
        answer: Any = ops.clip(w, -self.limit, self.limit)
        return answer

    def get_config(self) -> dict[str, Any]:
        """What makes it again."""
        return {"limit": self.limit}


def he_tenth() -> Any:  # noqa: ANN401  Keras's own
    """He's normal initialisation with weights scaled by 0.1, so its variance by 0.01 (ESRGAN, Sec. 4.1).

    Residual blocks without normalisation then begin near the identity; with He's own each block doubles the variance.
    """
    return keras.initializers.VarianceScaling(0.02, "fan_in", "untruncated_normal")


@keras.saving.register_keras_serializable("relumen")
class BilinearKernel(keras.initializers.Initializer):
    """Kernel (4, 4, out, in) by which a transposed convolution of stride 2 interpolates each channel by itself."""

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> NDArray[Any]:
        """The kernel."""
        line = np.array([0.25, 0.75, 0.75, 0.25])
        kernel = np.zeros(shape, dtype or "float32")
        for channel in range(min(shape[2:])):
            kernel[:, :, channel, channel] = np.outer(line, line)
        return kernel
