import shutil

import numpy as np
import pytest
import tifffile

from relumen.degrade import Degradation, clean
from relumen.errors import UserError
from relumen.evaluation.chatton import BICUBIC, CHANNELS, PIXEL
from relumen.evaluation.classical import baselines
from relumen.evaluation.entrants import Entrant, common_scale, open_entrant, unique_names
from relumen.evaluation.esrgan import ESRGAN, evaluate
from relumen.evaluation.judging import Limits, data_config
from relumen.metrics import affine_fitted, psnr, ssim
from relumen.restore import Restorer, open_model, restore_plane
from relumen.run import RunFolder
from relumen.training.config import parse_config
from relumen.training.data import load_data
from relumen.training.held_out import held_out
from relumen.upsampling import bicubic


@pytest.fixture(scope="module")
def evaluation(tiny_run):
    told = []
    found = evaluate([tiny_run], tiny_run.parent / "images", degrade=True, on_image=lambda *done: told.append(done))
    return found, told


@pytest.fixture
def pairs(tmp_path, cells):
    for part in ("low", "high"):
        (tmp_path / "pairs" / part).mkdir(parents=True)
    for i in range(20):
        high = cells[300:364, 20 * i : 20 * i + 64]
        tifffile.imwrite(tmp_path / "pairs" / "high" / f"{i:02}.tif", high)
        tifffile.imwrite(tmp_path / "pairs" / "low" / f"{i:02}.tif", high[::2, ::2])
    return tmp_path / "pairs"


def inputs(tiny_run):
    config = parse_config(RunFolder(tiny_run).config())
    return list(held_out(load_data(config.data, 2).validation, 0))


def test_every_image_and_condition_under_every_method(evaluation):
    found, told = evaluation
    assert [method.name for method in found.methods] == ["bicubic", "tiny"]
    assert [(s.condition, s.method) for s in found.scores] == [
        (f"{photons} photons", method) for photons in (600, 110, 20) for method in ("bicubic", "tiny")
    ]
    assert {(s.image, s.channel) for s in found.scores} == {("c.tif", "")}
    assert told == [(i, 6) for i in range(1, 7)]


def test_the_figures_are_those_of_the_training(evaluation, tiny_run):
    """Raw figures on the run's own held-out images with its own seed."""
    found, _ = evaluation
    for figures in RunFolder(tiny_run).about().figures:
        plain, network = (s for s in found.scores if s.condition == figures.condition)
        assert (plain.psnr, plain.ssim) == (figures.bicubic_psnr, figures.bicubic_ssim)
        assert network.psnr == pytest.approx(figures.psnr, abs=1e-3)
        assert network.ssim == pytest.approx(figures.ssim, abs=1e-4)


def test_bicubic_and_the_fit_by_direct_computation(evaluation, tiny_run):
    found, _ = evaluation
    for (_, condition, low, high), sample in zip(inputs(tiny_run), found.samples, strict=True):
        plain = bicubic(low, 2)
        fitted = affine_fitted(high, plain)
        score = sample.scores[0]
        assert score.condition == condition
        assert (score.psnr, score.ssim) == (psnr(high, plain), ssim(high, plain))
        assert (score.psnr_fitted, score.ssim_fitted) == (psnr(high, fitted), ssim(high, fitted))
        assert all(s.psnr_fitted >= s.psnr for s in sample.scores)
        np.testing.assert_array_equal(sample.images[0], plain)
        with open_model(tiny_run) as model:
            network = restore_plane(low[..., np.newaxis], model)[..., 0]
        np.testing.assert_allclose(sample.images[1], network, atol=1e-3)
        assert sample.target_name == "truth"


def test_the_notes_say_what_the_figures_are_of(evaluation, tiny_run):
    text = "\n".join(evaluation[0].notes)
    assert f"Data: {tiny_run.parent / 'images'}, high-quality images alone. 1 held-out image.\n" in text
    assert Degradation().describe() in text and "seed 0" in text
    assert "are not comparable" in text
    assert "tiny was trained on this folder's other images." in text


def test_a_run_a_package_and_the_pixel_only_network_beside_each_other(tiny_run, small_package, pairs):
    found = evaluate([tiny_run, small_package, tiny_run / "model-pixel.keras"], pairs, limits=Limits(images=1))
    names = ["bicubic", "tiny", "relumen tiny", "tiny, pixel only"]
    assert [(m.name, m.published) for m in found.methods] == list(zip(names, (BICUBIC, None, None, PIXEL), strict=True))
    (sample,) = found.samples
    _, run, package, pixel_only = sample.images
    np.testing.assert_allclose(package, run, atol=1e-3 * float(np.std(run)))
    assert np.abs(pixel_only - run).max() > 1e-3 * float(np.std(run))
    assert sample.target_name == "target"
    assert any("can't be told here" in note for note in found.notes)


def test_classical_methods_are_at_their_best_for_each_image(tiny_run):
    folder = tiny_run.parent / "images"
    found = evaluate([tiny_run], folder, degrade=True, classical=True, limits=Limits(crop=48))
    names = ["bicubic", "Gaussian + bicubic", "non-local means + bicubic", "tiny"]
    assert [method.name for method in found.methods] == names
    noisiest = found.samples[-1]
    low = next(low for _, condition, low, _ in inputs(tiny_run) if condition == noisiest.scores[0].condition)
    best = baselines(low[16:64, 16:64], noisiest.target, 2)
    assert [score.psnr for score in noisiest.scores[:3]] == [method.psnr for method in best]
    assert any("no user could choose" in note for note in found.notes)


def test_limits_choose_the_first_images_and_their_middle(tiny_run, pairs):
    low = tifffile.imread(pairs / "low" / "18.tif")[8:24, 8:24].astype(np.float32)
    high = tifffile.imread(pairs / "high" / "18.tif")[16:48, 16:48].astype(np.float32)
    found = evaluate([tiny_run], pairs, limits=Limits(crop=16))
    assert [s.image for s in found.scores] == ["18.tif", "18.tif", "19.tif", "19.tif"]
    assert found.scores[0].psnr == psnr(high, bicubic(low, 2))
    assert "the middle 16 x 16 input pixels" in found.notes[0]
    found = evaluate([tiny_run], pairs, limits=Limits(images=1))
    assert {s.image for s in found.scores} == {"18.tif"}


def test_no_run_is_judged_on_what_it_was_trained_on(tiny_run, tmp_path):
    config = parse_config(RunFolder(tiny_run).config())
    less = config.model_copy(update={"data": config.data.model_copy(update={"validation": 0.05})})
    folder = config.data.folder
    assert data_config(folder, [config, less], 2).validation == 0.05
    assert data_config(tmp_path, [config, less], 2).validation == 0.1


def test_inputs_are_made_as_the_first_run_learnt_them(tiny_run, tmp_path):
    config = parse_config(RunFolder(tiny_run).config())
    dim = Degradation(photons=(5.0, 10.0))
    other = config.model_copy(update={"data": config.data.model_copy(update={"degradation": dim})})
    real = config.model_copy(update={"data": config.data.model_copy(update={"degradation": None})})
    default = Degradation(factor=2)
    assert data_config(tmp_path, [real, other, config], 2, degrade=default).degradation == dim
    assert data_config(tmp_path, [real], 2, degrade=default).degradation == default
    assert data_config(tmp_path, [other], 2).degradation is None


def test_an_unfinished_training_has_no_published_row(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "half")
    about = RunFolder(run).about()
    RunFolder(run).write_about(about.model_copy(update={"finished": False}))
    config = RunFolder(run).config()
    config["phase_2"] = None
    RunFolder(run).write_config(config)
    with open_entrant(run, ESRGAN()) as entrant:
        assert entrant.published is None
    RunFolder(run).write_about(about)
    with open_entrant(run, ESRGAN()) as entrant:
        assert entrant.published is PIXEL


def entrant(path, scale=2, name=""):
    return Entrant(path, Restorer(name or path.name, lambda tiles: tiles, scale, 1, (64, 64), any_size=True, halo=4))


def test_w2s_has_the_papers_channels(tiny_run, tmp_path, cells):
    for field in (80, 81, 82):
        for channel in (0, 1, 2):
            high = cells[300 + 64 * channel :][:64, 64 * (field - 80) :][:, :64]
            for part, image in (("sim", high), ("avg1", high[::2, ::2]), ("avg4", high[1::2, 1::2])):
                (tmp_path / part).mkdir(exist_ok=True)
                tifffile.imwrite(tmp_path / part / f"{field:03}_{channel}.tif", image)
    found = evaluate([tiny_run], tmp_path, overrides=["data.averages=[1,4]"], limits=Limits(images=1))
    assert (found.papers_data, found.conditions, found.channels) == (True, ["avg1", "avg4"], list(CHANNELS))
    assert {score.image for score in found.scores} == {"081_0.tif", "081_1.tif", "081_2.tif"}
    assert {sample.target_name for sample in found.samples} == {"SIM"}
    second = next(s for s in found.scores if (s.condition, s.channel, s.method) == ("avg4", "channel 2", "bicubic"))
    low, high = (tifffile.imread(tmp_path / part / "081_1.tif").astype(np.float32) for part in ("avg4", "sim"))
    assert second.psnr == psnr(high, bicubic(low, 2))
    assert "3 held-out images of 3 channels." in found.notes[0]
    assert "channel 1 is W2S's files NNN_0" in "\n".join(found.notes)


def test_of_several_blurs_the_one_that_is_used_is_named(tiny_run):
    folder = tiny_run.parent / "images"
    found = evaluate([tiny_run], folder, degrade=True, overrides=["data.degradation.blur=[0.5, 1.5, 3]"])
    assert "blur (sigma 1.5 px)" in "\n".join(found.notes)
    sharp = Degradation(blur=(1.5,))
    high = tifffile.imread(folder / "validation" / "c.tif").astype(np.float32)
    low = clean(high, sharp.blur[0], 2).noisy(600, sharp.read_noise, np.random.default_rng((0, 3, 0, 0)))
    assert found.scores[0].psnr == pytest.approx(psnr(high, bicubic(low, 2)), abs=1e-6)


def test_how_the_folder_is_read_can_be_changed(tiny_run, tmp_path):
    config = parse_config(RunFolder(tiny_run).config())
    changed = data_config(tmp_path, [config], 2, overrides=["data.source=[noisy]", "data.target=clean"])
    assert (changed.folder, changed.source, changed.target) == (tmp_path, ("noisy",), "clean")
    with pytest.raises(UserError, match="data.averages"):
        data_config(tmp_path, [config], 2, overrides=["data.averages=many"])


def test_scales_are_not_mixed(tmp_path):
    assert common_scale([entrant(tmp_path / "a"), entrant(tmp_path / "b")]) == 2
    with pytest.raises(UserError, match=r"one magnification.* 2x, .* 4x"):
        common_scale([entrant(tmp_path / "a"), entrant(tmp_path / "b", 4)])


def test_names_are_unique(tmp_path):
    a, b = tmp_path / "runs" / "cells", tmp_path / "packages" / "cells"
    assert unique_names([entrant(a), entrant(tmp_path / "other")], "bicubic") == ["cells", "other"]
    assert unique_names([entrant(a), entrant(b), entrant(tmp_path / "bicubic")], "bicubic") == [
        str(a), str(b), str(tmp_path / "bicubic")
    ]  # fmt: skip
    with pytest.raises(UserError, match=f"Received twice: {a}"):
        unique_names([entrant(a), entrant(a)], "bicubic")


def test_a_channel_that_the_paper_has_not_keeps_its_number(tiny_run, tmp_path, cells):
    for field in (80, 81):
        for channel in (0, 3):
            high = cells[300 + 64 * channel :][:64, 64 * (field - 80) :][:, :64]
            for part, image in (("sim", high), ("avg1", high[::2, ::2])):
                (tmp_path / part).mkdir(exist_ok=True)
                tifffile.imwrite(tmp_path / part / f"{field:03}_{channel}.tif", image)
    found = evaluate([tiny_run], tmp_path, limits=Limits(images=1))
    assert (found.papers_data, found.channels) == (True, [CHANNELS[0], "3"])
