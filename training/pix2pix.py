"""Pix2Pix: a high-resolution image of an enlarged one, learned from pairs; its losses, and the step of its training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.configs import validated
from relumen.degrade import ForwardOperator, forward_operator
from relumen.errors import UserError
from relumen.images import Image
from relumen.metrics import psnr
from relumen.models import limited
from relumen.models.baselines import pix2pix
from relumen.pictures import grid
from relumen.run import About, RunFolder, software
from relumen.training import losses
from relumen.training.adversary import Adversary
from relumen.training.cgan import adam
from relumen.training.data import spread
from relumen.training.loop import Batch, computing_in
from relumen.training.one_phase import Duel
from relumen.training.pix2pix_config import Pix2PixConfig
from relumen.training.prior_data import PriorData
from relumen.training.replicas import Replicas
from relumen.upsampling import enlarged

Float32 = NDArray[np.float32]
_VALIDATED = 64  # held-out images at most that are looked at while training, spread over all
_SHOWN = 8  # of them
_COLUMNS = 6  # two held-out images a row, each as input, output and truth
_TOGETHER = 16  # images that are restored at once


class Pix2Pix(Duel[Adversary | None]):
    """Pix2Pix as the training loop sees it; each step trains the discriminator, then the generator.

    The input is the image through the search's forward operator, enlarged again by cubic convolution. The
    discriminator sees it beside the image that it judges, and normalises each feature over its image: as published for
    batches of one. The paper halves the discriminator's loss, a factor that Adam takes no notice of.

    Reference: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017, Sec. 3 and
    Appendix 6.

    Args:
        config: how it is trained.
        data: on what.
        replicas: the devices.
        command: that the user typed, for the card.
        machine: the device in words, for the card.

    Raises:
        UserError: the devices can't share a batch evenly.
    """

    def __init__(
        self, config: Pix2PixConfig, data: PriorData, replicas: Replicas, *, command: str, machine: str
    ) -> None:
        replicas.check_batch(config.batch)
        self._config = config
        self._data = data
        self._replicas = replicas
        self._command = command
        self._machine = machine
        self._reduce = operator_of(config)
        self._adversary = None
        channels = len(data.stains)
        with replicas.scope(), computing_in(config.precision):
            self._generator = pix2pix.generator(config.size, channels, **config.generator.model_dump())
            self._optimizer = adam(config.betas)
            self._optimizer.build(self._generator.trainable_variables)
            if config.losses.adversarial:
                judge = limited.discriminator(config.discriminator.widths, channels=2 * channels)
                form = losses.GAN_FORMS["non-saturating"]
                self._adversary = Adversary(judge, adam(config.betas), form, replicas)
        self._kept = pix2pix.generator(config.size, channels, **config.generator.model_dump())
        self._predict = tf.function(lambda x: self._kept(x, training=False), autograph=False, reduce_retracing=True)
        self.schedule = config
        self.compiled = replicas.step(self._train)

    @property
    def network(self) -> keras.Model:
        """The generator as of now, in single precision."""
        self._kept.set_weights(self._generator.get_weights())
        return self._kept

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which as many images are shown as there are."""
        return math.ceil(sum(len(source.training) for source in self._data.sources) / self._config.batch)

    @property
    def sample(self) -> Image:
        """The first held-out input, at its low resolution."""
        low = self._reduce(self._data.held_out[0].astype(np.float32))
        return Image(np.ascontiguousarray(np.moveaxis(low, -1, 0)), "CYX")

    def batch(self, step: int) -> Batch:
        """Inputs and images of a step, -1..1."""
        images = self._data.batch(step)
        return enlarged(self._reduce(images), self._config.size), images

    def validate(self) -> tuple[Mapping[str, float], NDArray[np.uint8]]:
        """PSNR and L1 on held-out images, and a picture of inputs, outputs and images."""
        there = self._data.held_out
        truth, output, plain = self._answers(there[spread(range(len(there)), _VALIDATED)])
        told = _quality(truth, output)
        figures = {"psnr": told["PSNR"], "bicubic psnr": _quality(truth, plain)["PSNR"], "l1": told["L1"]}
        shown = np.stack([plain, output, truth], 1)[:_SHOWN].reshape(-1, *truth.shape[1:])
        return figures, grid(shown, _COLUMNS)

    def about(self, *, steps: int, seconds: float, finished: bool) -> About:
        """What the run folder says; the figures on all held-out images are made at the end."""
        return About(
            system="pix2pix",
            scale=1,
            channels=len(self._data.stains),
            stains=self._data.stains,
            halo=None,
            tile=self._config.size,
            data=self._data.describe(),
            degradation=f"{self._reduce.description}, enlarged by cubic convolution",
            command=self._command,
            machine=self._machine,
            software=software(),
            seconds=seconds,
            steps=steps,
            finished=finished,
            measures=self._measures() if finished else {},
        )

    def _train(self, low: tf.Tensor, high: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_cGAN + lambda L_L1 (Isola et al., Eq. 4), the generator's part of L_cGAN non-saturating (Sec. 3.3)."""
        weights, terms = self._config.losses, {}
        with tf.GradientTape() as tape:
            image = self._generator(low, training=True)
            loss = weights.pixel * losses.l1(high, image)
            terms["pixel"] = loss
            if self._adversary is not None:
                terms["discriminator"] = self._adversary.learn(high, image, low)
                terms["adversarial"] = weights.adversarial * self._adversary.judge(high, image, low)
                loss += terms["adversarial"]
        self._replicas.descend(self._optimizer, tape, loss, self._generator)
        return terms

    def _answers(self, images: NDArray[np.uint8]) -> tuple[Float32, Float32, Float32]:
        """Images, what the network makes of their inputs, and these inputs, all 0..1 but for cubic overshoot."""
        truth = (images / 255).astype(np.float32)
        plain = enlarged(self._reduce(truth), self._config.size)
        network = self.network
        return truth, _unsigned(lambda x: network(x, training=False), plain), plain

    def _measures(self) -> dict[str, float]:
        """What is known of the network, named as "column: row" of a table."""
        truth, output, plain = self._answers(self._data.held_out)
        rows = {"Pix2Pix": _quality(truth, output), "bicubic": _quality(truth, plain)}
        return {f"{column}: {row}": value for row, told in rows.items() for column, value in told.items()}


def operator_of(config: Pix2PixConfig) -> ForwardOperator:
    """D, by which the inputs of a training are made: the search's own at its defaults."""
    return forward_operator(config.size, config.factor)


def restored(run: RunFolder, low: NDArray[Any]) -> Float32:
    """What a trained Pix2Pix makes of low-resolution images: a function of each, whatever lies beside it.

    Args:
        run: of ``relumen train pix2pix``.
        low: (n, m, m, channels), 0..1, m the run's size over its factor, channels as the run's stains, made by
            :func:`operator_of` or seen through a like operator.

    Returns:
        (n, size, size, channels), 0..1.

    Raises:
        UserError: it is no such run, has no network yet, or the images are of another shape.
    """
    about = run.about()
    if about.system != "pix2pix":
        raise UserError(f"{run.path} is no Pix2Pix: it was trained by relumen train {about.system}.")
    config = validated(Pix2PixConfig, run.config())
    side = config.size // config.factor
    if low.ndim != 4 or low.shape[1:] != (side, side, about.channels):
        raise UserError(
            f"{run.path} takes images of {side} x {side} pixels with {about.channels} channels "
            f"({', '.join(about.stains)}), (n, {side}, {side}, {about.channels}), and magnifies them "
            f"{config.factor}x. Received: {low.shape}. Train one for another factor with --set factor."
        )
    network = run.network()
    predict = tf.function(lambda x: network(x, training=False), autograph=False, reduce_retracing=True)
    return _unsigned(predict, enlarged(low, config.size))


def _unsigned(predict: Any, plain: Float32) -> Float32:  # noqa: ANN401  tf.function's own
    """What a network of images between -1 and 1 makes of those between 0 and 1, some at once."""
    made = [predict(tf.constant(2 * plain[i : i + _TOGETHER] - 1)) for i in range(0, len(plain), _TOGETHER)]
    return ((np.concatenate(made) + 1) / 2).astype(np.float32) if made else np.empty_like(plain)


def _quality(truth: Float32, images: Float32) -> dict[str, float]:
    """Means over images, 0..1: PSNR in dB, of a range of 1 over all channels, and the absolute error."""
    clipped = np.clip(images, 0, 1)
    decibels = [psnr(a, b, span=1.0) for a, b in zip(truth, clipped, strict=True)]
    return {"PSNR": float(np.mean(decibels)), "L1": float(np.abs(truth - clipped).mean())}
