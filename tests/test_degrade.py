import numpy as np
import pytest
from pydantic import ValidationError

from relumen.degrade import Degradation, clean, crop_to_multiple


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
