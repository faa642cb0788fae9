"""The trainings of CIN-GAN and cGAN: they learn, resume to the bit, and say what they made."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile

from relumen import features
from relumen.metrics import psnr
from relumen.run import RunFolder
from relumen.training import losses, start
from relumen.training.adversary import fine_detail
from relumen.training.cgan import CGAN, RestorerData
from relumen.training.cin_gan import CINGAN, UnpairedData, in_units
from relumen.training.config import load_config
from relumen.training.replicas import Replicas

SMALL = [
    "generator={network: resnet, width: 6, blocks: 2, downsampling: 0, norm: none, dropout: 0.5, activation: linear}",
    "discriminator.widths=[4, 8, 8]",
    "data.patch=32",
    "batch=2",
    "steps=6",
    "log_every=1",
    "check_every=3",
]


class Killed(Exception):
    """As if the power were cut."""


def prepared(folder, system, data, *changes):
    return start.prepare(folder, system=system, preset="compact", data=data, overrides=[*SMALL, *changes])


def trained(run, on_step=lambda step, total, terms: None):
    start.go(run, command="relumen train", machine="the tests' machine", say=lambda text: None, on_step=on_step)
    with run.history_file.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("system", ["cgan", "cin-gan"])
def test_a_killed_training_goes_on_to_the_same_losses_to_the_bit(system, defects_folder, tmp_path):
    changes = ["losses.adversarial=0.1", "losses.critic_steps=2", "losses.penalty=10", "generator.norm=instance"]
    changes += ["losses.form=wasserstein"] if system == "cgan" else ["average=0.9", "draw=true"]
    whole = trained(prepared(tmp_path / "whole", system, defects_folder, *changes))

    def kill(step, total, terms):
        if step == 5:
            raise Killed

    run = prepared(tmp_path / "killed", system, defects_folder, *changes)
    with pytest.raises(Killed):
        trained(run, kill)
    assert trained(run) == whole
    assert all(
        np.array_equal(a, b)
        for a, b in zip(run.network().get_weights(), RunFolder(tmp_path / "whole").network().get_weights(), strict=True)
    )


def test_a_restorer_learns_to_take_noise_away(defects_folder, tmp_path):
    run = prepared(
        tmp_path / "run", "cgan", defects_folder / "noise", "steps=150", "losses.content=0", "check_every=150",
        "generator.dropout=0", "learning_rate.initial=3e-3",
    )  # fmt: skip
    trained(run)
    (figures,) = run.about().figures
    assert figures.condition == "noise"
    assert figures.psnr > figures.bicubic_psnr + 1  # at this scale bicubic interpolation leaves the input as it is
    low, high = (
        tifffile.imread(defects_folder / "noise" / "validation" / kind / "c.tif").astype(np.float32)
        for kind in ("low", "high")
    )
    assert figures.bicubic_psnr == pytest.approx(psnr(high, low), abs=1e-3)


def test_one_restorer_is_judged_on_each_defect(tiny_cgan_run):
    about = RunFolder(tiny_cgan_run).about()
    assert {figures.condition for figures in about.figures} == {"low-resolution", "missing-planes", "noise"}
    with RunFolder(tiny_cgan_run).validation_file.open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    each = [float(row[f"psnr, {name}"]) for name in ("low-resolution", "missing-planes", "noise")]
    assert float(row["psnr"]) == pytest.approx(np.mean(each))
    assert about.scale == 1
    assert about.features.startswith("relumen's own network of microscopy images, block3_conv3; weights")


def cgan(data, *changes):
    config = load_config("cgan", "compact", [*SMALL, "generator.dropout=0", *changes], **{"data.folder": str(data)})
    keras.utils.set_random_seed(0)
    return CGAN(config, RestorerData(config), Replicas(), command="", machine="")


def test_the_restorer_s_loss_is_bce_and_lambda_content(defects_folder):
    made = cgan(defects_folder, "losses={adversarial: 0.1, content: 2, pixel: 0}", "learning_rate.initial=1e-12")
    low, high = made.batch(0)
    network = features.at_layers(features.perceptual("microscopy"), ["block3_conv3"])
    image = made.network(low)
    content = np.square(np.asarray(network(image)) - np.asarray(network(high))).mean()
    judge = made.state["discriminator"]
    logits = np.asarray(judge(np.concatenate([image, low], -1)))  # it sees the defective image beside the candidate
    adversarial = np.log1p(np.exp(-logits)).mean()
    terms = made.train_step(0, (low, high))
    assert set(terms) == {"discriminator", "adversarial", "content"}
    assert float(terms["content"]) == pytest.approx(2 * content, rel=1e-4)
    assert float(terms["adversarial"]) == pytest.approx(0.1 * adversarial, rel=1e-3)


def test_a_discriminator_that_sees_the_candidate_alone_is_a_setting(defects_folder):
    made = cgan(defects_folder, "losses.adversarial=1", "discriminator.conditional=false")
    assert made.state["discriminator"].input_shape[-1] == 1
    assert cgan(defects_folder, "losses.adversarial=1").state["discriminator"].input_shape[-1] == 2


def cin_gan(data, *changes):
    plain = [*SMALL, "generator.dropout=0", "draw=false", "average=0"]
    config = load_config("cin-gan", "compact", [*plain, *changes], **{"data.folder": str(data)})
    keras.utils.set_random_seed(0)
    return CINGAN(config, UnpairedData(config), Replicas(), command="", machine="")


def test_cin_gan_s_losses_compare_with_the_clean_image_and_with_a_real_defect(defects_folder):
    layers = ["content_layers=[block3_conv3]", "style_layers=[block1_conv2, block2_conv1]"]
    weights = "losses={adversarial: 0.5, content: 2, style: 3, brightness: 7, critic_steps: 1}"
    made = cin_gan(defects_folder, *layers, weights, "discriminator.detail=4", "learning_rate.initial=1e-12")
    units, real, clean, defect = (tf.constant(part[:, 1]) for part in made.batch(0))  # the generator's are the last
    image = in_units(made.network([clean, defect]), units)
    network = features.perceptual("microscopy")
    deep, low = (features.at_layers(network, each) for each in (["block3_conv3"], ["block1_conv2", "block2_conv1"]))
    content = losses.content([deep(in_units(clean, units))], [deep(image)])
    style = losses.style(low(real), low(image))
    planes = tf.ones_like(image) * defect[:, None, None, :]
    judged = np.asarray(made.state["discriminator"](tf.concat([image, 4 * fine_detail(image), planes], -1)))
    terms = made.train_step(0, made.batch(0))
    assert float(terms["content"]) == pytest.approx(2 * float(content), rel=1e-3)
    assert float(terms["style"]) == pytest.approx(3 * float(style), rel=1e-3)
    brightness = losses.brightness(in_units(clean, units), image)
    assert float(terms["brightness"]) == pytest.approx(7 * float(brightness), rel=1e-3)
    assert float(terms["adversarial"]) == pytest.approx(-0.5 * judged.mean(), rel=2e-2, abs=1e-4)


def test_the_critic_steps_see_other_images_than_the_generator(defects_folder):
    made = cin_gan(defects_folder, "losses.critic_steps=3", "learning_rate.initial=1e-3")
    before = made.state["discriminator_optimizer"].iterations.numpy()
    clean = made.batch(0)[2]
    assert clean.shape[1] == 4
    assert len({each.tobytes() for each in clean.swapaxes(0, 1)}) == 4
    made.train_step(0, made.batch(0))
    assert made.state["discriminator_optimizer"].iterations.numpy() - before == 3
    assert made.state["optimizer"].iterations.numpy() == 1


def test_a_running_mean_of_the_weights_is_kept(defects_folder):
    made = cin_gan(defects_folder, "average=0.5", "losses.critic_steps=1", "learning_rate.initial=1e-2")
    expected = made.state["generator"].get_weights()
    for step in range(3):
        made.train_step(step, made.batch(step))
        stays = min(0.5, (1 + step) / (10 + step))
        now = made.state["generator"].get_weights()
        expected = [stays * mean + (1 - stays) * weight for mean, weight in zip(expected, now, strict=True)]
    for mean, weight in zip(made.network.get_weights(), expected, strict=True):
        np.testing.assert_allclose(mean, weight, rtol=1e-4, atol=1e-6)
    assert "average" in made.state and "average" not in cin_gan(defects_folder).state


def test_a_clipped_critic_needs_no_penalty(defects_folder):
    made = cin_gan(defects_folder, "losses.penalty=0", "losses.clip=0.02", "learning_rate.initial=1e-1")
    made.train_step(0, made.batch(0))
    assert max(np.abs(w).max() for w in made.state["discriminator"].get_weights()) == pytest.approx(0.02)


def test_cin_gan_tells_its_defects_and_how_far_real_ones_are(tiny_cin_gan_run):
    run = RunFolder(tiny_cin_gan_run)
    about = run.about()
    assert about.defects == ("low-resolution", "missing-planes", "noise")
    assert set(about.measures) == {f"divergence, real {name}" for name in about.defects}
    assert about.tile == run.config()["data"]["patch"]  # instance normalisation takes inputs of one size
    assert about.multiple == 2
    with run.validation_file.open(encoding="utf-8") as file:
        assert {f"divergence, {name}" for name in about.defects} <= set(next(csv.DictReader(file)))
    assert run.network().input_shape == [(None, None, None, 1), (None, 3)]
