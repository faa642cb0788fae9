"""The adversarial step: who learns from it, and in which direction."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from relumen.models import cascade, limited
from relumen.training.adversary import Adversary, fine_detail
from relumen.training.losses import GAN_FORMS
from relumen.training.replicas import Replicas


@pytest.fixture
def images(phase):
    """Real parts of a frame, and the same without their details."""
    parts = np.stack([phase[300 + 32 * i : 332 + 32 * i, 300:332] for i in range(4)]).astype(np.float32)[..., None]
    real = tf.constant((parts - parts.mean()) / parts.std())
    return real, tf.image.resize(tf.nn.avg_pool2d(real, 4, 4, "VALID"), (32, 32))


@pytest.mark.parametrize("form", ["non-saturating", "minimax"])
def test_the_discriminator_learns_and_the_generators_loss_tells_it(form, images):
    keras.utils.set_random_seed(0)
    network = cascade.discriminator((4, 8))
    adversary = Adversary(network, keras.optimizers.Adam(1e-2), GAN_FORMS[form], Replicas())
    before, first = network.get_weights(), float(adversary.judge(*images))
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))  # only told
    told = [float(adversary.learn(*images)) for _ in range(12)]
    assert told[-1] < told[0]
    assert float(adversary.judge(*images)) > first  # the fakes are found out
    with tf.GradientTape() as tape:
        fake = tf.Variable(images[1])
        loss = adversary.judge(images[0], fake)
    better = fake - 0.1 * tf.sign(tape.gradient(loss, fake))
    assert float(adversary.judge(images[0], better)) < float(loss)


def test_a_checkpoint_holds_the_discriminator_and_its_optimiser():
    network, optimizer = cascade.discriminator((4, 8)), keras.optimizers.Adam()
    adversary = Adversary(network, optimizer, GAN_FORMS["non-saturating"], Replicas())
    assert adversary.state == {"discriminator": network, "discriminator_optimizer": optimizer}
    assert optimizer.built


def test_a_critic_under_the_penalty_tells_images_apart_with_a_slope_near_one(images):
    real, fake = images
    keras.utils.set_random_seed(0)
    network = limited.discriminator((4, 8), norm=False)
    critic = Adversary(network, keras.optimizers.Adam(1e-2), GAN_FORMS["wasserstein"], Replicas(), penalty=10.0)
    told = [float(critic.learn(real, fake)) for _ in range(40)]
    assert told[-1] < min(told[0], 0)
    with tf.GradientTape() as tape:
        tape.watch(fake)
        judged = tf.reduce_sum(tf.reduce_mean(network(fake), (1, 2, 3)))
    slope = np.sqrt(np.square(tape.gradient(judged, fake)).sum((1, 2, 3)))
    assert np.all(slope < 3)
    free = Adversary(network, keras.optimizers.Adam(1e-2), GAN_FORMS["wasserstein"], Replicas())
    for _ in range(40):
        free.learn(real, fake)
    with tf.GradientTape() as tape:
        tape.watch(fake)
        judged = tf.reduce_sum(tf.reduce_mean(network(fake), (1, 2, 3)))
    assert np.all(np.sqrt(np.square(tape.gradient(judged, fake)).sum((1, 2, 3))) > 2 * slope)  # nothing holds it


def test_a_conditional_discriminator_finds_the_wrong_partner(images):
    real, poor = images
    keras.utils.set_random_seed(0)
    network = limited.discriminator((8, 16), channels=2, norm=False)
    adversary = Adversary(network, keras.optimizers.Adam(1e-2), GAN_FORMS["non-saturating"], Replicas())
    swapped = tf.roll(real, 1, 0)  # as good as real, but beside the wrong inputs
    for _ in range(60):
        adversary.learn(real, swapped, poor)
    assert float(adversary.judge(real, swapped, poor)) > 2 * float(adversary.judge(swapped, real, poor))


def test_fine_detail_is_what_a_blur_takes(cells):
    image = cells[300:340, 300:350].astype(np.float32)
    detail = fine_detail(tf.constant(image[np.newaxis, ..., np.newaxis]))
    expected = image - gaussian_filter(image.astype(np.float64), 2.0, truncate=3.0)
    np.testing.assert_allclose(detail[0, ..., 0], expected, atol=1e-4 * image.std())


def test_a_critic_that_sees_fine_detail_tells_faint_grain_further_from_none(images):
    blurred = images[1]
    grain = 0.05 * tf.random.stateless_normal(tf.shape(blurred), [1, 2])

    def distance(detail):
        keras.utils.set_random_seed(0)
        network = limited.discriminator((4, 8), channels=1 + bool(detail), norm=False)
        critic = Adversary(
            network, keras.optimizers.Adam(1e-2), GAN_FORMS["wasserstein"], Replicas(), penalty=10.0, detail=detail
        )
        for _ in range(60):
            critic.learn(blurred, blurred + grain)
        return float(critic.judge(blurred, blurred + grain) - critic.judge(blurred, blurred))

    assert distance(8.0) > 2 * max(distance(0.0), 0)
