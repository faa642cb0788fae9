import numpy as np
import pytest
import tensorflow as tf

from relumen.training import losses


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_distances_by_hand():
    target, output = tf.constant([1.0, 5.0]), tf.constant([2.0, 2.0])
    assert float(losses.l1(target, output)) == pytest.approx(2.0)
    assert float(losses.l2(target, output)) == pytest.approx(5.0)


def test_gram_by_hand_and_blind_to_place():
    features = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = np.stack([each.reshape(12, 5).T @ each.reshape(12, 5) / 12 for each in features])
    np.testing.assert_allclose(losses.gram(tf.constant(features)), expected, rtol=1e-5, atol=1e-6)
    moved = np.roll(features, (1, 2), axis=(1, 2))
    np.testing.assert_allclose(losses.gram(tf.constant(moved)), expected, rtol=1e-5, atol=1e-6)


def test_relativistic_average_as_the_paper_writes_it():
    real, fake = np.array([[1.5], [-0.2], [3.0]]), np.array([[0.3], [0.9], [-2.0]])
    d_real = sigmoid(real - fake.mean())
    d_fake = sigmoid(fake - real.mean())
    expected_d = -np.log(d_real).mean() - np.log(1 - d_fake).mean()
    expected_g = -np.log(1 - d_real).mean() - np.log(d_fake).mean()
    assert float(losses.relativistic_average(tf.constant(real), tf.constant(fake))) == pytest.approx(expected_d)
    assert float(losses.relativistic_average(tf.constant(fake), tf.constant(real))) == pytest.approx(expected_g)


def test_relativistic_average_stays_finite_where_the_sigmoid_is_saturated():
    loss = losses.relativistic_average(tf.constant([[-500.0]]), tf.constant([[500.0]]))
    assert float(loss) == pytest.approx(2000.0)
