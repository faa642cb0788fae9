"""The feature network beyond the contract of all networks: what makes it usable as a loss."""

import keras
import numpy as np
import pytest

from relumen.models import features


@pytest.fixture
def trunk():
    keras.utils.set_random_seed(0)
    return features.trunk(width=4)


def test_the_last_conv_has_no_activation(trunk):
    seen = np.asarray(trunk(np.random.default_rng(0).normal(size=(1, 32, 32, 1))))
    assert (seen < 0).any() and (seen > 0).any()
    assert trunk.layers[-1].name == features.LAST


def test_an_image_is_seen_alike_in_any_batch_and_in_training(trunk):
    images = np.random.default_rng(0).normal(size=(3, 24, 24, 1)).astype(np.float32)
    alone, together = trunk(images[:1], training=False), trunk(images, training=True)
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)


def test_a_part_is_seen_as_in_the_whole(trunk):
    image = np.random.default_rng(0).normal(size=(1, 96, 96, 1)).astype(np.float32)
    margin = 20 // features.STRIDE + 1  # half the receptive field
    whole, part = np.asarray(trunk(image)), np.asarray(trunk(image[:, 16:80, 16:80]))
    inner = slice(margin, 16 - margin)
    np.testing.assert_allclose(part[:, inner, inner], whole[:, 4:20, 4:20][:, inner, inner], atol=1e-4)


def test_the_classifier_trains_the_trunk_it_was_given(trunk):
    classifier = features.classifier(trunk, labels=5)
    answer = classifier(np.zeros((2, 16, 16, 1), np.float32))
    assert {name: tuple(value.shape) for name, value in answer.items()} == {"label": (2, 5), "degradation": (2, 2)}
    trained = {weight.path for weight in classifier.trainable_weights}
    assert {weight.path for weight in trunk.trainable_weights} < trained


def test_the_trunk_fits_what_may_be_shipped():
    assert 4 * features.trunk().count_params() < 2e6
