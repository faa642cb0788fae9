import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from relumen.errors import UserError
from relumen.tiling import TilePlan, mirrored, predict_tiled


def blur_and_double(batch):
    """A 5 x 5 mean, then every pixel four times: a receptive field of 2 pixels, a scale of 2."""
    blurred = np.stack([uniform_filter(image, (5, 5, 0), mode="constant") for image in batch])
    return blurred.repeat(2, axis=1).repeat(2, axis=2)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (12, 12), (13, 40), (37, 24), (64, 65)])
@pytest.mark.parametrize("halo", [2, 4])
def test_tiles_equal_the_whole_mirrored_image(cells, shape, halo):
    image = cells[400 : 400 + shape[0], 400 : 400 + shape[1], np.newaxis].astype(np.float32)
    plan = TilePlan(shape, (16, 20), halo, scale=2)
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="symmetric")
    whole = blur_and_double(padded[np.newaxis])[0][8:-8, 8:-8]
    np.testing.assert_allclose(predict_tiled(image, blur_and_double, plan), whole, rtol=0, atol=1e-4)


def test_a_halo_smaller_than_the_receptive_field_shows_seams(cells):
    image = cells[400:464, 400:464, np.newaxis].astype(np.float32)
    seamed = predict_tiled(image, blur_and_double, TilePlan((64, 64), (16, 16), 1, scale=2))
    exact = predict_tiled(image, blur_and_double, TilePlan((64, 64), (16, 16), 2, scale=2))
    assert np.abs(seamed - exact).max() > 1


@pytest.mark.parametrize(("size", "core"), [(64, 16), (65, 16), (100, 16), (15, 16)])
def test_every_pixel_is_covered_and_every_tile_has_the_fixed_size(size, core):
    plan = TilePlan((size, size), (core + 8, core + 8), 4)
    seen = np.zeros((size, size), int)
    for tile in plan.tiles():
        assert len(tile.rows) == len(tile.columns) == core + 8
        seen[tile.target] += 1
    assert seen.min() >= 1


def test_a_small_image_stands_in_the_middle_of_its_tile():
    """As JDLL places it, so that networks whose answer depends on all of a tile give the same."""
    (tile,) = TilePlan((6, 7), (16, 16), 0, scale=2).tiles()
    assert (tile.crop, tile.target) == ((slice(10, 22), slice(10, 24)), (slice(0, 12), slice(0, 14)))
    image = np.arange(42).reshape(6, 7)
    np.testing.assert_array_equal(tile.cut(image)[5:11, 5:12], image)


def test_mirror_is_numpys_symmetric_padding():
    line = np.arange(5)
    expected = np.pad(line, 13, mode="symmetric")
    np.testing.assert_array_equal(line[mirrored(np.arange(-13, 18), 5)], expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"shape": (9, 9), "tile": (16, 16), "halo": 8}, "all halo"),
        ({"shape": (0, 9), "tile": (16, 16), "halo": 2}, "no pixels"),
        ({"shape": (9, 9), "tile": (16, 16), "halo": -1}, "halo is 0 or more"),
    ],
)
def test_plans_that_cannot_be(arguments, words):
    with pytest.raises(UserError, match=words):
        TilePlan(**arguments)


def halved_and_doubled(batch):
    """Two means of 2 x 2 pixels and back: each pixel sees its block of 4 x 4, from the input's first pixel on."""
    count, height, width, channels = batch.shape
    blocks = batch.reshape(count, height // 4, 4, width // 4, 4, channels).mean((2, 4))
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


@pytest.mark.parametrize("shape", [(3, 6), (13, 40), (36, 24), (63, 65), (100, 18)])
@pytest.mark.parametrize("tile", [16, 24])
def test_tiles_of_a_network_that_halves_its_input_begin_where_the_whole_image_does(cells, shape, tile):
    image = cells[400 : 400 + shape[0], 400 : 400 + shape[1], np.newaxis].astype(np.float32)
    padded = np.pad(image, ((0, -shape[0] % 4), (0, -shape[1] % 4), (0, 0)), mode="symmetric")
    whole = halved_and_doubled(padded[np.newaxis])[0][: shape[0], : shape[1]]
    for halo in (0, 4):
        plan = TilePlan(shape, (tile, tile), halo, multiple=4)
        np.testing.assert_allclose(predict_tiled(image, halved_and_doubled, plan), whole, atol=1e-4)
        plain = TilePlan(shape, (tile, tile), halo)
        assert all(tile.target[0].stop <= shape[0] for tile in (*plan.tiles(), *plain.tiles()))


def test_a_tile_that_cannot_be_halved_is_refused():
    with pytest.raises(UserError, match=r"multiples of 4.*tile 16 x 18, halo 0"):
        TilePlan((30, 30), (16, 18), 0, multiple=4)
