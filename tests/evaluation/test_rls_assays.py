"""Fig. 5 of RLS as tables and figures."""

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from relumen.errors import UserError
from relumen.evaluation.assays import translocation_ratio
from relumen.evaluation.rls_assays import EXACT, HR, area_under_curve, correlation_of, report_on
from relumen.evaluation.rls_methods import BICUBIC
from relumen.evaluation.rls_study import Study
from relumen.evaluation.rls_truth import TruthConfig
from relumen.prior.folder import Prior
from relumen.upsampling import enlarged

COUNT = 8
CONDITIONS = ("dmso", "tnf-alpha")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Drawn cells of two conditions at 16x, and nothing that is searched."""
    prior, cache = Prior.open(Path("prior-nfkb")), tmp_path_factory.mktemp("cache")
    return Study.begin(prior, TruthConfig(drawn="nfkb"), 16, cache, count=COUNT, methods=[BICUBIC], seed=5)


@pytest.fixture(scope="module")
def report(study):
    return report_on(study, "translocation")


@pytest.fixture(scope="module")
def measured(study):
    """What the table is of, measured without it."""
    blurred = np.clip(enlarged(study.low, 128), 0, 1)
    values = {
        name: np.array([translocation_ratio(image, study.truth.stains) for image in images])
        for name, images in ((HR, study.truth.images), (BICUBIC.name, blurred))
    }
    return {**values, EXACT: np.array([each.translocation for each in study.truth.features])}


def lines_of(text):
    return list(csv.DictReader(StringIO(text)))


def test_the_table_holds_what_is_measured_again(report, measured):
    rows = {row["images"]: row for row in lines_of(report.texts["table.csv"])}
    assert list(rows) == [HR, BICUBIC.name, EXACT]
    for name, row in rows.items():
        control, treated = measured[name][:COUNT], measured[name][COUNT:]
        assert float(row["dmso median"]) == pytest.approx(np.median(control))
        assert float(row["tnf-alpha third quartile"]) == pytest.approx(np.percentile(treated, 75))
        statistic = mannwhitneyu(treated, control).statistic
        assert float(row["auc"]) == pytest.approx(statistic / COUNT**2)
        assert float(row["auc_low"]) <= float(row["auc"]) <= float(row["auc_high"])
        assert float(row["r_hr"]) == pytest.approx(np.corrcoef(measured[name], measured[HR])[0, 1])
        assert float(row["r_exact"]) == pytest.approx(np.corrcoef(measured[name], measured[EXACT])[0, 1])
        assert float(row["deviation_hr"]) == pytest.approx(np.abs(measured[name] - measured[HR]).mean())
        assert row["dmso not measured"] == row["tnf-alpha not measured"] == "0"


def test_every_image_has_a_line_for_each_method(report, measured):
    lines = lines_of(report.texts["images.csv"])
    assert len(lines) == 3 * 2 * COUNT
    for line in lines:
        assert line["condition"] == CONDITIONS[int(line["image"]) // COUNT]
        assert float(line["value"]) == pytest.approx(measured[line["images"]][int(line["image"])])
        assert (line["residual"] != "") == (line["images"] == BICUBIC.name) and line["prior_distance"] == ""


def test_a_reader_is_told_how_and_of_what(report):
    text = report.texts["table.md"]
    assert "no microscope's" in text and "Measured alike on all" in text and "no published row" in text
    assert text.count("| LR, bicubic |") == 1 and "[" in text and "nan" not in text


def test_the_figures_show_a_solid_and_a_dotted_box_of_each_and_images_with_their_values(report, study, measured):
    figures = dict(report.figures)
    assert set(figures) == {"figure-5a.png", "figure-3.png"}
    boxes = figures["figure-5a.png"].axes[0]
    assert [bool(patch.get_hatch()) for patch in boxes.patches] == [False, False, True, True]
    assert [tick.get_text() for tick in boxes.get_xticklabels()] == [HR, BICUBIC.name]
    grid = np.reshape(figures["figure-3.png"].axes, (6, 3))
    assert [axes.get_title() for axes in grid[0]] == ["LR", BICUBIC.name, HR]
    squares = np.asarray(grid[0, 0].images[0].get_array()).reshape(8, 16, 8, 16, 3)
    assert (squares == squares[:, :1, :, :1]).all()  # 8 x 8 pixels
    shown = np.asarray(grid[1, 2].images[0].get_array())  # conditions take turns
    np.testing.assert_array_equal(shown[..., 2], np.rint(study.truth.images[COUNT, ..., 0] * 255))
    assert float(grid[1, 2].get_xlabel()) == pytest.approx(measured[HR][COUNT], abs=0.005)


def test_what_no_method_shows_is_counted_and_left_out(study, measured):
    images = study.truth.images.copy()
    images[:COUNT] = 0
    report = report_on(replace(study, truth=replace(study.truth, images=images, features=None)), "translocation")
    (row, _) = lines_of(report.texts["table.csv"])
    assert row["dmso not measured"] == str(COUNT) and row["dmso median"] == row["auc"] == ""
    assert float(row["tnf-alpha median"]) == pytest.approx(np.median(measured[HR][COUNT:]))
    assert "r_exact" not in row and "| - |" in report.texts["table.md"]
    assert all(figure.axes for _, figure in report.figures)


def test_the_interval_of_the_area_holds_what_it_is_of():
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(20):
        control, treated = rng.normal(0, 1, 30), rng.normal(1, 1, 30)
        found = area_under_curve(control, treated, raises=True, seed=seed)
        inside += found.low < 0.7602 < found.high  # Phi(1 / sqrt 2)
        assert area_under_curve(treated, control, raises=False, seed=seed).value == pytest.approx(found.value)
    assert inside >= 16
    assert area_under_curve(np.array([1.0, np.nan]), np.array([2.0]), raises=True).value == 1
    assert np.isnan(area_under_curve(np.array([np.nan]), np.array([2.0]), raises=True).value)


def test_a_correlation_needs_pairs_that_vary():
    one = np.array([1.0, 2.0, 3.0, np.nan])
    assert correlation_of(one, np.array([2.0, 4.0, 6.0, 1.0])).value == pytest.approx(1)
    assert np.isnan(correlation_of(one, np.ones(4)).value)
    assert np.isnan(correlation_of(one, np.array([1.0, np.nan, 2.0, 2.0])).value)


def test_images_that_an_assay_cannot_use_are_refused(study):
    with pytest.raises(UserError, match="translocation, golgi. Received: mitosis"):
        report_on(study, "mitosis")
    with pytest.raises(UserError, match="needs images of DNA, Golgi; .* show DNA, NF-kB, without Golgi"):
        report_on(study, "golgi")
    one = replace(study, truth=study.truth.of("dmso"))
    with pytest.raises(UserError, match=r"compares two conditions.* Received 1: dmso"):
        report_on(one, "translocation")
