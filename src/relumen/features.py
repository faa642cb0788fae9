"""Frozen feature networks for perceptual losses and metrics, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relumen.errors import UserError

if TYPE_CHECKING:
    import keras


def perceptual(name: str, weights: str | None = None) -> keras.Model:
    """The frozen feature network of that name: (batch, y, x, 1) -> (batch, y / 4, x / 4, channels).

    Args:
        name: "vgg19".
        weights: a local file; None: the network's own.

    Raises:
        UserError: no such network, or its weights can't be had.
    """
    if name == "vgg19":
        return vgg19(weights or "imagenet")
    raise UserError(f"There is no feature network {name!r}. Choose vgg19.")


def describe(name: str, weights: str | None = None) -> str:
    """The feature network in words, for run and card."""
    return f"{name}, weights: {weights or 'its own'}"


def vgg19(weights: str = "imagenet") -> keras.Model:
    """VGG-19 up to block 3's last conv, before its activation (ESRGAN, Sec. 3.2; Chatton, Sec. 2.4.2).

    (batch, y, x, 1) -> (batch, y / 4, x / 4, 256). The grey image is repeated to three channels. Its values, in
    units of the input's mean and standard deviation, are mapped from -2..6 to 0..255 and then preprocessed as
    VGG's authors did (BGR, ImageNet's mean subtracted).

    Args:
        weights: "imagenet" (Keras downloads them) or the path of a local .h5 file in Keras's layout.

    Raises:
        UserError: the weights can't be had.
    """
    import keras
    from keras import layers

    try:
        network = keras.applications.VGG19(include_top=False, weights=weights, input_shape=(None, None, 3))
    except Exception as error:  # the download and the file reader raise whatever they like
        raise UserError(
            f"VGG-19's weights can't be had from {weights!r} ({error}). Give a local file with "
            "--set features_weights=FILE.h5, or train offline without a perceptual loss: "
            "--set features=none --set phase_2.losses.perceptual=0 --set phase_2.losses.texture=0"
        ) from error
    network.trainable = False
    image = keras.Input((None, None, 1))
    levels = layers.Rescaling(255 / 8, offset=2 * 255 / 8)(image)
    bgr = layers.Concatenate()([levels, levels, levels])
    mean = [103.939, 116.779, 123.68]
    x = layers.Normalization(mean=mean, variance=[1.0, 1.0, 1.0])(bgr)
    last = network.get_layer("block3_conv4")
    for layer in network.layers[1 : network.layers.index(last)]:
        x = layer(x)
    before_activation = layers.Conv2D(256, 3, padding="same", name="block3_conv4_linear")
    model = keras.Model(image, before_activation(x), name="vgg19_block3_conv4")
    before_activation.set_weights(last.get_weights())
    model.trainable = False
    return model
