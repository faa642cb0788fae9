"""ESRGAN: joint denoising and 2x super-resolution."""

from __future__ import annotations

import keras
from keras import layers

from relumen.models.layers import he_tenth
from relumen.models.scales import doublings

LEAK = 0.2  # slope of every LeakyReLU, both networks
RESIDUAL_SCALE = 0.2  # what a dense block, and an RRDB, adds to its input


def generator(blocks: int = 23, width: int = 64, growth: int = 32, scale: int = 2, channels: int = 1) -> keras.Model:
    """The residual-in-residual dense network; nearly all its work is done at low resolution.

    Fully convolutional: (batch, y, x, channels) -> (batch, scale * y, scale * x, channels). Input and output are
    in units of the input image's mean and standard deviation.

    Reference: Wang et al., ESRGAN, ECCV workshops 2018, Sec. 3.1 and Fig. 3-4; as used for W2S by Chatton,
    Microscopy Image Restoration using Deep Learning on W2S, Sec. 2.2.

    Args:
        blocks: number of RRDBs (23 in the paper).
        width: feature maps of the trunk.
        growth: feature maps that each conv of a dense block adds.
        scale: magnification, a power of two.
        channels: of the image.

    Raises:
        ValueError: the scale is no power of two.

    >>> generator(blocks=1, width=8, growth=4).output_shape
    (None, None, None, 1)
    """
    steps = doublings(scale)
    if steps is None:
        raise ValueError(f"The generator magnifies by a power of two. Received: {scale=}")
    image = keras.Input((None, None, channels), name="input")
    shallow = _conv(width, name="conv_first")(image)
    x = shallow
    for block in range(blocks):
        x = _rrdb(x, width, growth, name=f"rrdb_{block + 1}")
    x = layers.Add(name="long_skip")([shallow, _conv(width, name="conv_trunk")(x)])
    for step in range(steps):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"upsample_{step + 1}")(x)
        x = _leaky(_conv(width, name=f"conv_up_{step + 1}")(x))
    return keras.Model(image, _conv(channels, name="conv_last", dtype="float32")(x), name="esrgan_generator")


def discriminator(size: int = 128, width: int = 64, dense: int = 1024, channels: int = 1) -> keras.Model:
    """SRGAN's VGG-style discriminator; the relativistic loss wants its logit, so there is no sigmoid.

    (batch, size, size, channels) in the generator's output units -> (batch, 1), any real number.

    Reference: Ledig et al., SRGAN, CVPR 2017, Fig. 4.

    Args:
        size: height and width of the patches, a multiple of 16.
        width: feature maps of the first conv; they double with each second stride.
        dense: units of the first dense layer.
        channels: of the image.

    Raises:
        ValueError: the size is no multiple of 16.

    >>> discriminator(size=32, width=4, dense=8).output_shape
    (None, 1)
    """
    if size % 16:
        raise ValueError(f"Patches must measure a multiple of 16 pixels. Received: {size=}")
    image = keras.Input((size, size, channels), name="image")
    x = _leaky(layers.Conv2D(width, 3, padding="same", name="conv_1")(image))
    plan = [(1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)]  # (width factor, stride)
    for i, (factor, stride) in enumerate(plan, start=2):
        x = layers.Conv2D(factor * width, 3, stride, padding="same", use_bias=False, name=f"conv_{i}")(x)
        x = _leaky(layers.BatchNormalization(name=f"norm_{i}")(x))
    x = _leaky(layers.Dense(dense, name="dense_1")(layers.Flatten()(x)))
    return keras.Model(image, layers.Dense(1, dtype="float32", name="logit")(x), name="esrgan_discriminator")


def _rrdb(x: keras.KerasTensor, width: int, growth: int, name: str) -> keras.KerasTensor:
    """Residual-in-residual dense block: three dense blocks and a skip around them."""
    y = x
    for i in range(3):
        y = _dense_block(y, width, growth, name=f"{name}_dense_{i + 1}")
    return layers.Add(name=f"{name}_add")([x, layers.Rescaling(RESIDUAL_SCALE, name=f"{name}_scale")(y)])


def _dense_block(x: keras.KerasTensor, width: int, growth: int, name: str) -> keras.KerasTensor:
    """Five convs, each of which sees all before it; the last brings them back to the trunk's width."""
    features = [x]
    for i in range(4):
        seen = features[0] if i == 0 else layers.Concatenate(name=f"{name}_cat_{i}")(features)
        features.append(_leaky(_conv(growth, name=f"{name}_conv_{i + 1}")(seen)))
    y = _conv(width, name=f"{name}_conv_5")(layers.Concatenate(name=f"{name}_cat_4")(features))
    return layers.Add(name=f"{name}_add")([x, layers.Rescaling(RESIDUAL_SCALE, name=f"{name}_scale")(y)])


def _conv(filters: int, name: str, dtype: str | None = None) -> layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", kernel_initializer=he_tenth(), dtype=dtype, name=name)


def _leaky(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.LeakyReLU(negative_slope=LEAK)(x)
