"""Pix2Pix's U-Net, the supervised baseline of regularized latent search."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers

from relumen.models.scales import doublings

LEAK = 0.2  # slope of the encoder's LeakyReLU
_DROPPING = 3  # blocks of the decoder that drop features, from the innermost on
_EPSILON = 1e-5
_MOMENTUM = 0.95  # of the stored statistics: Keras's 0.99 trails the weights by hundreds of steps

Norm = Literal["batch", "instance"]


def generator(
    size: int = 128, channels: int = 3, *, width: int = 64, norm: Norm = "batch", dropout: float = 0.5
) -> keras.Model:
    """An encoder that halves the image down to one pixel, and a decoder that sees each of its layers again.

    (batch, size, size, channels) -> the same, -1..1. For 128 pixels and the default width the encoder is
    C64-C128-C256-C512-C512-C512-C512, as published for 256 but for one C512; the decoder doubles the image as often,
    each block as wide as the layer of the encoder that is joined to it. Kernels are 4 x 4, and begin normally
    distributed with a deviation of 0.02.

    Pix2Pix is tested as it is trained: with the statistics of the test batch, and with dropout, its only noise (Sec.
    3.3). Here the answer is a function of the input: there is no dropout, and batch normalisation takes the statistics
    that it stored. With batches of one image these are far from an image's own; the paper's statistics are then those
    of each image ("instance normalization"), which a function of the input may take too.

    The innermost layer is not normalised: over one image's pixel nothing would be left (the paper's errata).

    Reference: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017, Sec. 3.2.1 and
    Appendix 6.1.1.

    Args:
        size: height and width of an image, a power of two, 8 at least.
        channels: of the image.
        width: feature maps of the first layer; each halving doubles them, up to eight times as many.
        norm: over the features of a batch, stored for tests, or over each image's, when tested too.
        dropout: share of features that the first three blocks of the decoder drop in training.

    Raises:
        ValueError: the size is no such power of two.

    >>> generator(32, 2, width=4).output_shape
    (None, 32, 32, 2)
    """
    halvings = doublings(size)
    if halvings is None or size < 8:
        raise ValueError(f"Pix2Pix's U-Net halves images down to one pixel: 8, 16, 32, ... pixels. Received: {size=}")
    widths = [width * min(2**i, 8) for i in range(halvings)]
    image: Any = keras.Input((size, size, channels), name="input")
    x, joined = image, []
    for i, filters in enumerate(widths, start=1):
        normalised = 1 < i < halvings
        x = layers.Conv2D(filters, 4, use_bias=not normalised, name=f"down_{i}", **_sampling())(x)
        x = _norm(norm, f"down_{i}_norm", x) if normalised else x
        x = layers.LeakyReLU(negative_slope=LEAK, name=f"down_{i}_leaky")(x)
        joined.append(x)
    for i in range(halvings - 1, 0, -1):
        x = layers.Conv2DTranspose(widths[i - 1], 4, use_bias=False, name=f"up_{i}", **_sampling())(x)
        x = _norm(norm, f"up_{i}_norm", x)
        if halvings - i <= _DROPPING and dropout:
            x = layers.Dropout(dropout, name=f"up_{i}_dropout")(x)
        x = layers.ReLU(name=f"up_{i}_relu")(x)
        x = layers.Concatenate(name=f"up_{i}_joined")([x, joined[i - 1]])
    last = layers.Conv2DTranspose(channels, 4, dtype="float32", activation="tanh", name="up_last", **_sampling())
    return keras.Model(image, last(x), name="pix2pix_generator")


def _sampling() -> Any:  # noqa: ANN401  Keras's own
    """What all convolutions have alike; each has an initialiser of its own, which would draw the same again."""
    return {"strides": 2, "padding": "same", "kernel_initializer": keras.initializers.RandomNormal(0.0, 0.02)}


def _norm(norm: Norm, name: str, x: Any) -> Any:  # noqa: ANN401
    if norm == "instance":
        return layers.GroupNormalization(groups=-1, epsilon=_EPSILON, name=name)(x)
    return layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=name)(x)
