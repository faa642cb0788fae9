import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from relumen.degrade import clean
from relumen.evaluation.classical import baselines
from relumen.evaluation.comparison import as_markdown, compare
from relumen.metrics import psnr
from relumen.upsampling import bicubic


@pytest.fixture(scope="module")
def field(cells):
    target = cells[300:428, 300:428].astype(np.float32)
    return clean(target, 1.0, 2).noisy(60, 2.0, np.random.default_rng(0)), target


def test_bicubic_is_the_counterpart_of_binning():
    ramp = np.arange(16, dtype=np.float32) + np.zeros((16, 1), np.float32)
    binned = ramp.reshape(8, 2, 8, 2).mean((1, 3))
    np.testing.assert_allclose(bicubic(binned, 2)[:, 4:-4], ramp[:, 4:-4], atol=1e-4)


def test_baselines_are_tuned_to_their_best(field):
    low, target = field
    found = {b.method: b for b in baselines(low, target, 2)}
    assert found["bicubic"].psnr < found["Gaussian + bicubic"].psnr
    assert found["bicubic"].psnr < found["non-local means + bicubic"].psnr
    best = found["Gaussian + bicubic"].psnr
    for sigma in (0.35, 0.75, 1.0, 1.5):
        assert psnr(target, bicubic(gaussian_filter(low, sigma), 2)) <= best + 0.05


def test_the_gain_is_over_the_best_of_the_others(field):
    low, target = field
    perfect = target + np.random.default_rng(0).normal(0, 0.5, target.shape).astype(np.float32)
    comparison = compare("cells", low, target, perfect, 2)
    others = [row.psnr for row in comparison.rows[:-1]]
    assert comparison.gain == pytest.approx(psnr(target, perfect) - max(others))
    assert compare("cells", low, target, bicubic(low, 2), 2).gain < 0
    table = as_markdown([comparison])
    assert table.count("\n") == 6 and "| cells | relumen |" in table
