"""What a network sees in each image of a set: the features for the distance of sets (FID, KID), by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen import features
from relumen.errors import UserError
from relumen.pictures import as_rgb

if TYPE_CHECKING:
    import keras

Float32 = NDArray[np.float32]

NAMES = ("microscopy", "vgg16", "inception")
"""The first needs neither download nor file."""

_INCEPTION_SIZE = 299
_BATCH = 16  # of images of 299 pixels


def features_of(
    images: NDArray[Any], name: str, weights: str | None = None, units: Sequence[tuple[float, float]] | None = None
) -> Float32:
    """The features of each image of a set.

    "microscopy" (relumen's own network) and "vgg16" see each channel by itself; their features are the means over all
    places. "inception" is the Inception-v3 of Keras Applications, which sees colours (:func:`~relumen.pictures.as_rgb`)
    at 299 x 299 pixels, bilinear: it isn't the network of published FIDs and KIDs, so that figures can't be compared
    with theirs.

    Args:
        images: (n, y, x, channels), 0..1; for "microscopy" and "vgg16" in any range.
        name: of :data:`NAMES`.
        weights: a local file of them, or a run folder for "microscopy"; None: the network's own, which are those that
            come with relumen, or ImageNet's, which Keras downloads.
        units: for "microscopy" and "vgg16" :func:`units_of` the reference set, the same for every set that is compared
            with it.

    Returns:
        (n, channels * d); (n, 2048) for "inception".

    Raises:
        UserError: no such network, or its weights can't be had.
        ValueError: the network sees each channel by itself, and no units are given, or not one for each channel.
    """
    network = _network(name, weights)
    if name == "inception":
        return _by_inception(network, images)
    if units is None or len(units) != images.shape[-1]:
        raise ValueError(
            f"{name} needs the mean and deviation of each of the {images.shape[-1]} channels. Received: units={units}"
        )
    return features.embedded(network, images, units)


def units_of(reference: NDArray[Any]) -> list[tuple[float, float]]:
    """Mean and standard deviation of each channel over a set (n, y, x, channels)."""
    channels = np.moveaxis(reference.astype(np.float64), -1, 0)
    return [(float(channel.mean()), float(channel.std())) for channel in channels]


def describe(name: str, weights: str | None = None) -> str:
    """The features in words, for a table's caption: "over features of ...".

    Args:
        name: as for :func:`features_of`.
        weights: likewise.

    Raises:
        UserError: no such network, or its file isn't there.
    """
    _check(name)
    if name != "inception":
        return f"over features of {features.describe(name, weights)}; means over each image, channel by channel"
    words = "over features of Keras's Inception-v3, pooled, which isn't the network of published figures"
    if weights is None:
        return f"{words}; ImageNet weights of Keras Applications"
    file = Path(weights)
    if not file.is_file():
        raise UserError(f"There are no weights of inception at {file}. {_OFFLINE}")
    return f"{words}; weights {file.name}, SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


_OFFLINE = (
    "Give a local .h5 file in Keras's layout, without its top; or choose --features microscopy, the network that comes "
    "with relumen and needs no download."
)


def _check(name: str) -> None:
    if name not in NAMES:
        raise UserError(f"There are no features {name!r}. Choose {' or '.join(NAMES)}.")


@cache
def _network(name: str, weights: str | None) -> keras.Model:
    """Loaded once: a table asks for the features of many sets."""
    import keras

    _check(name)
    try:
        if name != "inception":
            return features.perceptual(name, weights)
        network = keras.applications.InceptionV3(include_top=False, pooling="avg", weights=weights or "imagenet")
    except Exception as error:  # the download and the file reader raise whatever they like
        why = error.__cause__ or error  # of a feature network's error, without its advice for trainings
        raise UserError(
            f"The weights of {name} can't be had from {weights or 'imagenet'!r} ({why}). {_OFFLINE}"
        ) from error
    network.trainable = False
    return network


def _by_inception(network: keras.Model, images: NDArray[Any]) -> Float32:
    import tensorflow as tf

    seen = []
    for start in range(0, len(images), _BATCH):
        colours = tf.image.resize(as_rgb(images[start : start + _BATCH]), (_INCEPTION_SIZE, _INCEPTION_SIZE))
        seen.append(np.asarray(network(2 * colours - 1, training=False)))
    return np.concatenate(seen)
