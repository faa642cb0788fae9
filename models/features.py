"""The project's own feature network: what VGG-19 is to a perceptual loss, trained on microscopy images."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

BLOCKS = ((2, 1), (2, 2), (3, 4))  # (convs, width factor) of each block; the image is halved between two blocks
STRIDE = 4  # input pixels from one feature to the next
LAST = "block3_conv3"


def trunk(width: int = 32) -> keras.Model:
    """Three blocks of 3x3 convs; the last conv has no activation, as VGG-19's block3_conv4 in ESRGAN's loss.

    Fully convolutional: (batch, y, x, 1) -> (batch, y // 4, x // 4, 4 * width), for any y and x from 4. The input is
    in units of an image's mean and standard deviation, about -2..8; the output is any real number. No layer
    depends on the batch or on the image's size. Blocks are joined by mean pooling, not VGG's maximum: a loss that
    is trained through it has smoother gradients (Gatys et al.).

    References:
        Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015.
        Wang et al., ESRGAN, ECCV workshops 2018, Sec. 3.2: features before the activation.
        Gatys et al., A Neural Algorithm of Artistic Style, 2015, Methods: mean pooling.

    Args:
        width: feature maps of the first block; the later ones have two and four times as many.

    >>> trunk(width=8).output_shape
    (None, None, None, 32)
    """
    image = keras.Input((None, None, 1), name="image")
    x: Any = image
    for block, (convs, factor) in enumerate(BLOCKS, 1):
        if block > 1:
            x = layers.AveragePooling2D(2, name=f"block{block - 1}_pool")(x)
        for conv in range(1, convs + 1):
            name = f"block{block}_conv{conv}"
            activation = None if name == LAST else "relu"
            x = layers.Conv2D(
                factor * width, 3, padding="same", activation=activation, kernel_initializer="he_normal", name=name
            )(x)
    return keras.Model(image, x, name="features_trunk")


def classifier(trunk: keras.Model, labels: int) -> keras.Model:
    """The trunk with the two linear heads that train it, over the mean of its activated features.

    The means are normalised over the batch before the heads; the trunk knows nothing of it.

    (batch, y, x, 1) -> {"label": logits (batch, labels), "degradation": (batch, 2), any real numbers}.

    Args:
        trunk: of :func:`trunk`; its weights are shared.
        labels: how many kinds of image are told apart.

    >>> sorted(classifier(trunk(width=8), labels=5).output_shape)
    ['degradation', 'label']
    """
    pooled = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="activation")(trunk.output))
    pooled = layers.BatchNormalization(name="norm")(pooled)
    heads = {
        "label": layers.Dense(labels, dtype="float32", name="label")(pooled),
        "degradation": layers.Dense(2, dtype="float32", name="degradation")(pooled),
    }
    return keras.Model(trunk.input, heads, name="features_classifier")
