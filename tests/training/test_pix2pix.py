"""Pix2Pix's training: its inputs, its losses, a run that learns and is resumed to the bit, and what is made of it."""

import csv

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from relumen.cli import train as cli
from relumen.degrade import forward_operator
from relumen.errors import UserError
from relumen.export.from_run import export_run
from relumen.restore import open_model
from relumen.run import RunFolder
from relumen.training import start
from relumen.training.config import load_config, presets
from relumen.training.pix2pix import Pix2Pix, restored
from relumen.training.prior_data import PriorData
from relumen.training.replicas import Replicas
from relumen.upsampling import enlarged

TINY = [
    "images={stains: nfkb, drawn: 16, unseen: 8, confluence: 0.2}",
    "size=32",
    "factor=4",
    "generator.width=8",
    "discriminator.widths=[8, 8, 16]",
    "batch=4",
    "steps=4",
    "precision=float32",
    "log_every=1",
    "check_every=2",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    """A run that was trained for four steps; to be read only."""
    return go(prepared(tmp_path_factory.mktemp("runs") / "straight", cache))


def changed(cache, *changes):
    return [*TINY, f"images.cache={cache}", *changes]


def prepared(folder, cache, *changes, preset="cells"):
    return start.prepare(folder, system="pix2pix", preset=preset, overrides=changed(cache, *changes))


def go(run, **options):
    start.go(run, command="relumen train pix2pix", machine="test", say=lambda text: None, **options)
    return run


def system(cache, *changes):
    config = load_config("pix2pix", "cells", changed(cache, *changes))
    return Pix2Pix(config, PriorData(config), Replicas(), command="", machine="")


def truth(cache):
    """The held-out images, 0..1."""
    return PriorData(load_config("pix2pix", "cells", changed(cache))).held_out.astype(np.float32) / 255


def test_inputs_are_enlarged_as_pillow_does_it(cache):
    low, high = system(cache).batch(3)
    small = forward_operator(32, 4)(high)
    assert low.shape == high.shape == (4, 32, 32, 2) and -1 <= high.min() < high.max() <= 1
    for i, channel in ((0, 0), (3, 1)):
        picture = Image.fromarray(small[i, ..., channel]).resize((32, 32), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(low[i, ..., channel], np.asarray(picture), atol=1e-5)
        shrunk = Image.fromarray(high[i, ..., channel]).resize((8, 8), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(small[i, ..., channel], np.asarray(shrunk), atol=1e-5)


def test_a_step_trains_both_networks_by_the_papers_losses(cache):
    trains = system(cache)
    parts = [trains.state[name] for name in ("generator", "discriminator")]
    before = [part.get_weights() for part in parts]
    terms = trains.train_step(0, trains.batch(0))
    assert set(terms) == {"pixel", "discriminator", "adversarial"}
    assert float(terms["discriminator"]) == pytest.approx(2 * np.log(2), rel=0.5)
    for part, was in zip(parts, before, strict=True):
        assert all(not np.array_equal(a, b) for a, b in zip(was, part.get_weights(), strict=True))
    rates = [float(trains.state[name].learning_rate) for name in ("optimizer", "discriminator_optimizer")]
    assert rates == pytest.approx([2e-4, 2e-4])
    alone = system(cache, "losses.adversarial=0")
    assert set(alone.train_step(0, alone.batch(0))) == {"pixel"} and "discriminator" not in alone.state


def test_it_learns_to_make_images_of_their_inputs(cache):
    """In half precision, as on CPUs."""
    rate = "learning_rate={initial: 2e-3, schedule: constant}"
    trains = system(cache, "steps=60", rate, "precision=mixed_bfloat16")
    errors = [float(trains.train_step(step, trains.batch(step))["pixel"]) for step in range(60)]
    assert np.mean(errors[-10:]) < 0.4 * np.mean(errors[:3])
    figures, picture = trains.validate()
    blank = np.full_like(truth(cache), truth(cache).mean())
    assert figures["l1"] < 0.8 * np.abs(truth(cache) - blank).mean()
    assert picture.shape == (4 * 32, 6 * 32, 3)  # eight held-out images, two a row


def test_a_run_says_what_it_is_and_how_good(run, cache):
    about = run.about()
    assert (about.system, about.finished, about.steps) == ("pix2pix", True, 4)
    assert (about.channels, about.stains, about.tile, about.halo) == (2, ("DNA", "NF-kB"), 32, None)
    assert "4x bicubic reduction" in about.degradation and "16 drawn images" in about.data
    assert set(about.measures) == {f"{column}: {row}" for column in ("PSNR", "L1") for row in ("Pix2Pix", "bicubic")}
    plain = np.clip(enlarged(forward_operator(32, 4)(truth(cache)), 32), 0, 1)
    assert about.measures["L1: bicubic"] == pytest.approx(np.abs(plain - truth(cache)).mean(), rel=1e-4)
    assert iio.imread(run.pictures / "step-0000004.png").shape == (4 * 32, 6 * 32, 3)
    assert iio.imread(run.sample_file).shape == (2, 8, 8)


def test_what_is_restored_is_what_was_judged(run, cache):
    low = forward_operator(32, 4)(truth(cache))
    images = restored(run, low)
    assert images.shape == (8, 32, 32, 2) and images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1
    assert np.abs(images - truth(cache)).mean() == pytest.approx(run.about().measures["L1: Pix2Pix"], rel=1e-4)
    np.testing.assert_allclose(restored(run, low[5:6])[0], images[5], atol=1e-5)
    assert restored(run, low[:0]).shape == (0, 32, 32, 2)


@pytest.mark.parametrize("shape", [(8, 8, 2), (1, 4, 4, 2), (1, 8, 8, 3)])
def test_images_of_another_shape_are_refused(run, shape):
    with pytest.raises(UserError, match=r"8 x 8 pixels with 2 channels \(DNA, NF-kB\).* 4x. Received: \("):
        restored(run, np.zeros(shape))


def test_a_run_of_another_system_is_refused(tiny_prior):
    with pytest.raises(UserError, match="is no Pix2Pix: it was trained by relumen train prior"):
        restored(RunFolder(tiny_prior), np.zeros((1, 8, 8, 1)))


def test_it_is_neither_exported_nor_restored_with(run, tmp_path):
    with pytest.raises(UserError, match="A run of pix2pix can't be exported: packages are made of runs of esrgan"):
        export_run(run.path, tmp_path / "package")
    with pytest.raises(UserError, match="is a run of pix2pix, which knows whole images of 32 x 32"):
        with open_model(run.path):
            pass


class KilledError(Exception):
    """A training is interrupted."""


def kill(step, total, terms):
    """Interrupts a training past the checkpoint of the second step."""
    if step == 3:
        raise KilledError


def test_a_resumed_run_is_that_of_one_go_to_the_bit(run, cache, tmp_path):
    again = prepared(tmp_path / "again", cache)
    with pytest.raises(KilledError):
        go(again, on_step=kill)
    go(again)
    assert again.history_file.read_bytes() == run.history_file.read_bytes()
    assert again.validation_file.read_bytes() == run.validation_file.read_bytes()
    with again.history_file.open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == [str(step) for step in range(1, 5)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["factor=5"], r"factor divides size \(32\), such as 16 or 32; received 5"),
        (["batch=1"], "one image is no batch to store statistics of: set batch, or generator.norm=instance"),
        (["factor=1"], "factor: .*greater than or equal to 2"),
        (["size=48"], "size: "),
        (["discriminator.widths=[4, 4, 4, 4, 4, 4]"], "size is at least 64 with so many discriminator.widths"),
        (["images={}"], "no images are named"),
        (["images.shipped=true", "images.stains=golgi"], "No shipped image has the stains of golgi"),
    ],
)
def test_what_can_not_be_trained_is_told_before_a_run_is_made(cache, tmp_path, changes, told):
    with pytest.raises(UserError, match=told):
        prepared(tmp_path / "run", cache, *changes)
    assert not (tmp_path / "run").exists()


def test_a_batch_is_shared_evenly(cache, monkeypatch):
    monkeypatch.setattr(Replicas, "count", 3)
    with pytest.raises(UserError, match="A batch of 4 can't be shared evenly by 3 devices"):
        system(cache)


def test_presets_are_of_the_published_sizes(tmp_path):
    assert presets("pix2pix") == ["cells", "paper"]
    paper, small = (load_config("pix2pix", name) for name in presets("pix2pix")[::-1])
    assert (paper.generator.width, paper.discriminator.widths, paper.batch) == (64, (64, 128, 256, 512), 1)
    assert (paper.generator.norm, small.generator.norm) == ("instance", "batch")
    for config in (paper, small):
        assert (config.losses.pixel, config.losses.adversarial, config.betas) == (100, 1, (0.5, 0.999))
        assert (config.learning_rate.initial, config.generator.dropout) == (2e-4, 0.5)
    assert small.images == load_config("prior", "cells").images


def test_the_command_makes_a_run_and_says_where_its_pictures_are(cache, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(start, "go", lambda run, **_: trained.append(run))
    monkeypatch.chdir(tmp_path)
    changes = [part for change in changed(cache, "factor=8") for part in ("--set", change)]
    said = CliRunner().invoke(cli.app, ["pix2pix", "-o", "run", *changes])
    assert said.exit_code == 0
    assert trained[0].config()["system"] == "pix2pix" and trained[0].config()["factor"] == 8
    assert "run/pictures" in said.output
    assert CliRunner().invoke(cli.app, ["pix2pix", "--resume", "run"]).exit_code == 0
    assert trained[1].path == trained[0].path
