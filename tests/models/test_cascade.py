"""What is trained on patches of 32 x 32 answers to a larger image as to a patch; or not, as the paper has it."""

import keras
import numpy as np
import pytest

from relumen.degrade import crop_to_multiple, reduced
from relumen.errors import CheckFailedError
from relumen.halo import halo_curve, measure_halo
from relumen.models import cascade
from relumen.models.optics import Optics

PATCH = 32
ROUNDED = 1e-2  # untrained, a pixel's features can be so alike that dividing by their deviation shows the rounding


@pytest.fixture(scope="module")
def frame(phase):
    low = reduced(crop_to_multiple(phase.astype(np.float32), 8), 8)
    return ((low - low.mean()) / low.std())[..., np.newaxis]


def runner(norm, optics=None):
    keras.utils.set_random_seed(3)
    network = cascade.last_level(cascade.generator(8, multiplier=1 / 64, norm=norm, optics=optics))
    return lambda batch: np.asarray(network(batch, training=False))


def difference(run, frame, halo):
    """Largest difference of a patch's answer, beyond the halo, from that to the frame around it; in deviations."""
    y, x = 40, 50
    whole = run(frame[np.newaxis, :96, :112])[0]
    patch = run(frame[np.newaxis, y : y + PATCH, x : x + PATCH])[0]
    inside = slice(8 * halo, 8 * (PATCH - halo))
    beside = whole[8 * y : 8 * (y + PATCH), 8 * x : 8 * (x + PATCH)]
    return float(np.abs(patch - beside)[inside, inside].max() / whole.std())


def test_with_norm_pixel_a_patch_is_answered_as_the_image_around_it(frame):
    run = runner("pixel")
    halo = measure_halo(run, frame, scale=8, tiles=(PATCH,), tolerance=ROUNDED)
    assert halo == 8  # the filters, two convolutions, and ever less at the levels: 6 pixels
    assert difference(run, frame, halo) < ROUNDED
    assert difference(run, frame, 0) > 0.05  # there is a border that the halo takes off


def test_the_halo_has_the_filters_radius(frame):
    """Physical filters reach three pixels, the published ones one."""
    reach = []
    for optics in (Optics(), Optics(mode="physical", pixel_um=6.936)):
        errors = halo_curve(runner("pixel", optics), frame, scale=8, tile=PATCH).errors
        reach.append(next(d for d, error in enumerate(errors) if error < ROUNDED))
    assert reach[1] == reach[0] + 2


def test_with_norm_paper_it_is_not(frame):
    run = runner("paper")
    with pytest.raises(CheckFailedError, match="group or batch statistics"):
        measure_halo(run, frame, scale=8, tiles=(PATCH,))
    assert difference(run, frame, 8) > 0.05


def test_each_norm_is_over_what_its_name_says():
    """Norm pixel as Ba et al. over channels; norm paper as they have it, over all features of an image."""
    x = np.random.default_rng(0).normal(2, 3, (2, 6, 6, 1)).astype(np.float32)
    for norm, axes in (("pixel", -1), ("paper", (1, 2, 3))):
        keras.utils.set_random_seed(0)
        network = cascade.generator(2, widths=(8,), stem=1, convs=1, norm=norm)
        seen = keras.Model(network.inputs[0], [network.get_layer(name).output for name in ("stem_1", "stem_1_norm")])
        features, normalised = map(np.asarray, seen(x))
        mean, variance = features.mean(axes, keepdims=True), features.var(axes, keepdims=True)
        np.testing.assert_allclose(normalised, (features - mean) / np.sqrt(variance + 1e-5), atol=1e-4)
