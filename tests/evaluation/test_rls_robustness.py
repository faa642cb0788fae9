"""Altered low-resolution images: that they are altered as stated, and what is told of images made of them."""

import csv
import dataclasses
from io import StringIO

import numpy as np
import pytest
from scipy.ndimage import convolve1d

from relumen.errors import UserError
from relumen.evaluation import set_features
from relumen.evaluation.rls_methods import BICUBIC
from relumen.evaluation.rls_robustness import ALTERATIONS, UNALTERED, Alteration, report_on
from relumen.evaluation.rls_study import Study
from relumen.evaluation.rls_truth import TruthConfig
from relumen.metrics import kernel_distance
from relumen.prior.folder import Prior

GREY = np.full((40, 32, 32, 2), 0.5, np.float32)


@pytest.fixture(scope="module")
def study(cell_sized_prior, tmp_path_factory):
    cache = tmp_path_factory.mktemp("searches")
    return Study.begin(Prior.open(cell_sized_prior), TruthConfig(drawn="nfkb"), 16, cache, count=3, methods=[BICUBIC])


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def report(study, seen):
    return report_on(study, lambda done, total: seen.append((done, total)))


def rows(report, name):
    return list(csv.DictReader(StringIO(report.texts[name])))


def of(name):
    return next(each for each in ALTERATIONS if each.name == name)


@pytest.mark.parametrize("strength", [0.05, 0.1])
def test_gaussian_noise_has_its_standard_deviation_and_no_mean(strength):
    noise = of(f"Gaussian noise {strength:g}")(GREY, 0) - GREY
    assert noise.std() == pytest.approx(strength, rel=0.01) and noise.mean() == pytest.approx(0, abs=strength / 100)
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02
    assert np.percentile(noise, 97.5) == pytest.approx(1.96 * strength, rel=0.03)


def test_salt_and_pepper_turn_their_share_of_pixels_white_or_black():
    altered = of("salt and pepper 0.05")(GREY, 0)
    assert set(np.unique(altered)) == {0, 0.5, 1}
    assert np.mean(altered == 0) == pytest.approx(0.025, abs=0.002)
    assert np.mean(altered == 1) == pytest.approx(0.025, abs=0.002)


def test_the_blur_is_a_gaussian_of_its_deviation_within_each_channel_and_image():
    point = np.zeros((2, 9, 9, 2), np.float32)
    point[0, 4, 4, 0] = 1
    altered = of("Gaussian blur 0.5")(point, 0)
    line = np.exp(-0.5 * (np.arange(-2, 3) / 0.5) ** 2)
    expected = convolve1d(convolve1d(point[0, ..., 0], line / line.sum(), 0), line / line.sum(), 1)
    np.testing.assert_allclose(altered[0, ..., 0], expected, atol=1e-6)
    assert not altered[1].any() and not altered[..., 1].any()


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda each: each.name)
def test_altered_images_stay_in_range_and_an_image_is_altered_alike_however_many_there_are(alteration):
    low = np.random.default_rng(0).random((5, 8, 8, 2), np.float32)
    altered = alteration(low, 3)
    assert altered.dtype == np.float32 and altered.min() >= 0 and altered.max() <= 1
    assert 0 < np.abs(altered - low).max()
    np.testing.assert_array_equal(alteration(low[:2], 3), altered[:2])
    if alteration.kind != "blur":
        assert (alteration(low, 4) != altered).any() and (altered[0] - low[0] != altered[1] - low[1]).any()


def test_the_figures_are_those_of_the_images(study, report):
    table = rows(report, "table.csv")
    assert [row["alteration"] for row in table] == [UNALTERED, *(each.name for each in ALTERATIONS)]
    truth, low = study.truth.images, study.low
    units = set_features.units_of(truth)
    lows = {UNALTERED: low, **{each.name: each(low, study.seed) for each in ALTERATIONS}}
    for row in (table[0], table[2]):
        given = lows[row["alteration"]]
        images = study.maker(BICUBIC, given).images
        reduced = study.operator(images)
        a, b = (set_features.features_of(each, "microscopy", None, units) for each in (truth, images))
        expected = {
            "images": 6,
            "change": np.abs(given - low).mean(),
            "kernel_distance": kernel_distance(a, b).value,
            "psnr": np.mean(-10 * np.log10(((images - truth) ** 2).mean((1, 2, 3)))),
            "residual_to_altered": np.abs(reduced - given).mean(),
            "residual_to_unaltered": np.abs(reduced - low).mean(),
        }
        assert {name: float(row[name]) for name in expected} == pytest.approx(expected, rel=1e-4)
    each = [row for row in rows(report, "images.csv") if row["alteration"] == "Gaussian noise 0.1"]
    assert [row["condition"] for row in each] == ["dmso"] * 3 + ["tnf-alpha"] * 3
    assert np.mean([float(row["psnr"]) for row in each]) == pytest.approx(float(table[2]["psnr"]))


def test_more_noise_is_a_greater_change_and_interpolation_takes_none_of_it_back(report):
    numbers = ("change", "psnr", "residual_to_altered", "residual_to_unaltered")
    table = {row["alteration"]: {name: float(row[name]) for name in numbers} for row in rows(report, "table.csv")}
    weak, strong = table["Gaussian noise 0.05"], table["Gaussian noise 0.1"]
    assert table[UNALTERED]["change"] == 0 < weak["change"] < strong["change"]
    assert table[UNALTERED]["psnr"] > weak["psnr"] > strong["psnr"]
    assert strong["residual_to_unaltered"] > strong["residual_to_altered"]


def test_the_report_says_what_was_done(report, seen):
    text = report.texts["table.md"]
    assert "| Gaussian blur 0.5 (changed by 0.0" in text and f"| {UNALTERED} | LR, bicubic |" in text
    assert "relumen's own network" in text and "publishes no figures on robustness" in text
    assert seen[-1] == (30, 30) and seen == sorted(seen)


def test_the_figures_rows_are_alterations_and_its_columns_go_from_low_resolution_to_truth(study, report):
    figures = dict(report.figures)
    assert list(figures) == ["figure-6-dmso.png", "figure-6-tnf-alpha.png"]
    axes = np.reshape(figures["figure-6-tnf-alpha.png"].axes, (5, 4))
    assert [each.get_title() for each in axes[0]] == ["LR", "LR, bicubic", "LR, bicubic,\nreduced", "HR"]
    assert [each.get_ylabel() for each in axes[:, 0]] == [UNALTERED, *(each.name for each in ALTERATIONS)]
    shown = [np.asarray(each.images[0].get_array()) for each in axes[2]]
    given = of("Gaussian noise 0.1")(study.low, study.seed)[3]
    np.testing.assert_allclose(shown[0][8::16, 8::16, 1] / 255, given[..., 1], atol=0.003)
    np.testing.assert_allclose(shown[3][..., 2] / 255, study.truth.images[3, ..., 0], atol=0.003)
    assert (shown[2][:16, :16] == shown[2][0, 0]).all()


def test_too_few_images_for_a_kernel_distance(study):
    few = dataclasses.replace(study, truth=study.truth.take(np.arange(3)))
    with pytest.raises(UserError, match="4 images at least.*Received: 3"):
        report_on(few)


def test_an_alteration_of_ones_own():
    assert np.mean(Alteration("half", "salt and pepper", 0.5)(GREY, 1) != 0.5) == pytest.approx(0.5, abs=0.01)
