import numpy as np
import pytest

from relumen.degrade import reduced
from relumen.errors import UserError
from relumen.restore import open_model, restore_plane
from relumen.seams import jump_ratio, phase_difference, tile_difference
from relumen.tiling import TilePlan


def test_a_step_between_tiles_is_measured_against_steps_inside():
    plan = TilePlan((8, 12), (4, 4), 0, scale=2)
    y, x = np.indices((16, 24)) // 2
    even = (y + x).astype(float)
    assert jump_ratio(even, plan) == pytest.approx(1)
    assert jump_ratio(even + 2 * (y // 4) + 2 * (x // 4), plan) == pytest.approx(3)


def test_the_last_tile_begins_where_it_is_moved_back_to():
    plan = TilePlan((4, 10), (4, 4), 0)
    columns = np.where(np.arange(10) < 6, np.arange(10), np.arange(10) + 5.0)
    assert jump_ratio(np.tile(columns, (4, 1)), plan) > 3


@pytest.mark.parametrize(("shape", "value"), [((8, 8), 1.0), ((40, 40), 0.0)])
def test_without_borders_or_structure_there_is_nothing_to_measure(shape, value):
    picture = np.full(shape, value) * np.arange(shape[1])
    with pytest.raises(UserError, match="Choose smaller tiles, or an image with structure"):
        jump_ratio(picture, TilePlan(shape, (16, 16), 0))


def test_the_measured_halo_hides_where_tiles_meet_and_plain_tiles_show_it(tiny_cascade_run, phase):
    image = reduced(phase[:1016].astype(np.float32), 8)[..., np.newaxis]
    ratios = []
    for halo in (None, 0):
        with open_model(tiny_cascade_run) as model:
            context = model.halo if halo is None else halo
        with open_model(tiny_cascade_run, 16 + 2 * context, halo=halo) as model:
            ratios.append(jump_ratio(restore_plane(image, model), model.plan(*image.shape[:2])))
    assert 0.8 < ratios[0] < 1.2
    assert ratios[1] > 1.5 * ratios[0]


def test_tiles_that_fit_do_not_differ_and_others_do(phase):
    image = (phase[300:348, 300:356, np.newaxis] / 1000).astype(np.float32)

    def double(batch):
        return batch.repeat(2, axis=1).repeat(2, axis=2)

    def centred(batch):
        return double(batch - batch.mean((1, 2), keepdims=True))

    assert tile_difference(image, double, tile=16, scale=2) == 0
    assert tile_difference(image, centred, tile=16, scale=2) > 0.1


def test_where_tiles_begin_matters_to_a_network_that_halves_its_input(phase):
    image = (phase[300:366, 300:373, np.newaxis] / 1000).astype(np.float32)

    def halved(batch):
        return batch[:, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2)

    options = {"tile": 32, "halo": 4, "scale": 1, "multiple": 4}
    assert phase_difference(image, lambda batch: batch, **options) == 0
    whole = np.pad(image, ((0, 2), (0, 3), (0, 0)), mode="symmetric")[np.newaxis]
    shifted = [halved(whole[:, d : d + 64, d : d + 64])[0, 4:60, 4:60] for d in range(4)]
    expected = max(np.abs(shifted[0][d:, d:] - shifted[d][: 56 - d, : 56 - d]).max() for d in range(1, 4))
    assert phase_difference(image, halved, **options) >= expected / image.std() * 0.9 > 0.1
