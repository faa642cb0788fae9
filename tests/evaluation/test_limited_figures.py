import numpy as np
import pytest

from relumen.evaluation.limited_figures import Restored, draw_boxes, draw_divergence, draw_made, draw_restored


def shown(axes):
    return np.asarray(axes.images[0].get_array())


@pytest.fixture
def clean(cells):
    return cells[300:460, 300:500].astype(np.float32)


def test_restored_defects_stand_in_rows_between_input_and_truth(clean):
    rows = [
        Restored("noise", (("input", "20 / 0.5", clean / 2), ("CARE", "25 / 0.6", clean + 3)), clean, "a.tif"),
        Restored("blur", (("input", "21 / 0.5", clean / 4), ("ours", "26 / 0.6", clean + 5)), clean),
    ]
    axes = np.reshape(draw_restored(rows).axes, (2, 4))
    assert [ax.get_title() for ax in axes[0]] == ["input", "CARE", "ours", "truth"]
    assert [[len(ax.images) for ax in row] for row in axes] == [[1, 1, 0, 1], [1, 0, 1, 1]]
    truth = shown(axes[0, 3])
    assert truth.shape == (128, 128)
    np.testing.assert_array_equal(shown(axes[0, 0]), truth / 2)
    np.testing.assert_array_equal(shown(axes[1, 2]), truth + 5)
    assert len({ax.images[0].get_clim() for row in axes for ax in row if ax.images}) == 1
    assert [text.get_text() for text in axes[0, 0].texts] == ["20 / 0.5", "noise"]
    assert [text.get_text() for text in axes[0, 3].texts] == ["a.tif"]


def test_boxes_are_grouped_by_pairs_and_coloured_by_method():
    rng = np.random.default_rng(0)
    groups = {k: {m: list(rng.normal(20, 1, 9)) for m in methods} for k, methods in {"10": "ab", "50": "b"}.items()}
    figure = draw_boxes({"noise": groups, "blur": {"10": groups["10"]}})
    noise, blur = figure.axes
    assert [tick.get_text() for tick in noise.get_xticklabels()] == ["10", "50"]
    colours = [patch.get_facecolor() for patch in noise.patches]
    assert len(colours) == 3 and colours[1] == colours[2] != colours[0]
    assert len(blur.patches) == 2 and blur.get_title() == "blur"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_a_made_defect_stands_between_what_it_was_made_of_and_a_real_one(clean):
    axes = np.reshape(draw_made([("noise", clean, clean + 9, clean * 2), ("blur", clean, clean, None)]).axes, (2, 3))
    assert [ax.get_title() for ax in axes[0]] == ["clean", "made", "real"]
    assert [[len(ax.images) for ax in row] for row in axes] == [[1, 1, 1], [1, 1, 0]]
    assert axes[0, 0].images[0].get_clim() == axes[0, 1].images[0].get_clim() != axes[0, 2].images[0].get_clim()
    assert len(draw_made([("blur", clean, clean, None)]).axes) == 2


def test_divergence_over_training_with_the_real_one_dashed():
    (axes,) = draw_divergence({"noise": [(2, 20.0), (4, 18.0)], "blur": [(2, 25.0)]}, {"noise": 17.0}).axes
    noise, blur, real = axes.lines
    assert (list(noise.get_xdata()), list(noise.get_ydata())) == ([2, 4], [20.0, 18.0])
    assert blur.get_marker() == "o"
    assert (real.get_linestyle(), list(real.get_ydata())) == ("--", [17.0, 17.0])
    assert real.get_color() == noise.get_color() != blur.get_color()
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["noise", "blur", "the real defect"]
