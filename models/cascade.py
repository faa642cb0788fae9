"""The cascaded refinement GAN: super-resolution of phase contrast images from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from relumen.models.layers import BilinearUpsampling, DiffractionPatternFilters
from relumen.models.optics import Optics
from relumen.models.scales import doublings

LEAK = 0.2  # slope of every LeakyReLU, both networks
Norm = Literal["pixel", "paper"]
Enrichment = Literal["filters", "repeat", "none"]


def generator(
    factor: int = 8,
    *,
    widths: Sequence[int] = (512, 512, 256, 256),
    multiplier: float = 1.0,
    stem: int = 2,
    convs: int = 2,
    norm: Norm = "pixel",
    enrichment: Enrichment = "filters",
    optics: Optics | None = None,
    keep_image: bool = False,
    skip: bool = False,
) -> keras.Model:
    """The cascade of refinement modules, each at twice the resolution of the one before.

    Fully convolutional: (batch, y, x, 1) -> one image a level, coarse to fine: (batch, 2 y, 2 x, 1) up to
    (batch, factor * y, factor * x, 1), all in units of the input image's mean and standard deviation. The last is
    the result (:func:`last_level`).

    Reference: Han and Yin, Sec. 4.1 and Fig. 3. The paper's module has one convolution and none before the first
    upsampling (stem=0, convs=1); the authors' scripts have two of each.

    Args:
        factor: magnification, a power of two.
        widths: feature maps before the first upsampling, then of each level; the last stands for all after it. The
            paper names none, these are of the authors' scripts.
        multiplier: what all widths are multiplied by.
        stem: convolutions before the first upsampling.
        convs: convolutions of a level.
        norm: layer normalisation over the channels of each pixel ("pixel"), whose answer to a tile is that to the
            whole image; or over all of an image's features ("paper"), whose answer depends on the image's size.
        enrichment: what becomes of the image first: convolved with the diffraction pattern filters, repeated as often
            as there are filters, or left alone.
        optics: the filters.
        keep_image: whether the enriched stack has the image itself too.
        skip: whether each level's image is what is added to the bilinearly enlarged input; the paper has no such path.

    Raises:
        ValueError: the factor is no power of two above 1.

    >>> len(generator(8, multiplier=1 / 64).outputs)
    3
    """
    levels = doublings(factor)
    if not levels:
        raise ValueError(f"The cascade magnifies by a power of two, such as 8. Received: {factor=}")
    counts = [max(1, round(multiplier * widths[min(i, len(widths) - 1)])) for i in range(levels + 1)]
    image: Any = keras.Input((None, None, 1), name="input")
    enlarged = image
    x = _enriched(image, enrichment, optics or Optics(), keep_image)
    for i in range(stem):
        x = _refined(x, counts[0], norm, name=f"stem_{i + 1}")
    images = []
    for level, width in enumerate(counts[1:], start=1):
        x = BilinearUpsampling(name=f"upsample_{level}")(x)
        for i in range(convs):
            x = _refined(x, width, norm, name=f"level_{level}_{i + 1}")
        y = layers.Conv2D(1, 1, dtype="float32", name=f"image_{level}")(x)
        if skip:
            enlarged = BilinearUpsampling(dtype="float32", name=f"enlarge_{level}")(enlarged)
            y = layers.Add(dtype="float32", name=f"sum_{level}")([enlarged, y])
        images.append(y)
    return keras.Model(image, images, name="cascade_generator")


def last_level(network: keras.Model) -> keras.Model:
    """The generator without the images of its coarser levels; it shares all weights."""
    return keras.Model(network.inputs[0], network.outputs[-1], name=network.name)


def discriminator(widths: Sequence[int] = (32, 64, 128, 256), patches: bool = True) -> keras.Model:
    """Four modules that each halve the image, then logits.

    (batch, y, x, 1) in the generator's units -> (batch, y // 16, x // 16, 1): a map of logits, as in the authors'
    scripts; or (batch, 1), one logit, as in the paper.

    Reference: Han and Yin, Sec. 4.1 and Fig. 3.

    Args:
        widths: feature maps of each module; the paper has four modules and names no widths.
        patches: whether each part of the image is judged by itself.

    >>> discriminator((4, 4, 8, 8)).output_shape
    (None, None, None, 1)
    """
    image: Any = keras.Input((None, None, 1), name="image")
    x = image
    for i, width in enumerate(widths, start=1):
        x = _refined(x, width, "paper", name=f"module_{i}")
        x = layers.MaxPooling2D(2, name=f"pool_{i}")(x)
    if patches:
        return keras.Model(image, layers.Conv2D(1, 1, dtype="float32", name="logits")(x), name="cascade_discriminator")
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(image, layers.Dense(1, dtype="float32", name="logit")(x), name="cascade_discriminator")


def _enriched(image: keras.KerasTensor, enrichment: Enrichment, optics: Optics, keep: bool) -> keras.KerasTensor:
    """The stack of images that the first module takes (Han and Yin, Sec. 3.2)."""
    if enrichment == "filters":
        return DiffractionPatternFilters(optics, keep_image=keep, name="filters")(image)
    if enrichment == "repeat":
        return layers.Concatenate(name="repeat")([image] * (optics.count + keep))
    return image


def _refined(x: keras.KerasTensor, width: int, norm: Norm, name: str) -> keras.KerasTensor:
    """3x3 convolution, layer normalisation, LeakyReLU."""
    x = layers.Conv2D(width, 3, padding="same", name=name)(x)
    if norm == "paper":
        x = layers.GroupNormalization(groups=1, epsilon=1e-5, name=f"{name}_norm")(x)
    else:
        x = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")(x)
    return layers.LeakyReLU(negative_slope=LEAK, name=f"{name}_leaky")(x)
