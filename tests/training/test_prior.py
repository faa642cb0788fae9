"""StyleGAN2-ADA's training: its losses, a run that learns and is resumed to the bit, transfer, and its images."""

import csv
import os
import re
import shutil

import imageio.v3 as iio
import keras
import numpy as np
import pytest
import tensorflow as tf

from relumen.data import image_path
from relumen.errors import UserError
from relumen.models.stylegan2_layers import halved
from relumen.prior.folder import Prior
from relumen.run import RunFolder
from relumen.training import losses, prior_data, start
from relumen.training.augment import adjusted
from relumen.training.config import load_config, parse_config, presets
from relumen.training.prior import Prior as System
from relumen.training.prior_data import PriorData
from relumen.training.prior_transfer import discriminator_of
from relumen.training.replicas import Replicas

TINY = [
    "images={stains: cells, drawn: 24, unseen: 8}",
    "size=8",
    "images.binning=4",
    "generator={base: 64, most: 8, z_dim: 16, w_dim: 16}",
    "discriminator={base: 64, most: 8}",
    "regularisation={r1: 0.2, r1_every: 4, path_every: 2}",
    "ada={target: 0, kimg: 0.1}",
    "batch=4",
    "noise_from=4",
    "kimg=0.032",
    "precision=mixed_bfloat16",
    "log_every=1",
    "check_every=4",
    "judged_on=8",
]

ALONE = ["regularisation={r1: 0, path_length: 0}", "ada.target=null"]
"""The two losses alone."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    """A run that was trained for eight steps; to be read only."""
    return trained(tmp_path_factory.mktemp("runs") / "straight", cache)


class KilledError(Exception):
    """A training is interrupted."""


def kill(step, total, terms):
    """Interrupts a training past the checkpoint of the fourth step."""
    if step == 5:
        raise KilledError


def prepared(folder, cache, *changes, preset="cells"):
    overrides = [*TINY, f"images.cache={cache}", *changes]
    return start.prepare(folder, system="prior", preset=preset, overrides=overrides)


def trained(folder, cache, *changes, **options):
    return go(prepared(folder, cache, *changes, **options))


def go(run, **options):
    start.go(run, command="relumen train prior", machine="test", say=options.pop("say", lambda text: None), **options)
    return run


def weights(run):
    return keras.models.load_model(run.model_file).get_weights()


def rows(run):
    with run.history_file.open() as file:
        return list(csv.DictReader(file))


def test_r1_is_the_squared_slope_at_real_images():
    real = tf.random.stateless_normal((5, 4, 4, 2), [1, 2])
    slope = tf.random.stateless_normal((4, 4, 2), [3, 4])
    penalty = losses.r1_penalty(lambda x: tf.reduce_sum(x * slope, (1, 2, 3))[:, tf.newaxis], real)
    np.testing.assert_allclose(penalty, tf.reduce_sum(slope**2), rtol=1e-5)


def test_path_lengths_are_those_of_a_linear_generator():
    """Images A w: the length is |A^T y| / sqrt(pixels), the root of the mean square over the style inputs."""
    a = tf.random.stateless_normal((4, 4, 1, 3), [1, 2])
    y = tf.random.stateless_normal((2, 4, 4, 1), [5, 6])
    styles = tf.random.stateless_normal((2, 2, 3), [3, 4])
    lengths = losses.path_lengths(lambda s: tf.einsum("yxcd,nd->nyxc", a, s[:, 1]), styles, lambda shape: y)
    expected = np.linalg.norm(np.einsum("yxcd,nyxc->nd", a, y), axis=1) / 4 / np.sqrt(2)
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)


def test_a_run_keeps_the_average_of_the_generator_its_pictures_and_what_it_is(run):
    about = run.about()
    assert (about.system, about.finished, about.steps, about.channels, about.tile) == ("prior", True, 8, 3, 8)
    assert about.stains == ("actin", "tubulin", "DNA") and "24 drawn images" in about.data
    rows = ("made images", "training images")
    assert set(about.measures) == {f"{column}: {row}" for column in ("value", "low", "high") for row in rows}
    assert about.measures["value: made images"] > 10 * abs(about.measures["value: training images"])
    assert iio.imread(run.pictures / "step-0000008.png").shape == (6 * 8, 8 * 8, 3)
    prior = Prior.open(run.path)
    z, w = prior.style_vectors(3000, seed=5)
    assert (z.shape, w.shape) == ((3000, 16), (3000, 16))
    np.testing.assert_allclose(prior.generator.w_avg, w.mean(0), atol=4 * w.std() / np.sqrt(3000))


def test_regularisation_is_lazy_and_all_terms_are_logged(run):
    told = rows(run)
    assert [bool(row["R1"]) for row in told] == [step % 4 == 0 for step in range(8)]
    assert [bool(row["path length"]) for row in told] == [step % 2 == 0 for step in range(8)]
    assert all(row["generator"] and row["discriminator"] for row in told)


def test_the_augmentation_grows_while_the_discriminator_is_too_sure_of_real_images(run):
    told = rows(run)
    signs, strengths = ([float(row[name]) for row in told] for name in ("sign of real", "augmentation"))
    expected = 0.0
    for step in (4, 8):
        assert strengths[step - 2] == pytest.approx(expected)
        expected = adjusted(expected, np.mean(signs[step - 4 : step]), target=0, images=16, kimg=0.1)
        assert strengths[step - 1] == pytest.approx(expected)
    assert max(strengths) > 0


def test_the_average_follows_the_generator(cache):
    """Over so many images its distance halves; at first, over a twentieth of those so far."""
    trains, _ = begun(cache, "ema_kimg=0.02", "ema_rampup=0.05")
    trains.train_step(0, trains.batch(0))
    generator = trains.state["generator"].trainable_variables
    for kept, new in zip(trains.state["kept"].trainable_variables, generator, strict=True):
        np.testing.assert_array_equal(kept, new)
    before = [np.asarray(weight) for weight in trains.state["kept"].trainable_variables]
    trains.train_step(1000, trains.batch(1000))
    share = 0.5 ** (4 / 20)
    for old, kept, new in zip(before, trains.state["kept"].trainable_variables, generator, strict=True):
        np.testing.assert_allclose(kept, share * old + (1 - share) * np.asarray(new), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mixing", [0.0, 1.0])
def test_styles_are_of_one_code_or_of_two_from_some_layer_on(cache, mixing):
    trains, _ = begun(cache, f"mixing={mixing}", "size=32", "images.binning=1", "batch=64")
    styles = np.asarray(trains._styles(tf.constant([1, 2]), tf.constant(64)))
    changes = (styles[:, 1:] != styles[:, :-1]).any(-1)
    np.testing.assert_array_equal(changes.sum(1), mixing)
    if mixing:
        assert changes.any(0).all()  # from every layer but the first, in one image or another


def test_a_resumed_run_is_that_of_one_go_to_the_bit(run, cache, tmp_path):
    """Also while the augmentation grows stronger, and in half precision."""
    again = prepared(tmp_path / "again", cache)
    with pytest.raises(KilledError):
        go(again, on_step=kill)
    go(again)
    assert again.history_file.read_bytes() == run.history_file.read_bytes()
    assert again.validation_file.read_bytes() == run.validation_file.read_bytes()
    for a, b in zip(weights(run), weights(again), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("preset, weight", [("auto128", 0.1024), ("paper256", 1.0)])
def test_the_weight_of_r1_is_that_of_the_published_configuration(preset, weight):
    assert load_config("prior", preset, []).r1_weight == pytest.approx(weight)
    assert load_config("prior", preset, ["regularisation.r1=0"]).r1_weight == 0


@pytest.mark.parametrize(
    "changes",
    [
        [*ALONE, "mixing=0", "turned=false", "noise_from=8"],
        ["precision=float32", "ema_rampup=null", "images={stains: nfkb, shipped: true}", "images.binning=2"],
    ],
    ids=["all parts off", "two stains, of real cells, in single precision"],
)
def test_variants_train(tmp_path, cache, changes):
    made = trained(tmp_path / "run", cache, *changes, "kimg=0.008")
    generator = Prior.open(made.path).generator
    images = generator(np.zeros((2, 16), np.float32))
    assert images.dtype == tf.float32 and np.isfinite(images).all()
    off = ALONE[0] in changes
    assert ("R1" in rows(made)[0]) != off
    coarse, fine = (block.convs[-1].noise_strength for block in generator.synthesis.blocks)
    assert (coarse == 0) == off and fine != 0


def test_training_brings_the_images_near_to_the_real_ones(tmp_path, cache):
    """In half a minute only their brightness and coarse shape, which the kernel distance tells."""
    made = trained(
        tmp_path / "run", cache, "kimg=1.6", "check_every=200", "log_every=20", "judged_on=64", "images.unseen=64"
    )
    with made.validation_file.open() as file:
        distances = [float(row["kernel distance"]) for row in csv.DictReader(file)]
    untrained = untrained_distance(made)
    assert min(distances) < 0.3 * untrained


def system(config, say=lambda text: None):
    """What would be trained."""
    return System(config, PriorData(config), Replicas(), command="", machine="", say=say)


def untrained_distance(run):
    """The kernel distance of a generator that saw nothing."""
    return system(parse_config(run.config())).validate()[0]["kernel distance"]


def begun(cache, *changes):
    """A training that begins as another, before its first step, and what it said."""
    said = []
    return system(load_config("prior", "cells", [*TINY, f"images.cache={cache}", *changes]), said.append), said


def test_a_prior_of_larger_images_begins_as_one_of_smaller(run, cache):
    grown, (told,) = begun(cache, f"init={run.path}", "size=16", "images.binning=2")
    of_generator, of_critic = re.findall(r"(\d+) of (\d+)", told)
    assert 0 < int(of_generator[0]) < int(of_generator[1]) and 0 < int(of_critic[0]) < int(of_critic[1])
    z = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)
    small, large = (np.asarray(each(z, noise="none")) for each in (Prior.open(run.path).generator, grown.network))
    binned = large.reshape(4, 8, 2, 8, 2, 3).mean((2, 4))
    assert np.abs(binned - small)[:, 1:-1, 1:-1].mean() < 0.2 * small.std()
    about = grown.about(steps=0, seconds=0, finished=False)
    assert run.path.name in about.data
    assert [stage.command for stage in about.stages] == [run.about().command]


def test_a_discriminator_of_larger_images_judges_at_first_as_that_of_smaller(run, cache):
    old = discriminator_of(run)
    image = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    smaller = np.asarray(halved(image))
    expected = np.asarray(old(np.asarray(halved(smaller))))
    for seen, binning in ((smaller, 2), (image, 1)):
        changes = f"size={seen.shape[1]}", f"images.binning={binning}", "discriminator={base: 256, most: 8}"
        grown, _ = begun(cache, f"init={run.path}", "precision=float32", *changes)
        np.testing.assert_allclose(grown.state["discriminator"](seen), expected, rtol=0, atol=2e-5)
    assert np.ptp(expected) > 1e-3


def test_new_blocks_with_too_few_feature_maps_are_told(run, cache):
    told = begun(cache, f"init={run.path}", "size=16", "images.binning=2", "discriminator={base: 64, most: 8}")[1]
    assert "begin at random" in told[0]
    assert "begin at random" not in begun(cache, f"init={run.path}")[1][0]


def test_channels_begin_as_those_of_the_same_stain(run, cache):
    begins, _ = begun(cache, f"init={run.path}", "images={stains: nfkb, drawn: 24, unseen: 8}", "images.binning=4")
    for name in ("generator", "discriminator"):
        assert all(np.isfinite(weight).all() for weight in begins.state[name].get_weights())
    old, new = Prior.open(run.path).generator, begins.state["generator"]
    for was, block in zip(old.synthesis.blocks, new.synthesis.blocks, strict=True):
        np.testing.assert_array_equal(np.asarray(block.to_rgb.kernel)[..., 0], np.asarray(was.to_rgb.kernel)[..., 2])
        np.testing.assert_array_equal(np.asarray(block.to_rgb.kernel)[..., 1], np.asarray(was.to_rgb.kernel)[..., 0])
    old, new = discriminator_of(run).from_rgb, begins.state["discriminator"].from_rgb
    np.testing.assert_array_equal(np.asarray(new.kernel)[:, :, 0], np.asarray(old.kernel)[:, :, 2])


def test_the_discriminator_comes_from_the_checkpoint(run, cache):
    same, _ = begun(cache, f"init={run.path}")
    fresh, _ = begun(cache)
    kept, new = (each.state["discriminator"].get_weights() for each in (same, fresh))
    checkpoint = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run.checkpoints)))
    for i, (a, b) in enumerate(zip(kept, new, strict=True)):
        np.testing.assert_array_equal(a, checkpoint.get_tensor(f"discriminator/{i}/.ATTRIBUTES/VARIABLE_VALUE"))
        assert not np.array_equal(a, b)


def test_a_prior_without_checkpoints_lends_its_generator(run, cache, tmp_path):
    bare = RunFolder(tmp_path)
    for file in (run.model_file, run.about_file):
        (bare.path / file.name).write_bytes(file.read_bytes())
    made, (told,) = begun(cache, f"init={bare.path}")
    assert "discriminator begins anew" in told
    generator, old = made.state["generator"], Prior.open(bare.path).generator
    for a, b in zip(generator.trainable_variables, old.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_no_prior_is_not_begun_as(tiny_run, cache):
    with pytest.raises(UserError, match="is no prior"):
        begun(cache, f"init={tiny_run}")


def test_what_can_not_begin_as_another_is_told_before_a_run_is_made(run, cell_sized_prior, cache, tmp_path):
    others = ["size=16", "images.binning=2", "generator={base: 32, most: 4, z_dim: 8, w_dim: 8}"]
    for init, changes, told in (
        (run.path, others, "other sizes"),
        (cell_sized_prior, [], "images of 128 pixels.*size=8"),
    ):
        with pytest.raises(UserError, match=told):
            prepared(tmp_path / "run", cache, f"init={init}", *changes)
        assert not (tmp_path / "run").exists()


def test_a_run_goes_on_without_the_prior_that_it_began_as(run, cache, tmp_path):
    origin = shutil.copytree(run.path, tmp_path / "origin")
    made = prepared(tmp_path / "run", cache, f"init={origin}", *ALONE)
    with pytest.raises(KilledError):
        go(made, on_step=kill)
    shutil.rmtree(origin)
    go(made)
    about = made.about()
    assert about.finished and "Begins as origin" in about.data
    assert [stage.command for stage in about.stages] == [run.about().command]


def test_coarse_noise_is_dropped_where_none_is_added_and_the_maps_are_kept(run, cache):
    begins, _ = begun(cache, f"init={run.path}", "noise_from=8")
    old = Prior.open(run.path).generator
    for network in (begins.state["generator"], begins.state["kept"]):
        for was, block in zip(old.synthesis.blocks, network.synthesis.blocks, strict=True):
            for before, conv in zip(was.convs, block.convs, strict=True):
                assert before.noise_strength != 0
                assert float(conv.noise_strength) == (0 if block.size == 4 else float(before.noise_strength))
                np.testing.assert_array_equal(conv.noise, before.noise)


def test_nuclei_of_real_and_drawn_images_are_of_one_size(cache):
    """At every scale, and as many times smaller where images are binned."""

    def nuclei(images):
        dna = images[..., 0].astype(np.float32)
        lit = dna > dna.max((1, 2), keepdims=True) / 2
        size = images.shape[1] // 4
        return np.median(lit[:, size:-size, size:-size].mean((1, 2)))

    for changes in (("size=64",), ("size=32", "images.binning=2"), ("size=64", "images.scale=0.7")):
        given = ["images.drawn=48", "images.confluence=0", f"images.cache={cache}", *changes]
        drawn, real = PriorData(load_config("prior", "nfkb", given)).sources
        assert nuclei(real.training) == pytest.approx(nuclei(drawn.training), rel=0.35)


def test_batches_are_functions_of_their_step_and_show_every_source(cache):
    config = load_config("prior", "nfkb", [f"images.cache={cache}", "images.drawn=16", "batch=64", "size=32"])
    data = PriorData(config)
    first, again, next_ = data.batch(3), data.batch(3), data.batch(4)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, next_)
    assert first.shape == (64, 32, 32, 2) and -1 <= first.min() < first.max() <= 1
    assert "16 drawn" in data.describe() and "BBBC014" in data.describe() and "(50% of a batch)" in data.describe()


@pytest.fixture
def fields(tmp_path):
    """Two fields of real cells, a file for each channel."""
    folder = tmp_path / "fields"
    folder.mkdir()
    for name in ("POS002", "POS218"):
        for channel in "DR":
            file = image_path(f"kc167/01_{name}_{channel}.tif")
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_crops_of_ones_own_images_are_cut_once_until_the_images_change(fields, tmp_path, monkeypatch):
    channels = "channels: {actin: '*_R.tif', DNA: '*_D.tif'}"
    crops = f"crops: {{folder: {fields}, {channels}, hold_out: [01_POS218], diameter: 24, area: [100, 2000]}}"
    changes = [*TINY, f"images={{cache: {tmp_path}, {crops}}}", "size=32", "images.binning=1"]
    config = load_config("prior", "cells", changes)
    data = PriorData(config)
    assert data.stains == ("actin", "DNA") and data.batch(0).shape == (4, 32, 32, 2)
    assert re.search(r"crops of fields.*held out \(of 2 images; .*nuclei found; left out: .*edge", data.describe())
    assert len(data.held_out) > 20

    def cut_again(config, size):
        raise AssertionError("cut again")

    monkeypatch.setattr(prior_data, "load_crops", cut_again)
    again = PriorData(config)
    np.testing.assert_array_equal(again.held_out, data.held_out)
    assert again.describe() == data.describe()
    os.utime(fields / "01_POS002_D.tif", (1, 1))
    with pytest.raises(AssertionError, match="cut again"):
        PriorData(config)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["images={}"], "no images are named"),
        (["images={drawn: 5}"], "need images.stains"),
        (["batch=6", "discriminator.group=4"], "multiple of discriminator.group"),
        (["size=100"], "size"),
        (["size=128", "images.binning=1"], r"generator.base is at least size \(128\)"),
        (["images.shipped=true"], "No shipped image has the stains of cells"),
    ],
)
def test_what_can_not_be_trained_is_told(tmp_path, cache, changes, told):
    with pytest.raises(UserError, match=told):
        prepared(tmp_path / "run", cache, *changes)


@pytest.mark.parametrize("preset", presets("prior"))
def test_presets_are_of_the_published_sizes(preset):
    config = load_config("prior", preset)
    g = config.generator
    expected = {"auto128": (128, 16384, 2), "paper256": (256, 16384, 8)}.get(preset, (128, 4096, 2))
    assert (config.size, g.base, g.mapping_layers) == expected
