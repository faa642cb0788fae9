import keras
import numpy as np
import pytest
import tensorflow as tf

from relumen import features
from relumen.errors import UserError
from relumen.models import features as networks


def test_vgg19_gives_block_3_before_its_activation_from_a_local_file(tmp_path):
    keras.utils.set_random_seed(0)
    whole = keras.applications.VGG19(include_top=False, weights=None, input_shape=(None, None, 3))
    whole.save_weights(tmp_path / "vgg.weights.h5")
    x = np.random.default_rng(0).normal(size=(1, 16, 24, 1)).astype(np.float32)
    ours = np.asarray(features.perceptual("vgg19", str(tmp_path / "vgg.weights.h5"))(x))
    assert ours.shape == (1, 4, 6, 256)
    assert (ours < 0).any()
    grey = np.repeat((x + 2) * 255 / 8, 3, -1)
    official = keras.applications.vgg19.preprocess_input(grey.copy())
    block = keras.Model(whole.input, whole.get_layer("block3_conv4").output)
    np.testing.assert_allclose(np.maximum(ours, 0), np.asarray(block(official)), rtol=1e-4, atol=1e-5)
    assert "vgg.weights.h5, SHA-256 " in features.describe("vgg19", str(tmp_path / "vgg.weights.h5"))


def test_layers_of_vgg16_are_those_of_keras_after_their_activation(tmp_path):
    keras.utils.set_random_seed(0)
    whole = keras.applications.VGG16(include_top=False, weights=None, input_shape=(None, None, 3))
    whole.save_weights(tmp_path / "vgg.weights.h5")
    x = np.random.default_rng(0).normal(size=(1, 16, 24, 1)).astype(np.float32)
    names = ("block1_conv2", "block2_conv1", "block3_conv3")
    network = features.at_layers(features.perceptual("vgg16", str(tmp_path / "vgg.weights.h5")), names)
    official = keras.applications.vgg16.preprocess_input(np.repeat((x + 2) * 255 / 8, 3, -1))
    expected = keras.Model(whole.input, [whole.get_layer(name).output for name in names])(official)
    for ours, theirs in zip(network(x), expected, strict=True):
        theirs = np.asarray(theirs)
        kept = np.asarray(ours) if (np.asarray(ours) >= 0).all() else np.maximum(ours, 0)
        np.testing.assert_allclose(kept, theirs, rtol=1e-4, atol=1e-4 * theirs.max())
    words = features.describe("vgg16", str(tmp_path / "vgg.weights.h5"), names)
    assert words.startswith("VGG-16, block1_conv2, block2_conv1, block3_conv3; weights vgg.weights.h5")
    with pytest.raises(UserError, match="no layer block9.*It has block1_conv1, "):
        features.at_layers(network, ["block9"])


@pytest.fixture
def own(tmp_path):
    """The file of a feature network that was not trained."""
    keras.utils.set_random_seed(0)
    networks.trunk(width=4).save(tmp_path / "own.keras")
    return str(tmp_path / "own.keras")


def test_the_own_network_is_frozen_and_gradients_reach_the_image(own):
    network = features.perceptual("microscopy", own)
    assert not network.trainable_variables
    image = tf.constant(np.random.default_rng(0).normal(size=(2, 17, 22, 1)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(image)
        seen = network(image, training=True)
        loss = tf.reduce_mean(tf.abs(seen))
    assert seen.shape == (2, 4, 5, 16)
    assert np.all(np.abs(tape.gradient(loss, image)).max((1, 2, 3)) > 0)


def test_a_network_is_described_by_layer_and_weights(own):
    import hashlib

    with open(own, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()[:12]
    words = features.describe("microscopy", own)
    assert "block3_conv3 before its activation" in words
    assert f"own.keras, SHA-256 {digest}" in words


@pytest.mark.parametrize("name", ["vgg19", "vgg16", "microscopy"])
@pytest.mark.parametrize("weights", ["gone.h5", "broken.weights.h5"])
def test_weights_that_cannot_be_had_name_the_offline_choice(name, weights, tmp_path):
    (tmp_path / "broken.weights.h5").write_text("no weights")
    with pytest.raises(UserError, match="features=microscopy"):
        features.perceptual(name, str(tmp_path / weights))


def test_a_network_that_restores_is_no_feature_network(tiny_run):
    with pytest.raises(UserError, match="no feature network"):
        features.perceptual("microscopy", str(tiny_run))


def test_an_unknown_network_names_the_known_ones():
    with pytest.raises(UserError, match="vgg19 or vgg16 or microscopy"):
        features.describe("resnet")


def test_whole_images_are_embedded_channel_by_channel_in_units_of_their_set(cells):
    images = np.stack([cells[y : y + 64, 300:428].reshape(64, 2, 64).swapaxes(1, 2) for y in range(300, 900, 10)])
    network = features.perceptual("microscopy")
    units = [(10.0, 5.0), (20.0, 8.0)]
    seen = features.embedded(network, images, units)
    width = network.output_shape[-1]
    assert seen.shape == (60, 2 * width)
    plane = (images[55:56, ..., 1:].astype(np.float32) - 20) / 8
    np.testing.assert_allclose(seen[55, width:], np.asarray(network(plane)).mean((0, 1, 2)), rtol=1e-3, atol=1e-4)
    brighter = features.embedded(network, 2 * images, units)
    assert np.abs(brighter - seen).mean() > 0.05
