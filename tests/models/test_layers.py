"""Bilinear enlargement, by interpolation and by LapSRN's convolutions, against a plain computation."""

import numpy as np
import pytest

from relumen.models.baselines import lapsrn
from relumen.models.layers import BilinearUpsampling


def doubled(image):
    """Twice the pixels of (y, x) with half-pixel centres: a weighted mean of neighbours; the border is repeated."""
    for axis in (0, 1):
        line = np.moveaxis(image, axis, 0)
        centres = (np.arange(2 * len(line)) + 0.5) / 2 - 0.5
        below = np.floor(centres).astype(int)
        share = (centres - below)[:, np.newaxis]
        near, far = (line[np.clip(below + i, 0, len(line) - 1)] for i in (0, 1))
        image = np.moveaxis((1 - share) * near + share * far, 0, axis)
    return image


@pytest.fixture
def image(phase):
    part = phase[300:340, 400:431].astype(np.float32)
    return (part - part.mean()) / part.std()


def test_upsampling_is_bilinear_with_half_pixel_centres(image):
    batch = np.stack([image, -2 * image], axis=-1)[np.newaxis]
    enlarged = BilinearUpsampling()(batch)
    assert enlarged.shape == (1, 80, 62, 2)
    for channel in range(2):
        np.testing.assert_allclose(enlarged[0, ..., channel], doubled(batch[0, ..., channel]), atol=1e-5)


def test_a_tile_is_upsampled_as_the_whole_inside(image):
    layer = BilinearUpsampling()
    whole = layer(image[np.newaxis, ..., np.newaxis])[0, ..., 0]
    tile = layer(image[np.newaxis, 10:25, 5:20, np.newaxis])[0, ..., 0]
    np.testing.assert_allclose(tile[1:-1, 1:-1], whole[21:49, 11:39], atol=1e-6)
    assert np.abs(tile - whole[20:50, 10:40]).max() > 0.01  # but for the outermost pixels


def test_upsampling_tells_its_shape_where_it_is_known():
    layer = BilinearUpsampling()
    assert layer.compute_output_shape((None, 8, None, 3)) == (None, 16, None, 3)


def test_lapsrn_begins_as_bilinear_interpolation(image):
    """Its transposed convolutions, before any training and without details, enlarge as plain interpolation does."""
    network = lapsrn.generator(8, width=4, depth=1)
    for level in (1, 2, 3):
        details = network.get_layer(f"details_{level}")
        details.set_weights([np.zeros_like(weight) for weight in details.get_weights()])
    expected = image
    for level, output in enumerate(network(image[np.newaxis, ..., np.newaxis]), start=1):
        expected = doubled(expected)
        inside = slice(2**level, -(2**level))  # beyond the border there are zeros
        np.testing.assert_allclose(output[0, inside, inside, 0], expected[inside, inside], atol=1e-5)
