import numpy as np
import pytest
import tensorflow as tf

from relumen.training import losses


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_pixel_l1_by_hand():
    assert float(losses.pixel_l1(tf.constant([1.0, 5.0]), tf.constant([2.0, 2.0]))) == pytest.approx(2.0)


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


def test_perceptual_l1_compares_features_not_pixels():
    import keras

    image = keras.Input((None, None, 1))
    mean = keras.Model(image, keras.layers.AveragePooling2D(2)(image))
    checker = tf.constant(np.indices((4, 4)).sum(0) % 2, tf.float32)[None, ..., None]
    assert float(losses.perceptual_l1(mean, checker, 1 - checker)) == pytest.approx(0)
    assert float(losses.perceptual_l1(mean, checker, checker + 2)) == pytest.approx(2)
