"""Procedural images: functions of their seed, in range, and of as many kinds as there are names."""

import numpy as np
import pytest

from relumen.training.procedural import FAMILIES, draw


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_a_function_of_the_generator(family):
    first, again, other = (draw(family, 64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01
    assert first.shape == (64, 64) and first.dtype == np.float32


@pytest.mark.parametrize("family", FAMILIES)
def test_images_are_finite_within_0_and_1_and_show_something(family):
    for seed in range(8):
        image = draw(family, 80, np.random.default_rng(seed))
        assert np.isfinite(image).all()
        assert image.min() >= 0 and image.max() == 1
        assert image.std() > 0.01


def test_families_can_be_told_apart_by_structure():
    """By the nearest mean of a few statistics that gain and offset don't change; chance is one in ten."""

    def statistics(image):
        z = (image - image.mean()) / image.std()
        power = np.abs(np.fft.rfft2(z)) ** 2
        radius = np.hypot(np.fft.fftfreq(len(z))[:, np.newaxis], np.fft.rfftfreq(len(z)))
        rings = [np.log(power[(radius > r) & (radius <= r + 0.06)].mean() + 1e-9) for r in np.arange(0, 0.42, 0.06)]
        return [*rings, (z**3).mean(), np.log((z**4).mean()), *np.percentile(z, (10, 50, 90))]

    seen = np.array([[statistics(draw(family, 96, np.random.default_rng(seed))) for seed in range(24)]
                     for family in FAMILIES])  # fmt: skip
    seen = (seen - seen.mean((0, 1))) / seen.std((0, 1))
    means, rest = seen[:, :16].mean(1), seen[:, 16:]
    nearest = np.argmin(np.linalg.norm(rest[:, :, np.newaxis] - means, axis=-1), -1)
    assert (nearest == np.arange(len(FAMILIES))[:, np.newaxis]).mean() > 0.3


def test_an_unknown_family_names_the_known_ones():
    with pytest.raises(ValueError, match="nuclei, cytoplasm"):
        draw("stars", 64, np.random.default_rng(0))
