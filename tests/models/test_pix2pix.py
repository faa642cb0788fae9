"""Pix2Pix's U-Net: its published sizes, gradients that reach every weight, and answers that are functions of inputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from relumen.models import limited
from relumen.models.baselines import pix2pix


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


def pictures(count, size, channels):
    return np.random.default_rng(0).uniform(-1, 1, (count, size, size, channels)).astype(np.float32)


@pytest.mark.parametrize(("size", "channels", "norm"), [(8, 1, "batch"), (32, 3, "instance"), (64, 2, "batch")])
def test_images_keep_their_shape_and_gradients_reach_every_weight(size, channels, norm, tmp_path):
    network = pix2pix.generator(size, channels, width=4, norm=norm)
    x = pictures(2, size, channels)
    with tf.GradientTape() as tape:
        y = network(x, training=True)
        loss = tf.reduce_mean(tf.square(y - x))
    assert y.shape == x.shape and np.abs(y).max() <= 1
    weights = network.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None and np.abs(gradient).max() > 0, weight.path
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(x, training=False), network(x, training=False))


def test_layers_are_as_wide_as_published():
    network = pix2pix.generator(128, 3)
    encoder = [network.get_layer(f"down_{i}").filters for i in range(1, 8)]
    assert encoder == [64, 128, 256, 512, 512, 512, 512]
    decoder = [network.get_layer(f"up_{i}_joined").output.shape[-1] for i in range(6, 0, -1)]
    assert decoder == [1024, 1024, 1024, 512, 256, 128]  # as the paper counts: of both that are joined
    assert network.get_layer("down_7").output.shape[1:3] == (1, 1)
    of_block = [layer.name for layer in network.layers if isinstance(layer, keras.layers.Dropout)]
    assert of_block == ["up_6_dropout", "up_5_dropout", "up_4_dropout"]
    kernel = network.get_layer("down_5").kernel
    assert np.std(kernel) == pytest.approx(0.02, rel=0.01)


def test_convolutions_of_one_shape_begin_apart():
    network = pix2pix.generator(32, 1, width=4)
    kernels = [np.asarray(network.get_layer(name).kernel) for name in ("down_5", "up_4")]
    assert kernels[0].shape == kernels[1].shape and not np.array_equal(*kernels)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_an_answer_depends_on_its_input_alone(norm):
    network = pix2pix.generator(32, 2, width=4, norm=norm)
    x = pictures(5, 32, 2)
    network(x, training=True)  # statistics are stored
    together = network(x, training=False)
    np.testing.assert_array_equal(together, network(x, training=False))
    for i in range(5):
        np.testing.assert_allclose(network(x[i : i + 1], training=False)[0], together[i], atol=1e-5)
    assert np.abs(network(x, training=True) - network(x, training=True)).max() > 1e-4  # where it drops features


def test_the_innermost_layer_tells_of_its_image():
    """Normalised over its image, a single pixel would be the same for all."""
    network = pix2pix.generator(16, 1, width=4, norm="instance")
    inner = keras.Model(network.input, network.get_layer("down_4_leaky").output)
    code = np.asarray(inner(pictures(2, 16, 1)))
    assert np.abs(code[0] - code[1]).max() > 1e-3 * np.abs(code).max()


def test_a_logit_of_the_discriminator_sees_70_pixels():
    """Without normalisation, by which it sees the contrast of the whole image."""
    network = limited.discriminator((4, 4, 4, 4), channels=4, norm=False)
    x = tf.constant(pictures(1, 128, 4))
    with tf.GradientTape() as tape:
        tape.watch(x)
        logit = network(x)[0, 8, 8, 0]
    seen = np.abs(tape.gradient(logit, x))[0].max(-1) > 0
    assert (seen.any(0).sum(), seen.any(1).sum()) == (70, 70)


@pytest.mark.parametrize("size", [0, 4, 48, 100])
def test_sizes_that_can_not_be_halved_down_to_a_pixel_are_refused(size):
    with pytest.raises(ValueError, match=f"halves images down to one pixel.*Received: size={size}"):
        pix2pix.generator(size)
