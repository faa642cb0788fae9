"""Pictures for people."""

import numpy as np
import pytest

from relumen.pictures import grid, in_colour


@pytest.mark.parametrize(
    ("values", "colour"),
    [((0.2,), (51, 51, 51)), ((1, 0.2), (0, 51, 255)), ((1, 0.2, 0), (255, 51, 0)), ((1, 0.2, 0, 1), (255, 51, 0))],
)
def test_channels_become_colours(values, colour):
    image = np.ones((2, 3, len(values))) * values
    assert (in_colour(image) == colour).all() and in_colour(image).shape == (2, 3, 3)


def test_intensities_beyond_the_range_are_clipped():
    assert in_colour(np.array([[[-1.0], [2.0]]]))[0, :, 0].tolist() == [0, 255]


def test_a_grid_fills_its_last_row_with_black():
    picture = grid(np.arange(1, 6).reshape(5, 1, 1, 1) * np.ones((5, 2, 3, 1)) / 5, columns=3)
    assert picture.shape == (4, 9, 3)
    assert picture[::2, ::3, 0].tolist() == [[51, 102, 153], [204, 255, 0]]
