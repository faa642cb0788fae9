import numpy as np
import pytest
from matplotlib.patches import Rectangle

from relumen.evaluation.panels import draw, file_name
from relumen.evaluation.scores import Sample, Score
from relumen.evaluation.zoom import liveliest


@pytest.fixture(scope="module")
def sample(cells):
    target = cells[300:460, 300:500].astype(np.float32)
    scores = tuple(
        Score("1 frame", "channel 2", "007", name, psnr, 0.5, psnr, 0.5)
        for name, psnr in (("bicubic", 20.0), ("pixel", 25.0), ("full", 24.5))
    )
    return Sample(scores, (target / 2, target, target + 5), target, "SIM")


def test_columns_are_methods_and_target_and_rows_whole_and_zoomed(sample):
    axes = draw(sample).axes
    assert [ax.get_title() for ax in axes] == [
        "(a) bicubic\n(20.00 / 0.500)",
        "(b) pixel\n(25.00 / 0.500)",
        "(c) full\n(24.50 / 0.500)",
        "(d) SIM\n",
        *[""] * 4,
    ]
    shown = [np.asarray(ax.images[0].get_array()) for ax in axes]
    for whole, image in zip(shown[:4], [*sample.images, sample.target], strict=True):
        np.testing.assert_array_equal(whole, image)
    assert {part.shape for part in shown[4:]} == {(40, 40)}


def test_the_red_box_is_around_the_zoomed_part(sample):
    axes = draw(sample).axes
    for whole, zoomed in zip(axes[:4], axes[4:], strict=True):
        (box,) = [patch for patch in whole.patches if isinstance(patch, Rectangle)]
        assert box.get_edgecolor() == (1, 0, 0, 1)
        x, y = (round(edge + 0.5) for edge in box.get_xy())
        assert (y, x) == liveliest(sample.target, 40)
        image = np.asarray(whole.images[0].get_array())
        np.testing.assert_array_equal(image[y : y + 40, x : x + 40], zoomed.images[0].get_array())


def test_one_contrast_for_a_row(sample):
    axes = draw(sample).axes
    for row in (axes[:4], axes[4:]):
        contrasts = {ax.images[0].get_clim() for ax in row}
        low, high = np.percentile(np.asarray(row[-1].images[0].get_array()), (0.5, 99.8))
        assert contrasts == {(low, high)}


def test_a_file_for_each_channel_and_condition(sample):
    assert file_name(sample) == "figure-channel-2-1-frame.png"


def test_the_liveliest_part_has_the_cells():
    image = np.zeros((128, 160), np.float32)
    image[64:96, 96:128] = np.random.default_rng(0).normal(0, 1, (32, 32))
    assert liveliest(image, 32) == (64, 96)
    assert liveliest(image, 500) == (0, 0)
