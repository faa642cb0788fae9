import numpy as np
import pytest
from matplotlib.patches import Rectangle

from relumen.evaluation.han_yin import BICUBIC, OURS
from relumen.evaluation.panels import draw, draw_beside, file_name
from relumen.evaluation.scores import Method, Sample, Score
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


def test_a_place_besides_others_is_another_one():
    image = np.zeros((128, 160), np.float32)
    image[64:96, 96:128] = np.random.default_rng(0).normal(0, 1, (32, 32))
    image[:32, :32] = np.random.default_rng(0).normal(0, 0.5, (32, 32))
    assert liveliest(image, 32, [(64, 96)]) == (0, 0)
    assert liveliest(image[:40, :40], 32, [(0, 0)]) == liveliest(image[:40, :40], 32)


def test_methods_beside_each_other_on_parts_of_several_images(cells):
    """Columns are the target and the methods that are asked for; rows are images, each at a place of its own."""
    methods = [Method("bicubic", BICUBIC), Method("mine", OURS)]
    samples = []
    for name in ("a.tif", "b.tif"):
        target = cells[300:860, 200:760].astype(np.float32)
        scores = tuple(Score("no added noise", "", name, m, 20.0, 0.5, 20, 0.5) for m in ("bicubic", "other", "mine"))
        samples.append(Sample(scores, (target / 2, target * 0, target + 5), target, "truth"))
    axes = draw_beside(samples, methods).axes
    assert [ax.get_title() for ax in axes] == ["(a) truth", "(b) bicubic", "(c) mine\n(ours)", "", "", ""]
    shown = [np.asarray(ax.images[0].get_array()) for ax in axes]
    assert {part.shape for part in shown} == {(256, 256)}
    for truth, plain, mine in (shown[:3], shown[3:]):
        np.testing.assert_array_equal(plain, truth / 2)
        np.testing.assert_array_equal(mine, truth + 5)
    assert not np.array_equal(shown[0], shown[3])
    assert [ax.texts[0].get_text() for ax in axes[:3]] == ["a.tif, no added noise", "20.00 / 0.500", "20.00 / 0.500"]
    for row in (axes[:3], axes[3:]):
        assert len({ax.images[0].get_clim() for ax in row}) == 1
