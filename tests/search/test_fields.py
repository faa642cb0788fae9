"""Windows over larger fields: every pixel is seen, cells are in the middle, and answers join without a seam."""

import numpy as np
import pytest

from relumen.degrade import forward_operator
from relumen.errors import UserError
from relumen.search.fields import Mosaic, nuclei, windows
from relumen.training.cells import draw_cells


def seen(laid, shape, view):
    count = np.zeros(shape, int)
    for top, left in laid:
        assert 0 <= top <= shape[0] - view and 0 <= left <= shape[1] - view
        count[top : top + view, left : left + view] += 1
    return count


@pytest.mark.parametrize("shape", [(8, 8), (8, 9), (19, 30)])
def test_a_grid_shows_every_pixel_and_most_of_them_twice(shape):
    laid = windows(None, shape, 8, 16, "auto")
    count = seen(laid, shape, 8)
    assert count.min() == 1 and len(set(laid)) == len(laid)
    assert (shape == (8, 8)) == (laid == [(0, 0)])
    if min(shape) > 16:
        assert (count[4:-4, 4:-4] >= 4).all()


@pytest.mark.parametrize("factor", [8, 16])
def test_drawn_nuclei_are_found_at_low_resolution(factor):
    rng = np.random.default_rng(2)
    cells = [draw_cells("nfkb", "dmso", rng, 128, confluence=0) for _ in range(6)]
    field = np.hstack([cell.image[..., 0] for cell in cells])
    low = forward_operator(128, factor)(field.reshape(128, 6, 128).transpose(1, 0, 2)[..., np.newaxis])[..., 0]
    centres = nuclei(np.hstack(list(low)), factor)
    across = centres[np.argsort(centres[:, 1])] * factor
    assert len(across) == 6
    for index, (y, x) in enumerate(across):
        rows, columns = np.nonzero(cells[index].nuclei == 1)
        assert abs(y - rows.mean()) < factor and abs(x - 128 * index - columns.mean()) < factor


def test_windows_around_cells_come_first_and_the_grid_fills_in():
    dna = np.zeros((24, 40))
    dna[10:12, 9:11] = dna[12:14, 30:32] = 1.0
    laid = windows(dna, dna.shape, 8, 16, "cells")
    assert set(laid[:2]) == {(7, 6), (9, 27)}
    assert seen(laid, dna.shape, 8).min() == 1
    assert len(laid) < len(windows(dna, dna.shape, 8, 16, "grid"))


def test_an_empty_field_is_a_grid():
    assert windows(np.zeros((9, 9)), (9, 9), 8, 16, "auto") == windows(None, (9, 9), 8, 16, "grid")


def test_fields_that_can_not_be():
    with pytest.raises(UserError, match="At 16x the prior shows 8 x 8 pixels. The image has 7 x 30"):
        windows(None, (7, 30), 8, 16, "auto")
    with pytest.raises(UserError, match="Take the tiles 'grid'"):
        windows(None, (30, 30), 8, 16, "cells")


def test_answers_that_agree_join_without_a_seam():
    field = np.random.default_rng(0).uniform(size=(22 * 4, 17 * 4, 2)).astype(np.float32)
    mosaic = Mosaic((22, 17), 4, 8, 2)
    for top, left in windows(None, (22, 17), 8, 4, "grid"):
        mosaic.add((top, left), field[4 * top : 4 * top + 32, 4 * left : 4 * left + 32])
    np.testing.assert_allclose(mosaic.field, field, atol=1e-5)


def test_the_middle_of_an_answer_counts_most():
    mosaic = Mosaic((8, 12), 4, 8, 1)
    mosaic.add((0, 0), np.zeros((32, 32, 1)))
    mosaic.add((0, 4), np.ones((32, 32, 1)))
    line = mosaic.field[16, :, 0]
    assert (np.diff(line) >= -1e-6).all() and line[17] < 0.02 and line[30] > 0.98
    assert line[23] == pytest.approx(1 - line[24], abs=1e-5)
