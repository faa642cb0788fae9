import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

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


def test_the_wasserstein_losses_by_hand():
    real, fake = tf.constant([[1.0], [3.0]]), tf.constant([[0.5], [-1.5]])
    form = losses.GAN_FORMS["wasserstein"]
    assert float(form.discriminator(real, fake)) == pytest.approx(-0.5 - 2.0)
    assert float(form.generator(real, fake)) == pytest.approx(0.5)


def test_the_least_squares_losses_by_hand():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 3, 4, 1)), rng.normal(size=(2, 3, 4, 1))
    form = losses.GAN_FORMS["least-squares"]
    told = float(form.discriminator(tf.constant(real), tf.constant(fake)))
    assert told == pytest.approx((((real - 1) ** 2).mean() + (fake**2).mean()) / 2)
    assert float(form.generator(tf.constant(real), tf.constant(fake))) == pytest.approx(((fake - 1) ** 2).mean())


def test_the_gradient_penalty_of_a_linear_critic_by_hand():
    weights = np.random.default_rng(0).normal(size=(3, 4, 1)).astype(np.float32)
    real, fake = (np.random.default_rng(i).normal(size=(2, 3, 4, 1)).astype(np.float32) for i in (1, 2))

    def critic(image):
        return tf.reduce_sum(image * weights, (1, 2, 3), keepdims=True)

    expected = (np.sqrt(np.square(weights).sum()) - 1) ** 2  # its slope is the same everywhere
    share = tf.constant([0.2, 0.9], shape=(2, 1, 1, 1))
    penalty = losses.gradient_penalty(critic, tf.constant(real), tf.constant(fake), share)
    assert float(penalty) == pytest.approx(expected, 1e-4)


def test_the_gradient_penalty_is_taken_between_the_images():
    real, fake = tf.fill((3, 1, 1, 1), 1.0), tf.fill((3, 1, 1, 1), 3.0)
    share = tf.constant([0.0, 0.5, 1.0], shape=(3, 1, 1, 1))
    # The slope of x^2 is 2 x, at x = 1, 2 and 3.
    expected = np.mean([(2 * x - 1) ** 2 for x in (1, 2, 3)])
    assert float(losses.gradient_penalty(tf.square, real, fake, share)) == pytest.approx(expected)


def test_content_loss_by_hand():
    rng = np.random.default_rng(0)
    a = [rng.normal(size=shape) for shape in ((2, 4, 4, 3), (2, 2, 2, 6))]
    b = [rng.normal(size=each.shape) for each in a]
    expected = sum(np.square(x - y).sum((1, 2, 3)) / x[0].size for x, y in zip(a, b, strict=True)).mean()
    assert float(losses.content([tf.constant(x) for x in a], [tf.constant(y) for y in b])) == pytest.approx(expected)


def test_brightness_is_compared_after_a_wide_blur(cells):
    clean = np.stack([cells[300:332, 300:348], cells[500:532, 300:348]]).astype(np.float32) / cells.std()
    made = clean + np.random.default_rng(0).normal(0.3, 1, clean.shape).astype(np.float32)
    wide = [[gaussian_filter(image, 8, mode="reflect", truncate=3) for image in batch] for batch in (clean, made)]
    expected = np.mean((np.array(wide[0]) - np.array(wide[1])) ** 2)
    found = losses.brightness(*(tf.constant(batch[..., np.newaxis]) for batch in (clean, made)))
    assert float(found) == pytest.approx(expected, rel=1e-3)
    assert expected == pytest.approx(0.3**2, rel=0.2)  # noise counts for little beside a shift


def test_style_loss_by_hand_and_between_images_of_two_sizes():
    rng = np.random.default_rng(0)
    a = [rng.normal(size=(2, 4, 4, 3)), rng.normal(size=(2, 2, 2, 6))]
    b = [rng.normal(size=(2, 8, 6, 3)), rng.normal(size=(2, 4, 3, 6))]
    expected = 0.0
    for x, y in zip(a, b, strict=True):
        grams = []
        for each in (x, y):
            rows = each.reshape(2, -1, each.shape[-1])
            grams.append(np.einsum("npc,npd->ncd", rows, rows) / rows.shape[1])
        expected += (np.square(grams[0] - grams[1]).sum((1, 2)) / x.shape[-1]).mean()
    assert float(losses.style([tf.constant(x) for x in a], [tf.constant(y) for y in b])) == pytest.approx(expected)
