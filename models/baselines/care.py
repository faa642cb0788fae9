"""CARE's U-Net for images, a baseline of cGAN: that of CSBDeep itself."""

from __future__ import annotations

from typing import Any

import keras


def generator(width: int = 32, depth: int = 2, *, kernel: int = 5) -> keras.Model:
    """A U-Net that predicts what is to be added to the image, as ``CARE(Config("YX", 1, 1))`` has it.

    Fully convolutional: (batch, y, x, 1) -> (batch, y, x, 1), in units of the input image's mean and standard
    deviation, for y and x that are multiples of 2 ** depth. The answer to a tile depends on where the tile begins.

    Reference: Weigert et al., Content-aware image restoration: pushing the limits of fluorescence microscopy, Nature
    Methods 2018.

    Args:
        width: feature maps of the first level; each level below has twice as many.
        depth: halvings of the image.
        kernel: height and width of every kernel but the last.

    Raises:
        ValueError: there is no halving, or the kernel has no middle.

    >>> generator(4).output_shape
    (None, None, None, 1)
    """
    if depth < 1 or kernel % 2 == 0:
        raise ValueError(
            f"CARE's U-Net halves the image once at least, by kernels of odd size. Received: {depth=}, {kernel=}"
        )
    from csbdeep.models import CARE, Config  # seconds, and nothing else needs it

    config = Config("YX", 1, 1, unet_n_first=width, unet_n_depth=depth, unet_kern_size=kernel)
    nowhere: Any = None  # it is kept by relumen
    network: Any = CARE(config, None, basedir=nowhere).keras_model
    return network
