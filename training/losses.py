"""Loss terms, named as the papers name them; their weights live in the presets."""

from __future__ import annotations

import keras
import tensorflow as tf


def pixel_l1(target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Mean absolute error of the pixels (Chatton, Sec. 2.4.1)."""
    return tf.reduce_mean(tf.abs(target - output))


def perceptual_l1(features: keras.Model, target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Mean absolute error between the features of two images (Chatton, Sec. 2.4.2).

    Args:
        features: the frozen feature network.
        target: (batch, y, x, 1).
        output: (batch, y, x, 1).
    """
    return tf.reduce_mean(tf.abs(features(target, training=False) - features(output, training=False)))


def relativistic_average(higher: tf.Tensor, lower: tf.Tensor) -> tf.Tensor:
    """Relativistic average GAN loss, from logits (ESRGAN, Sec. 3.2; Jolicoeur-Martineau, 2018).

    -E log sigmoid(C(h) - mean C(l)) - E log(1 - sigmoid(C(l) - mean C(h))): small where ``higher`` is judged more
    real than the average of ``lower``. The discriminator calls it with (real, fake), the generator with (fake,
    real).

    Args:
        higher: logits (batch, 1) that shall be judged the more real.
        lower: logits (batch, 1) of the others.
    """
    above = higher - tf.reduce_mean(lower)
    below = lower - tf.reduce_mean(higher)
    return tf.reduce_mean(tf.nn.softplus(-above)) + tf.reduce_mean(tf.nn.softplus(below))
