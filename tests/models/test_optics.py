"""The diffraction pattern filters against their published check rows, and their layer against plain convolution."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.signal import convolve2d

from relumen.models.layers import DiffractionPatternFilters
from relumen.models.optics import Optics

PAPER = Optics()
PHYSICAL = Optics(mode="physical", pixel_um=6.936)
LEVELS = (1, 2, 4, 8)


def test_the_first_two_kernels_are_those_of_the_formula():
    first, second = PAPER.kernels()[:2].round(4)
    assert (first[1, 1], first[0, 1], first[0, 0]) == (0.9977, -0.0343, -0.0132)
    assert (second[1, 1], second[0, 1]) == (-0.9963, 0.0437)


@pytest.mark.parametrize(("optics", "radii"), [(PAPER, (1, 1, 2, 4)), (PHYSICAL, (3, 6, 12, 24))])
def test_kernels_grow_with_the_level(optics, radii):
    for level, radius in zip(LEVELS, radii, strict=True):
        assert optics.kernel_radius(level) == radius
        assert optics.kernels(level).shape == (12, 2 * radius + 1, 2 * radius + 1)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("optics", [PAPER, PHYSICAL, replace(PAPER, count=8)], ids=["paper", "physical", "8 filters"])
def test_every_bank_has_spectral_norm_1_and_rank_2_and_negatives_in_its_second_half(optics, level):
    kernels = optics.kernels(level)
    np.testing.assert_allclose(np.linalg.norm(kernels, 2, axis=(1, 2)), 1, rtol=1e-9)
    np.testing.assert_allclose(kernels[optics.count // 2 :], -kernels[: optics.count // 2], atol=1e-9)
    assert np.linalg.matrix_rank(kernels.reshape(optics.count, -1), tol=1e-9) == 2
    np.testing.assert_allclose(kernels, np.rot90(kernels, axes=(1, 2)), atol=1e-12)


def test_the_published_filters_are_nearly_one_and_physical_ones_are_not():
    assert [round(PAPER.singular_value_ratio(level), 4) for level in LEVELS] == [0.0061, 0.0061, 0.0073, 0.0075]
    ratios = [PHYSICAL.singular_value_ratio(level) for level in LEVELS]
    assert ratios == pytest.approx([0.128, 0.536, 0.855, 0.889], abs=1e-3)


def test_a_physical_filter_depends_on_micrometres_alone():
    """Half the pixel size, or the next level: the airy pattern is the same."""
    finer = replace(PHYSICAL, pixel_um=PHYSICAL.pixel_um / 2)
    inner = slice(3, -3)  # the kernel of a level reaches as many micrometres as that of any other
    np.testing.assert_allclose(PHYSICAL.airy(2)[inner, inner], finer.airy(1), rtol=1e-12)
    np.testing.assert_allclose(PHYSICAL.airy(1), 4 * PHYSICAL.airy(2)[::2, ::2], rtol=1e-9)


def test_what_no_microscope_has_is_refused():
    with pytest.raises(ValueError, match="need the input's pixel size. Received: pixel_um=None"):
        Optics(mode="physical").kernels()
    with pytest.raises(ValueError, match="Received: count=1"):
        Optics(count=1)
    with pytest.raises(ValueError, match="Received: pixel_um=0"):
        Optics(mode="physical", pixel_um=0)
    with pytest.raises(ValueError, match="no wider than its radius"):
        Optics(ring_width_mm=4)


@pytest.fixture
def image(phase):
    part = phase[300:340, 400:433].astype(np.float32)
    return (part - part.mean()) / part.std()


@pytest.mark.parametrize(("optics", "level"), [(PAPER, 1), (PAPER, 8), (PHYSICAL, 1), (PHYSICAL, 4)])
def test_the_layer_convolves_with_every_kernel_and_zeros_beyond_the_border(optics, level, image):
    stack = DiffractionPatternFilters(optics, level)(image[np.newaxis, ..., np.newaxis])
    for m, kernel in enumerate(optics.kernels(level)):
        np.testing.assert_allclose(stack[0, ..., m], convolve2d(image, kernel, mode="same"), atol=1e-4)


def test_the_image_itself_can_be_kept_as_the_last_channel(image):
    batch = image[np.newaxis, ..., np.newaxis]
    alone, kept = (DiffractionPatternFilters(PAPER, keep_image=keep)(batch) for keep in (False, True))
    np.testing.assert_array_equal(kept[..., :-1], alone)
    np.testing.assert_allclose(kept[..., -1:], batch, atol=1e-6)


def test_the_filters_are_constants_and_outlive_a_file(tmp_path, image):
    layer = DiffractionPatternFilters(PHYSICAL, level=2, keep_image=True, name="filters")
    again = DiffractionPatternFilters.from_config(layer.get_config())
    assert (again.optics, again.level, again.keep_image, again.trainable) == (PHYSICAL, 2, True, False)
    network = keras.Sequential([keras.Input((None, None, 1)), layer])
    assert not network.weights
    network.save(tmp_path / "network.keras")
    batch = image[np.newaxis, ..., np.newaxis]
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "network.keras")(batch), network(batch))
