"""CIN-GAN and cGAN: the residual network that both generators are, and the discriminator of both.

CIN-GAN's generator makes a defect of a clean image, cGAN's a clean image of a defect. They differ in the
normalisation alone, whose scale and shift CIN-GAN learns anew for each defect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import layers

from relumen.models.layers import Clipped, ConditionalAffine, he_tenth

Norm = Literal["instance", "frozen", "pixel", "none"]
Activation = Literal["tanh", "linear"]
LEAK = 0.2  # slope of the discriminator's LeakyReLU
_EPSILON = 1e-5
_SPREAD = 0.5  # of each defect's scales at first
_DRAWN = 0.3  # each defect's scale of random numbers at first
_HEAD = 7  # height and width of the first and last kernels


def generator(
    width: int = 64,
    blocks: int = 9,
    *,
    downsampling: int = 2,
    dilations: Sequence[int] = (1,),
    norm: Norm = "instance",
    dropout: float = 0.5,
    activation: Activation = "tanh",
    span: float = 1.0,
    defects: int | None = None,
    draw: bool | int = False,
) -> keras.Model:
    """A 7x7 convolution, some that halve the image, residual blocks, and the way back; then (x + y) / 2.

    Fully convolutional: (batch, y, x, 1) -> (batch, y, x, 1), in units of the input image's mean and standard
    deviation, for y and x that are multiples of 2 ** downsampling. With ``defects`` it takes a second input, the
    defect: one-hot (batch, defects); with ``draw`` one more, normally distributed random numbers (batch, y, x, 1).

    The convolutions that end a block, and the last, begin at a tenth of He's initialisation: with He's own, blocks
    without normalisation multiply the variance by hundreds, and learn for thousands of steps to undo it.

    References:
        Razdaibiedina et al., Method, and the authors' scripts for all numbers.
        Johnson et al., Perceptual Losses for Real-Time Style Transfer, ECCV 2016: the residual network.
        Dumoulin et al., A Learned Representation for Artistic Style, ICLR 2017: conditional instance normalisation.

    Args:
        width: feature maps of the first convolution; each halving doubles them.
        blocks: residual blocks (9 in cGAN, 12 in CIN-GAN).
        downsampling: halvings. Where there is one, the answer to a tile depends on where the tile begins.
        dilations: of the blocks' convolutions, one block after the other, again and again: how far a block looks
            where nothing is halved.
        norm: "instance": mean and deviation of each feature over its image, as in the paper, so that the answer to a
            tile is not that to the whole image; "frozen": over the training's batches, fixed afterwards; "pixel": over
            the features of each pixel; "none".
        dropout: share of features that a block drops in training.
        activation: of y.
        span: value that the network counts as 1. With tanh, y is between -span and span.
        defects: how many kinds of defect the normalisation tells apart; None: it knows none.
        draw: whether the network sees random numbers beside the image, of which it can make noise: an image without
            any tells none. The paper has no such input. With defects, each has a scale of its own for them (as each
            feature of Karras et al., A Style-Based Generator Architecture, CVPR 2019, Sec. 2), which a defect
            without noise brings to 0. A number: they are drawn once and for all, and the network takes images of
            that height and width only.

    Raises:
        ValueError: there is no block or no dilation.

    >>> generator(4, 1, defects=3).input_shape
    [(None, None, None, 1), (None, 3)]
    """
    if blocks < 1 or not dilations:
        raise ValueError(f"The generator has a residual block and a dilation at least. Received: {blocks=}")
    side = None if isinstance(draw, bool) else draw
    image = keras.Input((side, side, 1), name="input")
    drawn = keras.Input((None, None, 1), name="draw") if draw is True else _drawn(image) if draw else None
    defect = None if defects is None else keras.Input((defects,), name="defect")
    seen = drawn
    if drawn is not None and defect is not None:
        seen = ConditionalAffine(_DRAWN, center=False, name="draw_scale")([drawn, defect])

    def refined(x: Any, filters: int, name: str, **conv: Any) -> Any:  # noqa: ANN401  Keras's own
        """Convolution, normalisation, ReLU."""
        conv = {"kernel_size": 3, "padding": "same", "kernel_initializer": "he_normal", **conv}
        return layers.ReLU(name=f"{name}_relu")(_normalised(layers.Conv2D(filters, name=name, **conv)(x), name))

    def _normalised(x: Any, name: str) -> Any:  # noqa: ANN401
        return _norm(norm, f"{name}_norm", x, defect)

    x = layers.Rescaling(1 / span, name="to_span")(image)
    x = x if seen is None else layers.Concatenate(name="with_draw")([x, seen])
    x = refined(x, width, "conv_first", kernel_size=_HEAD)
    for i in range(1, downsampling + 1):
        x = refined(x, 2**i * width, f"down_{i}", strides=2)
    filters = 2**downsampling * width
    for i in range(blocks):
        name, dilation = f"block_{i + 1}", dilations[i % len(dilations)]
        y = refined(x, filters, f"{name}_conv_1", dilation_rate=dilation)
        y = layers.Dropout(dropout, name=f"{name}_dropout")(y) if dropout else y
        second = layers.Conv2D(
            filters, 3, padding="same", dilation_rate=dilation, kernel_initializer=he_tenth(), name=f"{name}_conv_2"
        )
        x = layers.Add(name=f"{name}_add")([x, _normalised(second(y), f"{name}_conv_2")])
    for i in range(downsampling, 0, -1):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"upsample_{i}")(x)
        x = refined(x, 2 ** (i - 1) * width, f"up_{i}")
    y = layers.Conv2D(
        1,
        _HEAD,
        padding="same",
        activation=activation,
        kernel_initializer=he_tenth(),
        dtype="float32",
        name="conv_last",
    )(x)
    y = layers.Rescaling(span, dtype="float32", name="from_span")(y)
    y = layers.Average(dtype="float32", name="mean_with_input")([image, y])
    inputs = [each for each in (image, defect, drawn if draw is True else None) if each is not None]
    return keras.Model(inputs if len(inputs) > 1 else image, y, name="resnet_generator")


def with_defect(network: keras.Model, defect: int, **settings: Any) -> keras.Model:  # noqa: ANN401
    """The generator for one defect, which is no input any more: (batch, y, x, 1) -> (batch, y, x, 1).

    Random numbers stay an input, unless ``draw`` is a number now.

    Args:
        network: a :func:`generator` with several defects.
        defect: index of the one.
        **settings: all that the network was made with, but for ``defects``.

    Raises:
        ValueError: there is no such defect.
    """
    count = network.input_shape[1][1]
    if not 0 <= defect < count:
        raise ValueError(f"The generator knows the defects 0 to {count - 1}. Received: {defect}")
    single = generator(**settings)
    for layer in single.layers:
        if layer.weights and not layer.name.endswith("_norm"):
            layer.set_weights(network.get_layer(layer.name).get_weights())
    if settings.get("draw"):
        first = single.get_layer("conv_first")
        kernel, bias = first.get_weights()
        kernel[:, :, 1] *= np.asarray(network.get_layer("draw_scale").gamma)[defect]
        first.set_weights([kernel, bias])
    for affine in [layer for layer in network.layers if isinstance(layer, ConditionalAffine) and layer.center]:
        gamma, beta = (np.asarray(part)[defect] for part in affine.get_weights())
        if settings["norm"] == "none":  # a convolution takes over its scale and shift
            conv = single.get_layer(affine.name.removesuffix("_norm_affine"))
            kernel, bias = conv.get_weights()
            conv.set_weights([kernel * gamma, bias * gamma + beta])
        else:
            name = affine.name.removesuffix("_affine")
            statistics = network.get_layer(name).get_weights()  # of the frozen norm; the others have none
            single.get_layer(name).set_weights([gamma, beta, *statistics])
    return single


def discriminator(
    widths: Sequence[int] = (64, 128, 256, 512),
    *,
    channels: int = 1,
    kinds: int = 0,
    norm: bool = True,
    clip: float | None = None,
) -> keras.Model:
    """Judges each part of an image by itself: 4x4 convolutions that halve it, two that don't, and a map of logits.

    (batch, y, x, channels + kinds) -> (batch, y', x', 1). The image is the first channel; then what it is judged
    beside, such as the defective image; then which of some kinds it shall be, as planes of 0 and 1. Each kind is judged
    by logits of its own, of features that all share.

    Reference: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017, Sec. 3.2.2 and
    6.1.2 (of 70 x 70 pixels); the paper names none.

    Args:
        widths: feature maps of each convolution but the last; all but the last of these halve the image.
        channels: of the image and what it is judged beside.
        kinds: of image that are judged each by itself; 0: all alike.
        norm: instance normalisation, but for the first convolution. A critic under the gradient penalty has none
            (Gulrajani et al. 2017, Sec. 4).
        clip: greatest absolute value of a weight, for a critic without gradient penalty; None: any.

    >>> discriminator((4, 4, 8, 8), channels=2).output_shape
    (None, None, None, 1)
    """
    image: Any = keras.Input((None, None, channels + kinds), name="image")
    clipped: Any = {} if clip is None else {"kernel_constraint": Clipped(clip), "bias_constraint": Clipped(clip)}
    x = image[..., :channels] if kinds else image
    for i, width in enumerate(widths, start=1):
        strides = 2 if i < len(widths) else 1
        x = layers.Conv2D(width, 4, strides, padding="same", name=f"conv_{i}", **clipped)(x)
        if norm and i > 1:
            x = _norm("instance", f"conv_{i}_norm", x, None)
        x = layers.LeakyReLU(negative_slope=LEAK, name=f"conv_{i}_leaky")(x)
    logits = layers.Conv2D(max(1, kinds), 4, padding="same", dtype="float32", name="logits", **clipped)(x)
    if kinds:
        kind = layers.GlobalAveragePooling2D(keepdims=True, dtype="float32", name="kind")(image[..., channels:])
        logits = keras.ops.sum(logits * kind, axis=-1, keepdims=True)
    return keras.Model(image, logits, name="patch_discriminator")


def _drawn(image: Any) -> Any:  # noqa: ANN401  Keras's own
    """A plane of random numbers, the same for every image, of layers that every Keras knows: 0 x image + constant."""
    places: Any = (1, 2)
    plane = layers.LayerNormalization(places, epsilon=1.0, name="draw_norm")
    drawn = plane(layers.Rescaling(0.0, name="nothing")(image))
    shape = image.shape[1:3]
    plane.set_weights([np.zeros(shape), np.random.default_rng(0).normal(size=shape)])
    plane.trainable = False
    return drawn


def _norm(norm: Norm, name: str, x: Any, defect: Any) -> Any:  # noqa: ANN401
    """The CIN layer: gamma (x - mean) / std + beta, with gamma and beta of the defect where there is one."""
    own: Any = {"center": defect is None, "scale": defect is None, "name": name}
    if norm == "instance":
        x = layers.GroupNormalization(groups=-1, epsilon=_EPSILON, **own)(x)
    elif norm == "frozen":
        x = layers.BatchNormalization(epsilon=_EPSILON, **own)(x)
    elif norm == "pixel":
        x = layers.LayerNormalization(epsilon=_EPSILON, **own)(x)
    return x if defect is None else ConditionalAffine(spread=_SPREAD, name=f"{name}_affine")([x, defect])
