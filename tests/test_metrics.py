import numpy as np
import pytest

from relumen.metrics import affine_fitted, data_range, kernel_distance, psnr, rescaled, ssim


def test_psnr_by_hand():
    reference = np.linspace(0, 1, 1001).reshape(7, 143)
    assert data_range(reference) == pytest.approx(0.998)
    error = 0.01
    assert psnr(reference, reference + error) == pytest.approx(20 * np.log10(0.998 / error))


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


@pytest.mark.parametrize(("first", "second"), [((3, 5), (9, 5)), ((9, 5), (9, 4))])
def test_too_few_images_or_other_features_are_told(first, second):
    with pytest.raises(ValueError, match="four images"):
        kernel_distance(np.zeros(first), np.zeros(second))
