import warnings

import numpy as np
import pytest

from relumen.metrics import (
    SCALE_WEIGHTS,
    affine_fitted,
    data_range,
    frechet_distance,
    kernel_distance,
    ms_ssim,
    psnr,
    rescaled,
    ssim,
)


def test_psnr_by_hand():
    reference = np.linspace(0, 1, 1001).reshape(7, 143)
    assert data_range(reference) == pytest.approx(0.998)
    error = 0.01
    assert psnr(reference, reference + error) == pytest.approx(20 * np.log10(0.998 / error))
    with warnings.catch_warnings(action="error"):
        assert psnr(reference, reference) == np.inf


def test_hot_pixels_do_not_set_the_scale(cells):
    hot = cells.astype(np.float32)
    hot[0, 0] = 1e6
    assert data_range(hot) == pytest.approx(data_range(cells), rel=0.01)


def test_ssim_is_one_for_the_image_itself_and_falls_with_noise(cells):
    part = cells[300:500, 300:500].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 1, part.shape)
    values = [ssim(part, part + level * noise) for level in (0, 2, 8)]
    assert values[0] == pytest.approx(1)
    assert values[0] > values[1] > values[2]


def test_the_affine_fit_undoes_gain_and_offset(cells):
    part = cells[300:400, 300:400].astype(np.float32)
    np.testing.assert_allclose(affine_fitted(part, 0.25 * part - 40), part, atol=1e-3)
    np.testing.assert_allclose(affine_fitted(part, -part), part, atol=1e-3)


def test_the_affine_fit_by_hand():
    # The line through (0, 1), (1, 2), (2, 6) with least squared error is 2.5 x + 0.5.
    fitted = affine_fitted(np.array([[1.0, 2.0, 6.0]]), np.array([[0.0, 1.0, 2.0]]))
    np.testing.assert_allclose(fitted, [[0.5, 3.0, 5.5]])


def test_the_affine_fit_is_the_best_there_is(cells):
    part = cells[300:400, 300:400].astype(np.float32)
    noisy = part + np.random.default_rng(0).normal(0, 20, part.shape)
    fitted = affine_fitted(part, noisy)
    best = psnr(part, fitted)
    assert best > psnr(part, noisy)
    for a, b in ((1.01, 0), (0.99, 0), (1, 0.5), (1, -0.5)):
        assert psnr(part, a * fitted + b) < best


def test_a_constant_image_becomes_the_mean():
    reference = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(affine_fitted(reference, np.full((3, 4), 7.0)), np.full((3, 4), 5.5))


def test_the_affine_fit_wants_equal_shapes():
    with pytest.raises(ValueError, match=r"Received: \(3, 4\) and \(4, 3\)"):
        affine_fitted(np.zeros((3, 4)), np.zeros((4, 3)))


def test_a_range_can_be_stated():
    reference = np.linspace(0, 1, 1001).reshape(7, 143)
    assert psnr(reference, reference + 0.01, span=2.0) == pytest.approx(20 * np.log10(2.0 / 0.01))


def test_rescaling_hides_gain_and_offset_and_is_ruled_by_one_pixel(cells):
    """Why it is a fault: a picture that is right but for one hot pixel is far worse than one of half the brightness."""
    part = cells[300:400, 300:400].astype(np.float32)
    np.testing.assert_allclose(rescaled(part), rescaled(0.5 * part - 40), atol=1e-6)
    assert (rescaled(part).min(), rescaled(part).max()) == (0, 1)
    hot = part.copy()
    hot[0, 0] = 10 * part.max()
    assert psnr(rescaled(part), rescaled(hot), span=1.0) < 25 < 60 < psnr(part[1:], hot[1:] + 0.01)
    np.testing.assert_array_equal(rescaled(np.full((3, 3), 7.0)), 0)


def test_the_kernel_distance_by_hand():
    """Unbiased: no image is compared with itself."""
    a, b = np.array([[1.0, 0], [0, 1], [1, 1], [0, 0]]), np.array([[2.0, 0], [0, 2], [1, 0], [0, 1]])
    kernel = lambda x, y: (x @ y / 2 + 1) ** 3  # noqa: E731
    within = [np.mean([kernel(x[i], x[j]) for i in range(4) for j in range(4) if i != j]) for x in (a, b)]
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert kernel_distance(a, b).value == pytest.approx(sum(within) - 2 * across)


def test_the_kernel_distance_is_about_0_for_one_kind_and_its_interval_holds_what_other_draws_give():
    def drawn(seed, shift=0.0):
        return np.random.default_rng(seed).normal(shift, 1, (300, 16))

    same, far = kernel_distance(drawn(0), drawn(1)), kernel_distance(drawn(0), drawn(1, 0.3))
    assert same.low < 0 < same.high and far.low > same.high
    others = [kernel_distance(drawn(2 * i), drawn(2 * i + 1, 0.3), halves=1).value for i in range(1, 40)]
    share = np.mean([far.low - far.value < each - np.mean(others) < far.high - far.value for each in others])
    assert share > 0.8


def test_kernel_distances_to_the_same_images_are_compared_half_by_half():
    def drawn(seed, shift=0.0):
        return np.random.default_rng(seed).normal(shift, 1, (60, 16))

    true, images = drawn(0), drawn(1, 0.3)
    distance, farther = kernel_distance(true, images), kernel_distance(true, images + 0.03)
    assert farther.low < distance.high  # by their intervals alone nothing is told
    assert distance.nearer_than(farther) == 1 and farther.nearer_than(distance) == 0
    assert distance.nearer_than(distance) == 0  # as near is not nearer


@pytest.mark.parametrize(("first", "second"), [((3, 5), (9, 5)), ((9, 5), (9, 4))])
def test_too_few_images_or_other_features_are_told(first, second):
    with pytest.raises(ValueError, match="four images"):
        kernel_distance(np.zeros(first), np.zeros(second))


@pytest.mark.parametrize("shape", [(128, 128), (161, 97)])
def test_ms_ssim_is_that_of_tensorflow_with_the_same_weights(cells, shape):
    import tensorflow as tf

    part = cells[300 : 300 + shape[0], 300 : 300 + shape[1]].astype(np.float32)
    noisy = part + np.random.default_rng(0).normal(0, 12, shape).astype(np.float32)
    weights = [each / sum(SCALE_WEIGHTS[:4]) for each in SCALE_WEIGHTS[:4]]
    both = [tf.constant(each[..., np.newaxis]) for each in (part, noisy)]
    theirs = float(tf.image.ssim_multiscale(*both, max_val=255, power_factors=weights))
    assert 0.5 < theirs < 0.98
    assert ms_ssim(part, noisy, span=255) == pytest.approx(theirs, abs=1e-5)  # TensorFlow's is in single precision


def test_ms_ssim_of_one_scale_is_ssim(cells):
    part = cells[300:428, 300:428].astype(np.float32)
    noisy = part + np.random.default_rng(0).normal(0, 12, part.shape)
    assert ms_ssim(part, noisy, scales=1) == pytest.approx(ssim(part, noisy), abs=1e-9)


def test_ms_ssim_is_one_for_the_image_itself_and_falls_with_noise(cells):
    part = cells[300:428, 300:428].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 1, part.shape)
    values = [ms_ssim(part, part + level * noise) for level in (0, 4, 16)]
    assert values[0] == pytest.approx(1)
    assert values[0] > values[1] > values[2] > 0


def test_ms_ssim_is_0_for_opposed_structure(cells):
    part = cells[300:428, 300:428].astype(np.float32)
    assert ms_ssim(part, 255 - part, span=255) == 0


@pytest.mark.parametrize(("scales", "least"), [(1, 11), (4, 81), (5, 161)])
def test_ms_ssim_names_the_least_size_for_its_scales(scales, least):
    image = np.random.default_rng(0).uniform(size=(least, least + 9))
    assert ms_ssim(image, image, scales=scales) == pytest.approx(1)
    with pytest.raises(ValueError, match=rf"{scales} scales .*{least} pixels or more.*\({least - 1}, {least + 9}\)"):
        ms_ssim(image[1:], image[1:], scales=scales)


def test_ms_ssim_wants_equal_shapes_and_scales_that_there_are():
    with pytest.raises(ValueError, match=r"one shape.*\(90, 90\) and \(90, 91\)"):
        ms_ssim(np.zeros((90, 90)), np.zeros((90, 91)))
    with pytest.raises(ValueError, match="scales=6"):
        ms_ssim(np.zeros((900, 900)), np.zeros((900, 900)), scales=6)


def test_the_frechet_distance_of_one_feature_is_that_of_means_and_deviations():
    a, b = np.array([[0.0], [2], [4]]), np.array([[1.0], [9]])  # deviations 2 and sqrt(32)
    assert frechet_distance(a, b) == pytest.approx((2 - 5) ** 2 + (2 - np.sqrt(32)) ** 2)


def test_the_frechet_distance_of_uncorrelated_features_is_the_sum_of_each_ones():
    signs = np.array([[i, j] for i in (-1.0, 1) for j in (-1.0, 1)])  # variances 4/3, covariance 0
    a, b = signs * (1, 3), signs * (2, 0.5) + (1, -1)
    assert frechet_distance(a, b) == pytest.approx(2 + 4 / 3 * ((1 - 2) ** 2 + (3 - 0.5) ** 2))


def test_the_frechet_distance_by_the_root_of_the_matrix():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(n, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12) for n in (90, 70))
    first, second = np.cov(a.T), np.cov(b.T)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-8)


def test_the_frechet_distance_of_fewer_images_than_features_is_that_of_their_covariances():
    """A ridge makes the covariances regular without moving the value far: the roots are then of a matrix 40 x 40."""
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(9, 40)), rng.normal(0.2, 1.5, size=(7, 40))
    ridge = 1e-6 * np.eye(40)
    first, second = np.cov(a.T) + ridge, np.cov(b.T) + ridge
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-3)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b))


def test_the_frechet_distance_of_equal_sets_is_0_and_of_one_kind_the_greater_the_fewer_the_images():
    """The bias that the kernel distance does not have."""
    drawn = [np.random.default_rng(seed).normal(size=(300, 20)).astype(np.float32) for seed in (0, 1)]
    for images in (6, 300):
        assert frechet_distance(drawn[0][:images], drawn[0][:images][::-1]) == pytest.approx(0, abs=1e-9)
    values = [frechet_distance(*(each[:images] for each in drawn)) for images in (6, 30, 300)]
    assert values[0] > 2 * values[1] > 10 * values[2] > 0


@pytest.mark.parametrize(("first", "second"), [((1, 5), (9, 5)), ((9, 5), (9, 4))])
def test_the_frechet_distance_wants_two_images_and_equal_features(first, second):
    with pytest.raises(ValueError, match="two images"):
        frechet_distance(np.zeros(first), np.zeros(second))
