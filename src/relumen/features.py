"""Frozen feature networks for perceptual losses and metrics, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relumen.errors import UserError
from relumen.keras_files import load_network
from relumen.run import RunFolder

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray

SHIPPED = "features-microscopy"
"""The folder of the network that comes with relumen."""
_NETWORKS = {
    "vgg19": ("VGG-19", "block3_conv4"),
    "vgg16": ("VGG-16", "block3_conv3"),
    "microscopy": ("relumen's own network of microscopy images", "block3_conv3"),
}
"""By name: in words, and the layer whose output, before its activation, is a perceptual loss's."""


def perceptual(name: str, weights: str | None = None) -> keras.Model:
    """The frozen feature network of that name: (batch, y, x, 1) -> (batch, y // 4, x // 4, channels).

    Its input is in units of an image's mean and standard deviation.

    Args:
        name: "vgg19" (of ESRGAN's paper), "vgg16", or "microscopy" (trained by ``relumen train features``; offline).
        weights: a local file; for "microscopy" also a run folder. None: the network's own, which are ImageNet's,
            downloaded by Keras, or those that come with relumen.

    Raises:
        UserError: no such network, or its weights can't be had.
    """
    _check(name)
    return microscopy(weights) if name == "microscopy" else vgg(name, weights or "imagenet")


def at_layers(network: keras.Model, layers: Sequence[str]) -> keras.Model:
    """A feature network's outputs at some of its layers, after their activation: one (batch, y', x', channels) each.

    Args:
        network: of :func:`perceptual`; its last layer has no activation.
        layers: names, such as "block1_conv2".

    Raises:
        UserError: it has no such layer.
    """
    import keras

    x = image = keras.Input((None, None, 1))
    found = {}
    for layer in network.layers[1:]:  # they are a chain
        x = layer(x)
        if "_conv" in layer.name:
            found[layer.name.removesuffix("_linear")] = x
    if unknown := [name for name in layers if name not in found]:
        raise UserError(
            f"The feature network {network.name} has no layer {', '.join(unknown)}. It has {', '.join(found)}."
        )
    model = keras.Model(image, [found[name] for name in layers], name=network.name)
    model.trainable = False
    return model


def describe(name: str, weights: str | None = None, layers: Sequence[str] | None = None) -> str:
    """The feature network in words, for run and card: its layers, and its weights with their SHA-256.

    Args:
        name: as for :func:`perceptual`.
        weights: likewise.
        layers: those of :func:`at_layers`; None: the one of :func:`perceptual`.

    Raises:
        UserError: no such network, or its file isn't there.
    """
    _check(name)
    words, last = _NETWORKS[name]
    words += f", {last} before its activation" if layers is None else f", {', '.join(layers)}"
    if name != "microscopy" and weights is None:
        return f"{words}; ImageNet weights of Keras Applications"
    file = _microscopy_file(weights) if name == "microscopy" else Path(weights or "")
    if not file.is_file():
        raise UserError(f"There are no weights of the feature network {name} at {file}. {_OFFLINE}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    source = SHIPPED if weights is None else file.name
    return f"{words}; weights {source}, SHA-256 {digest[:12]}"


def embedded(network: keras.Model, images: NDArray[Any], units: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    """What a feature network sees of whole images: the means of its features over all places, channel by channel.

    Args:
        network: of :func:`perceptual`.
        images: (images, y, x, channels), any range.
        units: mean and standard deviation of each channel over a set of images; equal for the sets that are compared,
            so that brightness counts.

    Returns:
        (images, channels * features).
    """
    import numpy as np
    import tensorflow as tf

    see = _pooled(network)
    seen = []
    for channel, (mean, deviation) in enumerate(units):
        plane = (images[..., channel : channel + 1].astype(np.float32) - mean) / (deviation + 1e-6)
        seen.append(np.concatenate([see(tf.constant(plane[i : i + 50])) for i in range(0, len(plane), 50)]))
    return np.concatenate(seen, 1)


@cache
def _pooled(network: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """A network's features, their means over all places; compiled once."""
    import tensorflow as tf

    return tf.function(lambda x: tf.reduce_mean(network(x, training=False), (1, 2)), autograph=False)


def microscopy(weights: str | None = None) -> keras.Model:
    """The project's own network up to block 3's last conv, before its activation.

    (batch, y, x, 1) -> (batch, y // 4, x // 4, channels); every channel had deviation 1 over the images it was
    trained on. See :mod:`relumen.models.features` for the network, and its card for what it is good for.

    Args:
        weights: a run folder of ``relumen train features``, or a .keras file; None: the one that comes with relumen.

    Raises:
        UserError: the weights can't be had, or are those of another network.
    """
    file = _microscopy_file(weights)
    network = load_network(file, _OFFLINE)
    try:
        shape = network.compute_output_shape((1, 8, 8, 1))
    except Exception as error:  # of whatever layers it has
        raise UserError(f"{file} is no feature network ({error}). {_OFFLINE}") from error
    if len(shape) != 4 or shape[:3] != (1, 2, 2):
        raise UserError(f"{file} is no feature network: it makes {tuple(shape)} of (1, 8, 8, 1). {_OFFLINE}")
    network.trainable = False
    return network


def vgg(name: str, weights: str = "imagenet") -> keras.Model:
    """VGG up to the last conv of block 3, before its activation (ESRGAN, Sec. 3.2; Chatton, Sec. 2.4.2).

    (batch, y, x, 1) -> (batch, y / 4, x / 4, 256). The grey image is repeated to three channels. Its values, in
    units of the input's mean and standard deviation, are mapped from -2..6 to 0..255 and then preprocessed as
    VGG's authors did (BGR, ImageNet's mean subtracted).

    Args:
        name: "vgg19" or "vgg16".
        weights: "imagenet" (Keras downloads them) or the path of a local .h5 file in Keras's layout.

    Raises:
        UserError: the weights can't be had.
    """
    import keras
    import numpy as np
    from keras import layers

    make = keras.applications.VGG19 if name == "vgg19" else keras.applications.VGG16
    words, final = _NETWORKS[name]
    try:
        network = make(include_top=False, weights=weights, input_shape=(None, None, 3))
    except Exception as error:  # the download and the file reader raise whatever they like
        raise UserError(
            f"{words}'s weights can't be had from {weights!r} ({error}). Give a local file with "
            "--set features_weights=FILE.h5, or use the network that comes with relumen and needs no download: "
            "--set features=microscopy --set features_weights=null"
        ) from error
    network.trainable = False
    image = keras.Input((None, None, 1))
    to_bgr = layers.Conv2D(3, 1, name="grey_to_bgr")
    x = to_bgr(image)
    to_bgr.set_weights([np.full((1, 1, 1, 3), 255 / 8), 255 / 4 - np.array([103.939, 116.779, 123.68])])
    last = network.get_layer(final)
    for layer in network.layers[1 : network.layers.index(last)]:
        x = layer(x)
    before_activation = layers.Conv2D(256, 3, padding="same", name=f"{final}_linear")
    model = keras.Model(image, before_activation(x), name=f"{name}_{final}")
    before_activation.set_weights(last.get_weights())
    model.trainable = False
    return model


_OFFLINE = (
    "The one that comes with relumen needs neither file nor download: "
    "--set features=microscopy --set features_weights=null. Your own: relumen train features"
)


def _check(name: str) -> None:
    if name not in _NETWORKS:
        raise UserError(f"There is no feature network {name!r}. Choose {' or '.join(_NETWORKS)}.")


def _microscopy_file(weights: str | None) -> Path:
    if weights is None:
        from relumen.shipped import shipped_path

        return shipped_path(SHIPPED) / "model.keras"
    path = Path(weights)
    return RunFolder.open(path).model_file if path.is_dir() else path
