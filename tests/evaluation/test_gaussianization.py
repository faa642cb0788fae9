"""Squared norms against the chi-squared distribution: what is told apart, and what is written."""

import csv
from io import StringIO

import numpy as np
import pytest

from relumen.errors import UserError
from relumen.evaluation.gaussianization import cells_of, draw_gaussianization, gaussianization, told_of
from relumen.prior.whitening import Whitening
from relumen.tables import as_csv


@pytest.fixture
def z():
    return np.random.default_rng(0).normal(size=(4000, 64))


def test_a_gaussian_is_near_chi_squared_and_a_scaled_or_correlated_one_is_not(z):
    correlated = z.copy()
    correlated[:, 1:32] = z[:, :1]  # unit variance everywhere, yet half of the dimensions are one
    gaussian, scaled, together = gaussianization({"z": z, "scaled": 1.1 * z, "correlated": correlated})
    assert gaussian.mean == pytest.approx(64, abs=0.6)
    assert gaussian.deviation == pytest.approx(np.sqrt(128), abs=0.4)
    assert gaussian.distance < 0.03
    assert scaled.mean == pytest.approx(1.21 * gaussian.mean)
    assert scaled.distance > 0.3
    assert together.mean == pytest.approx(64, abs=3)
    assert together.deviation > 3 * gaussian.deviation
    assert together.distance > 0.2


def test_the_distance_is_the_greatest_difference_of_the_distribution_functions():
    """With two degrees the chi-squared distribution function is 1 - exp(-x / 2)."""
    codes = np.random.default_rng(1).uniform(-1, 1, (500, 2))
    (row,) = gaussianization({"uniform": codes})
    squared = np.sort((codes**2).sum(1))
    expected = 1 - np.exp(-squared / 2)
    steps = np.arange(501) / 500
    assert row.distance == pytest.approx(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))


def test_the_whitening_undoes_a_leaky_relu_and_an_affine_map(z):
    before = 3 * z + np.linspace(-2, 2, 64)
    w = np.where(before > 0, before, 0.2 * before)
    whitened = Whitening.of(w[2000:])(w[:2000])
    np.testing.assert_allclose(whitened, z[:2000], atol=0.25)
    raw, after = gaussianization({"w": w[:2000], "PULSE": whitened})
    assert raw.distance > 0.9 and after.distance < 0.06


def test_the_table_names_what_all_are_compared_with(z):
    rows = gaussianization({"z": z, "a|b": 2 * z})
    first, *lines = cells_of(rows)
    assert first == ["chi-squared, 64 degrees", "64.0", "11.3", "0"]
    assert [(name, mean[0]) for name, mean, *_ in lines] == [("z", "6"), ("a|b", "2")]
    table = list(csv.DictReader(StringIO(as_csv(map(told_of, rows)))))
    assert [line["codes"] for line in table] == ["z", "a|b"]
    assert float(table[1]["ks_distance"]) == rows[1].distance


def test_the_figure_shows_every_kind_of_code_as_a_density_beside_chi_squared(z, tmp_path):
    rows = gaussianization({"z": z, "w": z + 0.5, "PULSE": 1.2 * z})
    figure = draw_gaussianization(rows)
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [label.split(" (")[0] for label in labels] == ["z", "w", "PULSE", "chi-squared, 64 degrees"]
    x, density = axes.lines[0].get_data()
    assert np.trapezoid(density, x) == pytest.approx(1, abs=0.01)
    outline = axes.patches[1].get_xy()  # of z: the histogram follows the density
    assert outline[:, 1].max() == pytest.approx(density.max(), rel=0.2)
    figure.savefig(tmp_path / "figure-1.png")
    assert (tmp_path / "figure-1.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ({}, "one code at least"),
        ({"z": np.zeros((0, 4))}, r"'z': \(0, 4\)"),
        ({"z": np.zeros((3, 4)), "w": np.zeros((3, 5))}, "same number of dimensions"),
        ({"F(w)": np.full((3, 4), np.nan)}, r"'F\(w\)' have numbers that are not finite"),
    ],
)
def test_codes_that_cannot_be_judged_are_refused(codes, told):
    with pytest.raises(UserError, match=told):
        gaussianization(codes)
