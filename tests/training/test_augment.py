"""ADA's transformations, and how strong they are."""

import numpy as np
import pytest
import tensorflow as tf

from relumen.training import augment
from relumen.training.augment import adjusted, augmented


@pytest.fixture(scope="module")
def images(cells):
    """Three crops of real cells with two channels, -1..1."""
    crops = [cells[y : y + 48, y : y + 96].reshape(48, 2, 48).swapaxes(1, 2) for y in (300, 400, 500)]
    return tf.constant(np.stack(crops).astype(np.float32) / cells.max() * 2 - 1)


def resampled(images, y, x, shift=(0.0, 0.0)):
    """Images read along other axes: y and x are the rows of the matrix."""
    matrix = tf.constant([[*y, shift[0]], [*x, shift[1]]], tf.float32)
    return augment._resampled(images, tf.repeat(matrix[tf.newaxis], len(images), 0)).numpy()


def test_nothing_is_changed_at_strength_0(images):
    np.testing.assert_array_equal(augmented(images, tf.constant(0.0), tf.constant([1, 2])), images)


def test_an_image_read_at_its_own_places_is_itself(images):
    same = resampled(images, (1, 0), (0, 1))
    assert np.abs(same - images)[:, 6:-6, 6:-6].max() < 1e-5 and np.abs(same - images).max() < 0.05


@pytest.mark.parametrize(
    ("y", "x", "expected"),
    [
        ((1, 0), (0, -1), lambda a: a[:, :, ::-1]),
        ((0, 1), (1, 0), lambda a: a.swapaxes(1, 2)),
        ((0, 1), (-1, 0), lambda a: np.rot90(a, 1, (1, 2))),
    ],
    ids=["flip", "transposition", "quarter turn"],
)
def test_flips_and_quarter_turns_lose_next_to_nothing(images, y, x, expected):
    """The wavelet's filter is not symmetric, so that a flip is not exact; but it doesn't shift the image."""
    inner = (slice(None), slice(6, -6), slice(6, -6))
    wanted = expected(images.numpy())
    assert np.abs(resampled(images, y, x) - wanted)[inner].mean() < 0.05 * wanted.std()


def test_a_shift_by_whole_pixels_is_one_and_the_border_is_mirrored(images):
    shifted = resampled(images, (1, 0), (0, 1), shift=(5, 0))
    expected = images.numpy()
    np.testing.assert_allclose(shifted[:, 6:-12, 6:-6], expected[:, 11:-7, 6:-6], atol=1e-4)
    assert np.abs(shifted[:, -4] - expected[:, -3]).mean() < 0.1 * expected.std()  # row 49 is row 46, mirrored


def test_each_image_and_seed_is_transformed_otherwise_and_equal_seeds_alike(images):
    strong = tf.constant(1.0)
    same = tf.repeat(images[:1], 3, 0)
    first, again, other = (augmented(same, strong, tf.constant([seed, 0])).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other) and not np.allclose(first[0], first[1])


def test_the_share_of_changed_images_is_the_strength():
    images = tf.random.stateless_normal((400, 8, 8, 1), [0, 0])
    matrices = augment._matrices(tf.constant(4000), 64, tf.constant(0.2), tf.constant([5, 6])).numpy()
    still = np.isclose(matrices, [[1, 0, 0], [0, 1, 0]], atol=1e-6).all((1, 2)).mean()
    # Half of the flips and a quarter of the turns leave an image as it is; the other transformations (shift, scale,
    # stretch, rotations together, fine shift) never do.
    expected = 0.9 * 0.85 * 0.8**5
    assert abs(still - expected) < 0.03
    changed = augmented(images, tf.constant(0.3), tf.constant([5, 6]), geometric=False).numpy()
    changed = np.abs(changed - images.numpy()) > 1e-5
    assert abs(changed.any((1, 2, 3)).mean() - (1 - 0.7**2)) < 0.08


def test_gain_and_brightness_are_of_each_channel_and_leave_black_black():
    dark = tf.fill((200, 4, 4, 2), -1.0)
    seen = augmented(dark, tf.constant(1.0), tf.constant([3, 3]), geometric=False).numpy()
    assert not np.allclose(seen[..., 0], seen[..., 1])
    assert (seen.std((1, 2)) < 1e-6).all()
    assert abs(np.median(seen) + 1) < 0.03


@pytest.mark.parametrize("options", [{"intensity": False}, {"geometric": False}, {}])
def test_the_gradient_is_that_of_finite_differences_and_has_one_itself(images, options):
    small = images[:2, 8:24, 8:24]
    seed, direction = tf.constant([4, 5]), tf.random.stateless_normal(small.shape, [1, 1])

    def along(shift):
        return tf.reduce_sum(augmented(small + shift * direction, tf.constant(0.9), seed, **options) ** 2)

    with tf.GradientTape() as outer:
        shift = tf.Variable(0.0)
        with tf.GradientTape() as inner:
            value = along(shift)
        slope = inner.gradient(value, shift)
    curvature = outer.gradient(slope, shift)
    a, b, c = (float(along(step)) for step in (-0.1, 0.0, 0.1))  # a parabola: the differences are exact
    np.testing.assert_allclose(float(slope), (c - a) / 0.2, rtol=1e-2)
    np.testing.assert_allclose(float(curvature), (a - 2 * b + c) / 0.01, rtol=1e-2)


def test_the_strength_rises_where_the_discriminator_is_sure_of_real_images():
    how = {"target": 0.6, "images": 64, "kimg": 10}
    assert adjusted(0.1, 0.8, **how) == pytest.approx(0.1064)
    assert adjusted(0.1, 0.5, **how) == pytest.approx(0.0936)
    assert adjusted(0.001, 0.5, **how) == 0 and adjusted(0.999, 0.9, **how) == 1
