"""relumen's own layers as Keras's, so that a package's .keras file opens without relumen: the zoo tests it so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relumen.models.layers import BilinearUpsampling, DiffractionPatternFilters

if TYPE_CHECKING:
    import keras


def plain(model: keras.Model) -> keras.Model:
    """The same network with Keras's layers alone, where it has layers of relumen's; the same object where it has none."""
    import keras

    if not any(isinstance(layer, BilinearUpsampling | DiffractionPatternFilters) for layer in model.layers):
        return model
    rest = []

    def layer_of(layer: keras.layers.Layer) -> Any:  # noqa: ANN401  a layer or a network
        if isinstance(layer, BilinearUpsampling):
            return _upsampling(layer)
        if isinstance(layer, DiffractionPatternFilters):
            return _filters(layer)
        again = layer.__class__.from_config(layer.get_config())
        rest.append((layer, again))
        return again

    copy: Any = keras.models.clone_model(model, clone_function=layer_of)
    for layer, again in rest:
        again.set_weights(layer.get_weights())
    return copy


def _upsampling(layer: BilinearUpsampling) -> keras.Model:
    """Interpolation as pixels that are repeated, then means of neighbours: UpSampling2D's needs to know y and x."""
    import keras
    from keras import layers, ops

    image = keras.Input((None, None, layer.input.shape[-1]))
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
