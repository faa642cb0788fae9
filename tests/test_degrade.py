import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from relumen.degrade import (
    Degradation,
    clean,
    crop_to_multiple,
    forward_operator,
    reduced,
    unresolved,
    without_planes,
)
from relumen.errors import UserError
from relumen.upsampling import bicubic_to


def test_noise_has_the_stated_variance(cells):
    degraded = clean(cells, 1.0, 2)
    photons, read_noise = 50.0, 2.0
    noisy = degraded.noisy(photons, read_noise, np.random.default_rng(0))
    noise = (noisy - (degraded.signal * degraded.span + degraded.dark)) / degraded.span * photons
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.var() == pytest.approx(degraded.signal.mean() * photons + read_noise**2, rel=0.01)


def test_statistics_foretell_those_of_the_noisy_image(cells):
    degraded = clean(cells, 1.0, 2)
    for photons in (20.0, 500.0):
        noisy = degraded.noisy(photons, 2.0, np.random.default_rng(1))
        mean, deviation = degraded.statistics(photons, 2.0)
        assert noisy.mean() == pytest.approx(mean, rel=0.005)
        assert noisy.std() == pytest.approx(deviation, rel=0.005)


def test_binning_keeps_the_mean_and_blur_takes_detail(cells):
    sharp, soft = clean(cells, 0, 2), clean(cells, 2, 2)
    assert sharp.signal.shape == (503, 500)
    assert sharp.signal.mean() == pytest.approx(soft.signal.mean(), rel=1e-3)
    assert np.abs(np.diff(soft.signal)).mean() < 0.75 * np.abs(np.diff(sharp.signal)).mean()


def test_one_blur_or_several():
    assert Degradation.model_validate({"blur": 1.5}).blur == (1.5,)
    assert "sigma 0.7 or 1.4 px" in Degradation(blur=(0.7, 1.4)).describe()


def test_odd_images_lose_what_binning_cannot_fill():
    assert crop_to_multiple(np.zeros((3, 7, 9)), 4).shape == (3, 4, 8)


@pytest.mark.parametrize("photons", [(0, 10), (20, 10)])
def test_photons_are_a_range(photons):
    with pytest.raises(ValidationError, match="two numbers above 0"):
        Degradation(photons=photons)


def test_without_noise_a_degradation_is_the_reduction_alone(phase):
    """No percentile is taken for the dark level, and nothing is clipped: it is linear in the image."""
    image = crop_to_multiple(phase.astype(np.float32), 8)
    for reduction in ("area", "bicubic"):
        degradation = Degradation(factor=8, blur=0, photons=None, reduction=reduction)
        (made,) = degradation.cleans(image)
        expected = reduced(image, 8, reduction)
        np.testing.assert_array_equal(made.image, expected)
        assert made.statistics() == pytest.approx((expected.mean(), expected.std()), rel=1e-4)
        (turned,) = degradation.cleans(1000 - 3 * image)
        np.testing.assert_allclose(turned.image, 1000 - 3 * expected, rtol=1e-4)
    assert "no added noise" in degradation.describe() and "8x bicubic reduction" in degradation.describe()
    blurred = Degradation(factor=8, blur=(0, 4), photons=None).cleans(image)
    assert blurred[1].image.std() < blurred[0].image.std()


@pytest.mark.parametrize("reduction", ["area", "bicubic"])
@pytest.mark.parametrize("factor", [2, 8])
def test_reductions_keep_what_a_sharp_eye_cannot_tell(reduction, factor):
    """A constant stays, and a ramp goes on through the centres of the larger pixels."""
    np.testing.assert_allclose(reduced(np.full((64, 48), 7.0), factor, reduction), 7, rtol=1e-6)
    y, x = np.mgrid[:64, :64]
    ramp = reduced(3.0 * y - 2.0 * x, factor, reduction)
    centres = factor * (np.arange(64 // factor) + 0.5) - 0.5
    inside = slice(2, -2)  # cubic convolution reaches two pixels, and beyond the border there is no ramp
    np.testing.assert_allclose(ramp[inside, inside], (3 * centres[:, None] - 2 * centres)[inside, inside], atol=1e-3)


def test_a_bicubic_reduction_with_noise_knows_no_less_than_no_photons(cells):
    degradation = Degradation(factor=2, blur=0, photons=(50, 50), reduction="bicubic")
    (made,) = degradation.cleans(crop_to_multiple(cells, 2))
    assert made.signal.min() == 0
    assert np.isfinite(made.noisy(50, 2, np.random.default_rng(0))).all()


def test_planes_that_are_left_are_kept_and_lines_lie_between(cells):
    image = cells[300:348, 300:340].astype(np.float32)
    stack = without_planes(image, 6, 0)
    assert stack.shape == image.shape
    np.testing.assert_array_equal(stack[3::6], image[3::6])
    np.testing.assert_allclose(stack[5], image[3] + (image[9] - image[3]) * 2 / 6, rtol=1e-5)
    np.testing.assert_array_equal(stack[0], image[3])  # before the first plane there is no other
    np.testing.assert_array_equal(stack[-1], image[45])


def test_missing_planes_blur_along_y_alone(cells):
    image = cells[300:400, 300:400].astype(np.float32)
    stack = without_planes(image, 4, 2.0)
    along = [np.square(np.diff(each, axis=axis)).mean() for each in (image, stack) for axis in (0, 1)]
    assert along[2] < 0.35 * along[0]
    assert along[3] > max(along[2], 0.5 * along[1])


def test_an_unresolved_image_has_its_size_and_no_fine_detail(cells):
    image = cells[300:364, 300:364].astype(np.float32)
    coarse = unresolved(image, 8, 0)
    assert coarse.shape == image.shape
    np.testing.assert_allclose(coarse.mean(), image.mean(), rtol=0.01)
    spectra = [np.abs(np.fft.fft2(each - each.mean()))[16:48, 16:48].mean() for each in (image, coarse)]
    assert spectra[1] < 0.15 * spectra[0]


@pytest.mark.parametrize("factor", [1, 2, 3, 6, 16, 32, 96])
def test_the_forward_operator_is_pillows_reduction(cells, factor):
    image = cells[:96, :96] / np.float32(255)
    low = forward_operator(96, factor)(image[..., np.newaxis])[..., 0]
    np.testing.assert_allclose(low, bicubic_to(image, (96 // factor, 96 // factor)), rtol=0, atol=1e-6)


def test_the_forward_operator_bins_as_a_camera(cells):
    image = cells[:64, :64].astype(np.float32)
    low = forward_operator(64, 4, reduction="area")(image[..., np.newaxis])[..., 0]
    np.testing.assert_allclose(low, reduced(image, 4), rtol=1e-5)


@pytest.mark.parametrize(("border", "scipys"), [("mirror", "reflect"), ("edge", "nearest"), ("zero", "constant")])
def test_the_forward_operator_blurs_as_scipy_does(cells, border, scipys):
    """By a Gaussian, and by any point spread function: not separable, not symmetric."""
    image = cells[:48, :48].astype(np.float64)
    soft = forward_operator(48, 1, blur=1.5, border=border)(image[..., np.newaxis])[..., 0]
    np.testing.assert_allclose(soft, ndimage.gaussian_filter(image, 1.5, mode=scipys), rtol=0, atol=1e-4)
    psf = np.random.default_rng(0).uniform(size=(5, 7))
    seen = forward_operator(48, 1, psf=psf, border=border)
    expected = ndimage.convolve(image, psf / psf.sum(), mode=scipys)
    np.testing.assert_allclose(seen(image[..., np.newaxis])[..., 0], expected, rtol=0, atol=1e-4)
    assert len(seen.rows) == 5 and "5 x 7" in seen.description


@pytest.mark.parametrize("more", [{}, {"blur": 2.0}, {"psf": np.eye(7)}])
def test_a_border_that_is_cut_darkens_nothing(more):
    flat = np.full((2, 64, 64, 3), 0.7)
    np.testing.assert_allclose(forward_operator(64, 8, **more)(flat), 0.7, rtol=1e-6)
    assert forward_operator(64, 8, **more, border="zero")(flat)[0, 0, 0, 0] < 0.65


@pytest.mark.parametrize(
    ("factor", "more", "words"),
    [
        (5, {}, "one of 1, 2, 4, 8, 16, 32, 64. Received: 5"),
        (0, {}, "Received: 0"),
        (4, {"blur": -1.0}, "blur -1"),
        (4, {"blur": 1.0, "psf": np.ones((3, 3))}, "stands alone"),
        (4, {"psf": np.ones((4, 3))}, r"odd on both axes.*\(4, 3\)"),
        (4, {"psf": np.zeros((3, 3))}, "positive sum"),
        (4, {"psf": np.full((3, 3), np.nan)}, "finite"),
    ],
)
def test_an_operator_that_can_not_be(factor, more, words):
    with pytest.raises(UserError, match=words):
        forward_operator(64, factor, **more)
