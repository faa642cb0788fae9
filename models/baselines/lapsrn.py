"""LapSRN, the Laplacian pyramid network: the baseline of the cascaded refinement GAN."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from relumen.models.layers import BilinearKernel
from relumen.models.scales import doublings

LEAK = 0.2


def generator(factor: int = 8, *, width: int = 64, depth: int = 5) -> keras.Model:
    """A pyramid in which each level doubles the image and adds the details that its features predict.

    Fully convolutional: (batch, y, x, 1) -> one image a level, coarse to fine: (batch, 2 y, 2 x, 1) up to
    (batch, factor * y, factor * x, 1), all in units of the input image's mean and standard deviation.

    Reference: Lai et al., Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution, CVPR 2017, Sec. 3
    and Fig. 1.

    Args:
        factor: magnification, a power of two.
        width: feature maps of every convolution.
        depth: convolutions of a level; the paper has 10 for 2x and 4x, and 5 for 8x.

    Raises:
        ValueError: the factor is no power of two above 1.

    >>> len(generator(8, width=4, depth=1).outputs)
    3
    """
    levels = doublings(factor)
    if not levels:
        raise ValueError(f"LapSRN magnifies by a power of two, such as 8. Received: {factor=}")
    image: Any = keras.Input((None, None, 1), name="input")
    x = _leaky(layers.Conv2D(width, 3, padding="same", name="conv_first")(image))
    enlarged, images = image, []
    for level in range(1, levels + 1):
        for i in range(depth):
            x = _leaky(layers.Conv2D(width, 3, padding="same", name=f"level_{level}_{i + 1}")(x))
        x = _leaky(_doubled(x, width, name=f"upsample_{level}"))
        details = layers.Conv2D(1, 3, padding="same", dtype="float32", name=f"details_{level}")(x)
        enlarged = _doubled(enlarged, 1, name=f"enlarge_{level}", dtype="float32")
        enlarged = layers.Add(dtype="float32", name=f"image_{level}")([enlarged, details])
        images.append(enlarged)
    return keras.Model(image, images, name="lapsrn")


def _doubled(x: keras.KerasTensor, width: int, name: str, dtype: str | None = None) -> keras.KerasTensor:
    """A transposed convolution that begins as bilinear interpolation and is trained (Lai et al., Sec. 3.1)."""
    kernel: Any = BilinearKernel()
    return layers.Conv2DTranspose(width, 4, 2, padding="same", kernel_initializer=kernel, dtype=dtype, name=name)(x)


def _leaky(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.LeakyReLU(negative_slope=LEAK)(x)
