"""What tables and figures of RLS are made of: true images, kept searches, scores; and each table as one command."""

import csv
import dataclasses
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from scipy import stats

from relumen.errors import UserError
from relumen.evaluation import rls_quality, rls_solutions, rls_sweep, set_features
from relumen.evaluation.rls_methods import BICUBIC, BRGM, RLS, Made, Method
from relumen.evaluation.rls_scores import Networks, fidelity, scores, similarity
from relumen.evaluation.rls_study import Study
from relumen.evaluation.rls_truth import TruthConfig, load_truth, read_truth_config
from relumen.metrics import kernel_distance, ms_ssim
from relumen.prior.folder import Prior
from relumen.search.config import UncertaintyConfig, load_search
from relumen.training.cells import Culture, draw_images
from relumen.upsampling import bicubic

QUICK = Method("RLS, 2 steps", overrides=("iterations=2",))


@pytest.fixture(scope="module")
def study(cell_sized_prior, tmp_path_factory):
    cache = tmp_path_factory.mktemp("searches")
    return Study.begin(
        Prior.open(cell_sized_prior), read_truth_config("drawn:nfkb"), 16, cache, count=3, methods=(BICUBIC, QUICK)
    )


def files(study):
    return sorted(path.stat().st_mtime_ns for path in study.cache.rglob("*.npz"))


def test_drawn_cells_come_with_their_features_and_are_none_that_a_prior_saw():
    truth = load_truth(read_truth_config("drawn:nfkb"), 64, 4)
    assert truth.names == ["dmso", "tnf-alpha"] and len(truth) == 8 and truth.stains == ("DNA", "NF-kB")
    ratios = {name: np.mean([f.translocation for f in truth.of(name).features]) for name in truth.names}
    assert ratios["tnf-alpha"] > 1.5 * ratios["dmso"]
    areas = [[f.nuclear_area for f in truth.of(name).features] for name in truth.names]
    assert not set(areas[0]) & set(areas[1])  # no cell stands twice, untreated and treated
    more = load_truth(read_truth_config("drawn:nfkb"), 64, 6)
    np.testing.assert_array_equal(more.of("tnf-alpha").images[:4], truth.of("tnf-alpha").images)
    training = draw_images(Culture("nfkb", size=64, confluence=0.4), 8, 0) / np.float32(255)
    assert all(np.abs(training - each).max((1, 2, 3)).min() > 0.1 for each in truth.images)


def test_real_crops_are_of_the_part_that_was_held_out():
    truth = load_truth(read_truth_config("shipped:nfkb"), 128, 10)
    assert truth.names == ["A12 (cytoplasmic)", "A01 (nuclear)"] and truth.features is None
    assert len(truth.of("A01 (nuclear)")) <= 10 and 0 <= truth.images.min() < truth.images.max() <= 1


def test_a_file_names_images_and_conditions(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("drawn: cells\nconditions: {DMSO: [dmso], drugs: [nocodazole, cytochalasin]}\n")
    truth = load_truth(read_truth_config(str(path)), 32, 2)
    assert truth.conditions.tolist() == ["DMSO", "DMSO", "drugs", "drugs"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cells", "drawn:cells, drawn:nfkb, drawn:golgi, shipped:nfkb, or a .yaml file. Received: cells"),
        ("drawn:mitochondria", "drawn: Input should be 'cells'"),
        ("shipped:cells", "shipped: Input should be 'nfkb'"),
    ],
)
def test_images_that_there_are_not(text, words):
    with pytest.raises(UserError, match=words):
        read_truth_config(text)


def test_conditions_that_there_are_not():
    with pytest.raises(ValueError, match="received aspirin"):
        TruthConfig(drawn="cells", conditions={"a": ("aspirin",)})
    config = TruthConfig(shipped="nfkb", conditions={"TNF": ("B-*",)})
    with pytest.raises(UserError, match=r"No held-out crop is of the condition TNF \(B-\*\). There are"):
        load_truth(config, 128, 4)


def test_searches_are_done_once_and_go_on_where_they_were(study):
    first = study.make()
    kept = files(study)
    assert len(kept) == 6
    again = study.make()
    np.testing.assert_array_equal(first[QUICK.name].images, again[QUICK.name].images)
    assert files(study) == kept
    next(study.cache.rglob("*.npz")).write_bytes(b"cut short")
    np.testing.assert_allclose(study.make()[QUICK.name].images, first[QUICK.name].images, atol=1e-4)
    assert len(files(study)) == 6
    other = dataclasses.replace(study, seed=1, methods=(QUICK,))
    other.make()
    assert len(files(study)) == 12


def test_the_interpolation_is_the_cubic_one_and_its_residual_is_small(study):
    made = study.make()[BICUBIC.name]
    np.testing.assert_allclose(made.images[2, ..., 1], np.clip(bicubic(study.low[2, ..., 1], 16), 0, 1), atol=1e-6)
    assert made.residual.max() < 0.05 and np.isnan(made.prior_distance).all()
    assert made.images.shape == study.truth.images.shape


def test_brgm_weighs_its_cosine_term_by_the_factor():
    assert BRGM.for_factor(16) == () and BRGM.for_factor(32) == ("cross.weight=1",)
    assert RLS.for_factor(32) == ()


def test_the_scores_are_those_of_the_metrics(study):
    made = study.make()
    bicubic_row, searched = scores(study, made, Networks())
    truth = study.truth.images
    expected = -10 * np.log10(((truth - made[BICUBIC.name].images) ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(bicubic_row.psnr, expected, rtol=1e-5)
    one = [ms_ssim(truth[1, ..., c], made[BICUBIC.name].images[1, ..., c], 1.0) for c in (0, 1)]
    assert bicubic_row.ms_ssim[1] == pytest.approx(np.mean(one))
    units = set_features.units_of(truth)
    a, b = (set_features.features_of(each, "microscopy", None, units) for each in (truth, made[QUICK.name].images))
    assert searched.distance == kernel_distance(a, b)
    assert fidelity(truth, truth + 0.1)[0] == pytest.approx(20) and similarity(truth, truth)[0] == pytest.approx(1)


def test_an_equal_set_is_nearer_than_a_blurred_one(study):
    same = Made(study.truth.images, *np.zeros((2, len(study.truth)), np.float32))
    blurred = Made(study.make()[BICUBIC.name].images, *np.zeros((2, len(study.truth)), np.float32))
    near, far = scores(study, {"same": same, "blurred": blurred}, Networks())
    assert near.distance.value < far.distance.value and near.frechet < far.frechet


def test_the_table_and_its_pictures(study):
    seen = []
    report = rls_quality.report_on(study, "table 1", on_done=lambda done, total: seen.append((done, total)))
    text = report.texts["table.md"]
    assert "They are not the paper's" in text and "relumen's own network" in text and "16x bicubic" in text
    rows = list(csv.DictReader(StringIO(report.texts["table.csv"])))
    assert [row["method"] for row in rows] == [BICUBIC.name, QUICK.name] and rows[0]["images"] == "6"
    assert f"| {rls_quality.OTHERS} |" in text
    enlarged, searched = (row.distance for row in scores(study, study.make(), Networks()))
    line = next(line for line in text.splitlines() if line.startswith(f"| {BICUBIC.name} |"))
    assert f"| {QUICK.name} is nearer on |" in text
    assert line.endswith(f"| {searched.nearer_than(enlarged):.0%} of halves |")
    published = text.partition("## Published on other images")[2]
    assert "| RLS | 6.983 | 3.347 | 0.660 | 0.262 | 19.177 |" in published and QUICK.name not in published
    lines = list(csv.DictReader(StringIO(report.texts["images.csv"])))
    assert len(lines) == 12 and {line["condition"] for line in lines} == {"dmso", "tnf-alpha"}
    assert np.mean([float(line["psnr"]) for line in lines[:6]]) == pytest.approx(float(rows[0]["psnr"]))
    assert [name for name, _ in report.figures] == ["figure-2.png"] and seen[-1] == (12, 12)


def test_the_sweep_changes_one_weight_at_a_time():
    configs = {point: point.method for point in rls_sweep.POINTS}
    annealed = load_search("rls-annealed")
    for point, method in configs.items():
        config = load_search(method.preset, method.for_factor(16))
        assert config.likelihood.reduce == point.reduce
        weight = 0.0 if config.cross is None else config.cross.weight
        assert (config.density, weight) in {(point.value, annealed.cross.weight), (annealed.density, point.value)}
        assert config.model_copy(update={"density": annealed.density, "cross": annealed.cross}) == annealed.model_copy(
            update={"likelihood": config.likelihood}
        )
    assert len({method.name for method in configs.values()}) == len(rls_sweep.POINTS) == 24


def test_several_solutions_and_a_feature_of_them(study, monkeypatch):
    """A feature that is known of any image, its mean brightness, is told by the mean of the solutions."""
    monkeypatch.setattr(rls_solutions, "ANNEALED", QUICK)
    assay = SimpleNamespace(name="brightness", measure=lambda image, stains: float(image.mean()))
    report = rls_solutions.report_on(study, 3, ("restarts", "paper"), assay)  # type: ignore[arg-type]
    rows = list(csv.DictReader(StringIO(report.texts["table.csv"])))
    assert [row["form"] for row in rows] == ["restarts", "paper"]
    made = [study.maker.several(QUICK, low, UncertaintyConfig(form="restarts"), 3) for low in study.low]
    images = np.stack([each.images for each in made])
    assert float(rows[0]["spread"]) == pytest.approx(images.std(1).mean())
    means, exact = images.mean((2, 3, 4)), study.truth.images.mean((1, 2, 3))
    expected = stats.pearsonr(means.mean(1), exact).statistic
    assert float(rows[0]["correlation with HR"]) == pytest.approx(expected, abs=1e-5)
    assert float(rows[0]["mean error"]) == pytest.approx(np.abs(means.mean(1) - exact).mean(), abs=1e-6)
    assert [name for name, _ in report.figures] == ["figure-8-restarts.png", "figure-8-paper.png"]


def test_a_prior_of_other_stains_is_refused(cell_sized_prior, tmp_path):
    with pytest.raises(UserError, match="shows DNA, NF-kB, and the drawn cells.*show DNA, Golgi"):
        Study.begin(Prior.open(cell_sized_prior), read_truth_config("drawn:golgi"), 16, tmp_path, count=2)
    with pytest.raises(UserError, match="divides the prior's 128 pixels"):
        Study.begin(Prior.open(cell_sized_prior), read_truth_config("drawn:nfkb"), 12, tmp_path, count=2)


def test_a_study_that_can_not_be_scored_is_refused_before_any_search(study, tmp_path):
    few = dataclasses.replace(study, truth=study.truth.take(np.arange(2)), cache=tmp_path / "searches")
    small = dataclasses.replace(
        study, truth=dataclasses.replace(study.truth, images=study.truth.images[:, :64, :64]), cache=few.cache
    )
    for report_on in (lambda each: rls_quality.report_on(each, "table 1"), rls_sweep.report_on):
        with pytest.raises(UserError, match="told by 4 images at least. Received: 2"):
            report_on(few)
        with pytest.raises(UserError, match="MS-SSIM of 4 scales takes images of 81 pixels or more.*measure 64"):
            report_on(small)
    assert not few.cache.exists()


def test_an_image_is_no_file_of_conditions(tmp_path, cells):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, cells[:32, :32])
    with pytest.raises(UserError, match="image.tif can't be read"):
        read_truth_config(str(path))
