"""What every network must keep: shapes, any size, saving, and gradients that reach every weight."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from relumen.models import esrgan, features


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


NETWORKS = {
    "generator": (lambda: esrgan.generator(2, 8, 4), (2, 12, 12, 1), (2, 24, 24, 1)),
    "generator of odd size": (lambda: esrgan.generator(1, 8, 4), (1, 13, 7, 1), (1, 26, 14, 1)),
    "generator x8": (lambda: esrgan.generator(1, 8, 4, scale=8), (1, 5, 4, 1), (1, 40, 32, 1)),
    "generator x1": (lambda: esrgan.generator(1, 8, 4, scale=1), (1, 9, 9, 1), (1, 9, 9, 1)),
    "generator of colours": (lambda: esrgan.generator(1, 8, 4, channels=3), (1, 6, 6, 3), (1, 12, 12, 3)),
    "discriminator": (lambda: esrgan.discriminator(32, 4, 8), (3, 32, 32, 1), (3, 1)),
    "features": (lambda: features.trunk(4), (2, 16, 24, 1), (2, 4, 6, 16)),
    "features of odd size": (lambda: features.trunk(4), (1, 19, 5, 1), (1, 4, 1, 16)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_contract(name, tmp_path):
    build, shape, expected = NETWORKS[name]
    network = build()
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with tf.GradientTape() as tape:
        y = network(x, training=True)
        loss = tf.reduce_mean(tf.square(y - 1.0))
    assert y.shape == expected
    for weight, gradient in zip(
        network.trainable_variables, tape.gradient(loss, network.trainable_variables), strict=True
    ):
        assert gradient is not None and np.abs(gradient).max() > 0, weight.path
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(x, training=False), network(x, training=False))


def test_the_papers_generator_has_the_published_size():
    assert round(esrgan.generator().count_params() / 1e6, 1) == 16.6


def test_he_initialisation_is_scaled_by_a_tenth():
    kernel = esrgan.generator(1, 64, 32).get_layer("conv_trunk").kernel
    assert np.std(kernel) == pytest.approx(0.1 * np.sqrt(2 / (9 * 64)), rel=0.02)


@pytest.mark.parametrize("scale", [0, 3, 6])
def test_scales_are_powers_of_two(scale):
    with pytest.raises(ValueError, match="power of two"):
        esrgan.generator(1, 8, 4, scale=scale)


def test_patches_fill_the_discriminators_strides():
    with pytest.raises(ValueError, match="multiple of 16"):
        esrgan.discriminator(40)
