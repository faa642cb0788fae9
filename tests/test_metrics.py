import numpy as np
import pytest

from relumen.metrics import data_range, psnr, ssim


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
