"""A network with some layers replaced by others that compute the same, for the sake of what reads its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from relumen.models.layers import BilinearUpsampling, DiffractionPatternFilters

if TYPE_CHECKING:
    import keras

Replacement = Callable[[Any], "keras.Model | None"]
"""From a layer to a network that takes its place; None: the layer stays."""


def plain(model: keras.Model) -> keras.Model:
    """With Keras's layers in place of relumen's, so that a .keras file opens without relumen: the zoo tests it so."""

    def of_keras(layer: Any) -> keras.Model | None:  # noqa: ANN401  a layer or a network
        if isinstance(layer, BilinearUpsampling):
            return _upsampling(layer)
        return _filters(layer) if isinstance(layer, DiffractionPatternFilters) else None

    return _replaced(model, of_keras)


def steady(model: keras.Model) -> keras.Model:
    """With normalisation over a whole image, or over each of its features, by means over one axis after the other.

    ONNX Runtime adds up the millions of numbers of such a mean one after the other, which costs it three digits.
    """
    import keras

    def by_axis(layer: Any) -> keras.Model | None:  # noqa: ANN401  a layer or a network
        if not isinstance(layer, keras.layers.GroupNormalization) or not (layer.scale and layer.center):
            return None
        before: Any = layer.input
        # Where there is one group for each feature, Keras writes their number for the -1 that asked for it.
        axes = {1: (3, 2, 1), before.shape[-1]: (2, 1)}.get(layer.groups)
        last = layer.axis in (-1, 3) and len(before.shape) == 4
        return _normalisation(layer, axes) if axes and last else None

    return _replaced(model, by_axis)


def _replaced(model: keras.Model, replacement: Replacement) -> keras.Model:
    """A copy of the network; the same object where there is nothing to replace."""
    import keras

    found = {layer.name: network for layer in model.layers if (network := replacement(layer)) is not None}
    if not found:
        return model
    rest = []

    def layer_of(layer: Any) -> Any:  # noqa: ANN401  a layer or a network
        if layer.name in found:
            return found[layer.name]
        rest.append((layer, layer.__class__.from_config(layer.get_config())))
        return rest[-1][1]

    copy: Any = keras.models.clone_model(model, clone_function=layer_of)
    for layer, again in rest:
        if isinstance(layer, keras.Layer):  # others are operations, without weights
            again.set_weights(layer.get_weights())
    return copy


def _upsampling(layer: BilinearUpsampling) -> keras.Model:
    """Interpolation as pixels that are repeated, then means of neighbours: UpSampling2D's needs to know y and x."""
    import keras
    from keras import layers, ops

    of_layer: Any = layer.input
    image = keras.Input((None, None, of_layer.shape[-1]))
    x: Any = ops.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="symmetric")
    x = layers.UpSampling2D(2, interpolation="nearest")(x)
    for _ in range(2):
        x = layers.AveragePooling2D(2, strides=1)(x)
    return keras.Model(image, layers.Cropping2D(1)(x), name=layer.name)


def _filters(layer: DiffractionPatternFilters) -> keras.Model:
    """The two convolutions, with their kernels as weights that are not trained."""
    import keras
    from keras import layers

    airy, combined = layer.kernels
    image = keras.Input((None, None, 1))
    first = layers.Conv2D(airy.shape[-1], airy.shape[:2], padding="same", use_bias=False, trainable=False)
    second = layers.Conv2D(combined.shape[-1], 1, use_bias=False, trainable=False)
    network = keras.Model(image, second(layers.Concatenate()([first(image), image])), name=layer.name)
    first.set_weights([airy])
    second.set_weights([combined])
    return network


def _normalisation(layer: keras.layers.GroupNormalization, axes: Sequence[int]) -> keras.Model:
    """Over these axes of an image, the last one first; with scale and offset."""
    import keras
    from keras import layers, ops

    def mean(x: Any) -> Any:  # noqa: ANN401  symbolic tensors
        for axis in axes:
            x = ops.mean(x, axis, keepdims=True)
        return x

    before: Any = layer.input
    features = keras.Input((None, None, before.shape[-1]))
    centred: Any = features - mean(features)
    unit = centred * ops.rsqrt(mean(centred * centred) + layer.epsilon)
    last = layers.DepthwiseConv2D(1)
    network = keras.Model(features, last(unit), name=layer.name)
    gamma, beta = layer.get_weights()
    last.set_weights([gamma[np.newaxis, np.newaxis, :, np.newaxis], beta])
    return network
