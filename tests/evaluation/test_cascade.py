import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from relumen.degrade import Degradation, reduced
from relumen.errors import UserError
from relumen.evaluation.band_limit import band_limited
from relumen.evaluation.cascade import MARK, Cascade, evaluate
from relumen.evaluation.entrants import open_entrant
from relumen.evaluation.han_yin import ADVERSARIAL, BICUBIC, CONTENT, LAPSRN, OURS, PAPER, SINGLE, published_row
from relumen.evaluation.judging import Limits, data_config
from relumen.evaluation.scores import Evaluation, Method, Sample, Score
from relumen.metrics import psnr, ssim
from relumen.restore import open_model, restore_plane
from relumen.run import RunFolder
from relumen.training.config import load_config, parse_config
from relumen.upsampling import bicubic

REGION = {"side": "bottom", "share": 0.4, "gap": 1}


@pytest.fixture(scope="module")
def evaluation(tiny_cascade_run):
    return evaluate([tiny_cascade_run], tiny_cascade_run.parent / "images")


def changed(run, folder, **changes):
    """A copy of a run that tells of another training."""
    copy = RunFolder(shutil.copytree(run, folder))
    config = copy.config()
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = config
        for parent in parents:
            place = place[parent]
        place[last] = value
    copy.write_config(config)
    return copy.path


def test_the_figures_are_those_of_the_training(evaluation, tiny_cascade_run):
    assert [(m.name, m.published) for m in evaluation.methods] == [("bicubic", BICUBIC), ("tiny", OURS), (MARK, None)]
    assert [method.learnt for method in evaluation.methods] == [False, True, False]
    plain, network, _ = evaluation.scores
    (figures,) = RunFolder(tiny_cascade_run).about().figures
    assert {s.condition for s in evaluation.scores} == {figures.condition}
    assert (plain.psnr, plain.ssim) == (figures.bicubic_psnr, figures.bicubic_ssim)
    assert network.psnr == pytest.approx(figures.psnr, abs=1e-3)
    assert network.ssim == pytest.approx(figures.ssim, abs=1e-4)


def test_a_published_figure_stands_beside_no_other_magnification(tiny_cascade_run, monkeypatch):
    monkeypatch.setattr(Cascade, "paper", replace(PAPER, scale=4))
    found = evaluate([tiny_cascade_run], tiny_cascade_run.parent / "images", limits=Limits(crop=16))
    assert [method.published for method in found.methods] == [None, None, None]


def test_the_mark_is_the_truth_without_what_the_input_can_not_carry(evaluation, tiny_cascade_run):
    high = tifffile.imread(tiny_cascade_run.parent / "images" / "validation" / "c.tif").astype(np.float32)
    mark = evaluation.scores[-1]
    limited = band_limited(high, 8)
    assert (mark.psnr, mark.ssim) == (psnr(high, limited), ssim(high, limited))
    assert mark.psnr > evaluation.scores[0].psnr
    assert any("is no method" in note for note in evaluation.notes)


def test_the_band_limit_keeps_what_is_coarse_and_nothing_else():
    y, x = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5, indexing="ij")
    coarse = 3 + np.cos(np.pi * 7 * y / 64) + np.cos(np.pi * 5 * x / 48)
    fine = np.cos(np.pi * 8 * y / 64) + np.cos(np.pi * 20 * x / 48)
    np.testing.assert_allclose(band_limited(coarse + fine, 8), coarse, atol=1e-5)


def test_nothing_must_be_said_of_the_inputs(evaluation, tiny_cascade_run, tmp_path, phase):
    """Images alone are made smaller, as the first run learnt it or at least without noise; pairs are taken as given."""
    text = "\n".join(evaluation.notes)
    assert "8x binning, no added noise. Figures" in text and "seed" not in text and "tiny was trained on this" in text
    bicubic_run = changed(tiny_cascade_run, tmp_path / "cubic", data__degradation={"reduction": "bicubic", "blur": 0,
                                                                                   "photons": None})  # fmt: skip
    real_run = changed(tiny_cascade_run, tmp_path / "real", data__degradation=None)
    alone, pairs = tmp_path / "alone", tmp_path / "pairs"
    for i in range(2):
        high = phase[:160, 160 * i : 160 * i + 160]
        for folder, image in (
            (alone, high),
            (pairs / "high", high),
            (pairs / "low", high[::8, ::8]),
        ):
            folder.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / f"{i}.tif", image)
    truth = high.astype(np.float32)
    for run, data, low in (
        (bicubic_run, alone, reduced(truth, 8, "bicubic")),
        (real_run, alone, reduced(truth, 8)),
        (tiny_cascade_run, pairs, truth[::8, ::8]),
    ):
        found = evaluate([run], data)
        assert [score.image for score in found.scores] == ["1.tif"] * 3
        assert found.scores[0].psnr == pytest.approx(psnr(truth, bicubic(low, 8)), abs=1e-5)
    assert "low-quality partners" in found.notes[1] and "was trained on other data" in found.notes[-1]
    with pytest.raises(UserError, match="has real pairs"):
        evaluate([tiny_cascade_run], pairs, overrides=["data.degradation={photons: null}"])


def test_a_band_that_a_run_held_out_is_what_it_is_judged_on(tiny_cascade_run, tmp_path, phase):
    run = changed(tiny_cascade_run, tmp_path / "banded", data__region=REGION)
    folder = tiny_cascade_run.parent / "images"
    found = evaluate([run], folder)
    high = tifffile.imread(folder / "validation" / "c.tif")[-64:].astype(np.float32)
    np.testing.assert_array_equal(found.samples[0].target, high)
    with open_model(run) as model:
        alone = restore_plane(reduced(high, 8)[..., np.newaxis], model)[..., 0]
    np.testing.assert_allclose(found.samples[0].images[1], alone, rtol=1e-3)
    assert "1 held-out image, of each the bottom 40 %." in found.notes[0]
    assert "banded was trained on this folder's other images, without the bottom 40 %." in found.notes
    other = tmp_path / "other"
    other.mkdir()
    for name in "ab":
        tifffile.imwrite(other / f"{name}.tif", phase[:160, :160])
    assert evaluate([run], other).samples[0].target.shape == (160, 160)


def test_of_several_bands_the_one_is_taken_that_all_hold_out(tiny_cascade_run):
    config = parse_config(RunFolder(tiny_cascade_run).config())
    folder = config.data.folder

    def banded(**changes):
        data = {**config.data.model_dump(), "region": {**REGION, **changes}}
        return parse_config({**config.model_dump(), "data": data})

    assert data_config(folder, [config, banded(), banded(share=0.2)], 8).region.share == 0.2
    assert data_config(folder.parent, [banded()], 8).region is None
    with pytest.raises(UserError, match="different bands of the images: bottom and left"):
        data_config(folder, [banded(), banded(side="left")], 8)


def test_a_network_of_one_input_size_is_judged_tile_by_tile(tiny_cascade_run, tmp_path):
    run = RunFolder(shutil.copytree(tiny_cascade_run, tmp_path / "pinned"))
    run.write_about(run.about().model_copy(update={"tile": 8, "halo": 0}))
    found = evaluate([run.path], tiny_cascade_run.parent / "images", limits=Limits(crop=16))
    with open_model(run.path) as model:
        assert model.plan(16, 16).tile == (8, 8)
        low = reduced(found.samples[0].target, 8)
        tiled = restore_plane(low[..., np.newaxis], model)[..., 0]
    np.testing.assert_allclose(found.samples[0].images[1], tiled, atol=1e-3 * tiled.std())


@pytest.mark.parametrize(
    ("overrides", "row"),
    [
        ([], OURS),
        (["losses.adversarial=0"], CONTENT),
        (["losses.alpha=0"], ADVERSARIAL),
        (["generator.enrichment=none", "losses.filtered=false"], SINGLE),
        (["generator={network: lapsrn}"], LAPSRN),
        (["optics.mode=physical"], None),
        (["generator.enrichment=repeat"], None),
        (["losses.filtered=false"], None),
        (["generator.enrichment=none"], None),
        (["generator.enrichment=none", "losses.filtered=false", "losses.adversarial=0"], None),
    ],
)
def test_a_training_has_the_row_of_its_input_and_its_losses(overrides, row):
    assert published_row(load_config("cascade", "compact", overrides, **{"data.folder": "images"})) is row


def test_the_papers_presets_are_the_papers_rows():
    assert published_row(load_config("cascade", "author", **{"data.folder": "images"})) is OURS
    assert published_row(load_config("cascade", "lapsrn", **{"data.folder": "images"})) is LAPSRN
    assert [(row.name, *row.figures) for row in PAPER.rows] == [
        ("bicubic", "20.6039"),
        ("LapSRN", "26.5055"),
        ("ours", "27.8591"),
        ("content loss only", "26.0928"),
        ("adversarial loss only", "11.6732"),
        ("single image input", "26.2914"),
    ]


def test_an_unfinished_training_has_no_published_row(tiny_cascade_run, tmp_path):
    run = RunFolder(shutil.copytree(tiny_cascade_run, tmp_path / "half"))
    run.write_about(run.about().model_copy(update={"finished": False}))
    with open_entrant(run.path, Cascade()) as entrant:
        assert (entrant.published, entrant.finished) == (None, False)


def figures_of(*rows, conditions=("no added noise",)):
    """Titles of each figure of an evaluation of networks with these published rows."""
    methods = [Method("bicubic", BICUBIC), *(Method(f"{i}", row, learnt=True) for i, row in enumerate(rows))]
    methods.append(Method(MARK))
    target = np.random.default_rng(0).random((40, 40), np.float32)
    samples = [
        Sample(
            tuple(Score(c, "", image, m.name, 20, 0.5, 20, 0.5) for m in methods), (target,) * len(methods), target, ""
        )
        for c in conditions
        for image in "ab"
    ]
    scores = [score for sample in samples for score in sample.scores]
    evaluation = Evaluation(PAPER, tuple(methods), tuple(scores), tuple(samples), ())
    return {
        name: [ax.get_title().partition(") ")[2] for ax in figure.axes if ax.get_title()]
        for name, figure in Cascade().figures(evaluation)
    }


def test_figure_4_has_the_systems_and_figure_6_the_ablations():
    assert figures_of(SINGLE, OURS, None, LAPSRN, ADVERSARIAL) == {
        "figure-4.png": ["", "bicubic", "3\n(LapSRN)", "1\n(ours)", "2"],
        "figure-6.png": ["", "bicubic", "4\n(adversarial loss only)", "0\n(single image input)", "1\n(ours)"],
    }
    assert list(figures_of(CONTENT)) == ["figure-6.png"]
    assert list(figures_of(OURS)) == ["figure-4.png"]
    assert list(figures_of(None, conditions=("avg1", "avg4"))) == ["figure-4-avg1.png", "figure-4-avg4.png"]


def test_examples_are_spread_over_the_images(tiny_cascade_run, tmp_path, phase):
    for i in range(14):
        tifffile.imwrite(tmp_path / f"{i:02}.tif", phase[:64, 64 * i : 64 * i + 64])
    found = evaluate([tiny_cascade_run], tmp_path, overrides=["data.validation=0.9"])
    assert [sample.scores[0].image for sample in found.samples] == ["01.tif", "05.tif", "09.tif", "13.tif"]


def test_inputs_are_made_without_noise_where_no_run_tells():
    assert Cascade().degradation(8) == Degradation(factor=8, reduction="area", blur=(0.0,), photons=None)
