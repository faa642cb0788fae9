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


def test_charbonnier_is_a_smooth_absolute_error():
    target, output = np.array([1.0, 5.0, 0.0]), np.array([2.0, 2.0, 0.0])
    expected = np.sqrt((target - output) ** 2 + 1e-6).mean()
    assert float(losses.charbonnier(tf.constant(target), tf.constant(output))) == pytest.approx(expected)
    with tf.GradientTape() as tape:
        same = tf.Variable([0.0])
        loss = losses.charbonnier(same, tf.constant([0.0]))
    assert float(tape.gradient(loss, same)[0]) == 0  # the absolute error has none there


@pytest.mark.parametrize("shape", [(3, 1), (2, 3, 4, 1)])
def test_the_gan_losses_as_the_paper_writes_them(shape):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(0, 3, shape), rng.normal(0, 3, shape)
    d_real, d_fake = sigmoid(real), sigmoid(fake)
    expected = {
        "real_or_fake": -np.log(d_real).mean() - np.log(1 - d_fake).mean(),
        "non_saturating": -np.log(d_fake).mean(),
        "minimax": np.log(1 - d_fake).mean(),
    }
    real, fake = tf.constant(real), tf.constant(fake)
    assert float(losses.real_or_fake(real, fake)) == pytest.approx(expected["real_or_fake"])
    for name in ("non_saturating", "minimax"):
        assert float(getattr(losses, name)(fake)) == pytest.approx(expected[name])
        form = losses.GAN_FORMS[name.replace("_", "-")]
        assert float(form.generator(real, fake)) == pytest.approx(expected[name])
        assert float(form.discriminator(real, fake)) == pytest.approx(expected["real_or_fake"])


def test_only_the_non_saturating_form_pulls_where_the_discriminator_is_sure():
    gradients = {}
    for form in (losses.non_saturating, losses.minimax):
        for logit in (-10.0, 0.0, 10.0):
            fake = tf.Variable([logit])
            with tf.GradientTape() as tape:
                loss = form(fake)
            gradients[form, logit] = float(tape.gradient(loss, fake)[0])
    # Both fall as the fake is taken for real; at an even guess they pull alike.
    assert gradients[losses.non_saturating, 0.0] == gradients[losses.minimax, 0.0] == pytest.approx(-0.5)
    assert gradients[losses.non_saturating, -10.0] == pytest.approx(-1, abs=1e-3)
    assert gradients[losses.minimax, -10.0] == pytest.approx(0, abs=1e-3)
    assert gradients[losses.minimax, 10.0] == pytest.approx(-1, abs=1e-3)


@pytest.mark.parametrize("name", ["non-saturating", "minimax"])
def test_gan_losses_stay_finite_where_the_sigmoid_is_saturated(name):
    real, fake = tf.constant([[-500.0]]), tf.constant([[500.0]])
    assert float(losses.GAN_FORMS[name].discriminator(real, fake)) == pytest.approx(1000)
    assert abs(float(losses.GAN_FORMS[name].generator(fake, real))) in (pytest.approx(500), pytest.approx(0, abs=1e-6))
