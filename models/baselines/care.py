"""CARE's U-Net for images: a baseline of cGAN."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def generator(width: int = 32, depth: int = 2, *, kernel: int = 5, convs: int = 2) -> keras.Model:
    """A U-Net that predicts what is to be added to the image.

    Fully convolutional: (batch, y, x, 1) -> (batch, y, x, 1), in units of the input image's mean and standard
    deviation, for y and x that are multiples of 2 ** depth. The answer to a tile depends on where the tile begins.

    References:
        Weigert et al., Content-aware image restoration: pushing the limits of fluorescence microscopy, Nature Methods
        2018.
        CSBDeep 0.8, ``csbdeep/internals/nets.py`` and ``models/config.py``, for all numbers: given its weights, this
        network answers as ``CARE(Config("YX", 1, 1))`` does.

    Args:
        width: feature maps of the first level; each level below has twice as many.
        depth: halvings of the image.
        kernel: height and width of every kernel but the last.
        convs: convolutions of a level, on the way down and on the way up.

    Raises:
        ValueError: there is no halving, or the kernel has no middle.

    >>> generator(4).output_shape
    (None, None, None, 1)
    """
    if depth < 1 or kernel % 2 == 0:
        raise ValueError(
            f"CARE's U-Net halves the image once at least, by kernels of odd size. Received: {depth=}, {kernel=}"
        )

    def level(x: Any, name: str, last: int, filters: int) -> Any:  # noqa: ANN401  Keras's own
        """The convolutions of a level, of which the last may have other feature maps."""
        for i in range(1, convs + 1):
            maps = last if i == convs else filters
            x = layers.Conv2D(maps, kernel, padding="same", activation="relu", name=f"{name}_conv_{i}")(x)
        return x

    image = keras.Input((None, None, 1), name="input")
    x: Any = image
    skips = []
    for i in range(depth):
        x = level(x, f"down_{i + 1}", 2**i * width, 2**i * width)
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"halved_{i + 1}")(x)
    x = level(x, "middle", 2 ** (depth - 1) * width, 2**depth * width)
    for i in reversed(range(depth)):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"doubled_{i + 1}")(x)
        x = layers.Concatenate(name=f"beside_{i + 1}")([x, skips[i]])
        x = level(x, f"up_{i + 1}", 2 ** max(0, i - 1) * width, 2**i * width)
    y = layers.Conv2D(1, 1, dtype="float32", name="conv_last")(x)
    y = layers.Add(dtype="float32", name="added_to_input")([y, image])
    return keras.Model(image, y, name="care")
