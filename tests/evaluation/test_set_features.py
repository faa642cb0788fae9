"""Features of sets of images of several channels, by the name of a network."""

import keras
import numpy as np
import pytest

from relumen import features
from relumen.errors import UserError
from relumen.evaluation.set_features import describe, features_of, units_of
from relumen.metrics import frechet_distance, kernel_distance


@pytest.fixture(scope="module")
def images(cells):
    """Real cells as 24 images of two channels, 0..1."""
    tiles = cells[200:968, 200:712].reshape(24, 32, 8, 64).swapaxes(1, 2).reshape(96, 2, 32, 64)
    return (tiles[:24].transpose(0, 2, 3, 1) / np.float32(255)).astype(np.float32)


def test_features_of_the_own_network_are_those_of_each_channel_in_the_units_of_the_reference(images):
    units = units_of(images)
    np.testing.assert_allclose(units[1], (images[..., 1].mean(), images[..., 1].std()), rtol=1e-5)
    seen = features_of(images, "microscopy", units=units)
    network = features.perceptual("microscopy")
    plane = (images[5:6, ..., 1:] - units[1][0]) / units[1][1]
    width = network.output_shape[-1]
    assert seen.shape == (24, 2 * width)
    np.testing.assert_allclose(seen[5, width:], np.asarray(network(plane)).mean((0, 1, 2)), rtol=1e-3, atol=1e-3)


def test_a_blurred_set_is_further_from_the_reference_than_another_part_of_it(images):
    from scipy.ndimage import gaussian_filter

    reference, unseen = images[::2], images[1::2]
    seen = [
        features_of(each, "microscopy", units=units_of(reference))
        for each in (reference, unseen, gaussian_filter(unseen, (0, 1.5, 1.5, 0)))
    ]
    for distance in (frechet_distance, lambda a, b: kernel_distance(a, b).value):
        assert distance(seen[0], seen[1]) < distance(seen[0], seen[2])


def test_channels_by_themselves_need_the_units_of_the_reference(images):
    for units in (None, [(0.0, 1.0)]):
        with pytest.raises(ValueError, match="each of the 2 channels"):
            features_of(images, "microscopy", units=units)


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """A file of random weights."""
    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    file = tmp_path_factory.mktemp("inception") / "inception.weights.h5"
    network.save_weights(file)
    return network, str(file)


def test_inception_sees_colours_of_299_pixels_from_minus_1_to_1(images, inception):
    network, file = inception
    blue, green = np.moveaxis(images[:2, :, :32], -1, 0)
    colours = np.stack([np.zeros_like(blue), green, blue], -1)
    large = keras.ops.image.resize(colours, (299, 299), interpolation="bilinear")
    expected = network(keras.applications.inception_v3.preprocess_input(255 * np.asarray(large)), training=False)
    seen = features_of(images[:2, :, :32], "inception", file)
    assert seen.shape == (2, 2048)
    np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert describe("inception", file).endswith(
        f"isn't the network of published figures; weights inception.weights.h5, SHA-256 {digest(file)}"
    )


def digest(file):
    import hashlib

    with open(file, "rb") as opened:
        return hashlib.sha256(opened.read()).hexdigest()[:12]


def test_captions_name_network_and_weights():
    words = describe("microscopy")
    assert words.startswith("over features of relumen's own network of microscopy images, block3_conv3")
    assert "SHA-256" in words and words.endswith("channel by channel")
    assert "ImageNet weights of Keras Applications" in describe("inception")


@pytest.mark.parametrize("name", ["vgg16", "inception", "microscopy"])
@pytest.mark.parametrize("weights", ["gone.h5", "broken.weights.h5"])
def test_weights_that_cannot_be_had_name_the_offline_choice(images, name, weights, tmp_path):
    (tmp_path / "broken.weights.h5").write_text("no weights")
    with pytest.raises(
        UserError, match=rf"(?s)weights of {name} can't be had.*{weights}.*--features microscopy"
    ) as told:
        features_of(images, name, str(tmp_path / weights), units_of(images))
    assert "--set" not in str(told.value)


def test_an_unknown_network_names_the_known_ones(images):
    for ask in (describe, lambda name: features_of(images, name)):
        with pytest.raises(UserError, match="'vgg19'. Choose microscopy or vgg16 or inception"):
            ask("vgg19")
    with pytest.raises(UserError, match="no weights of inception"):
        describe("inception", "gone.h5")
