"""ESRGAN: its two phases, one step of each, and what it says of the trained network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen import features
from relumen.errors import CheckFailedError
from relumen.halo import measure_halo
from relumen.images import Image, PixelSize
from relumen.metrics import psnr, ssim
from relumen.models import esrgan
from relumen.pictures import side_by_side
from relumen.restore import Restorer, python_tile, restore_plane
from relumen.run import About, Figures
from relumen.training import losses
from relumen.training.config import ESRGANConfig, Phase
from relumen.training.data import Batches, DataSet, Degradable, Pair, Source
from relumen.training.loop import Batch, software
from relumen.upsampling import bicubic

Float32 = NDArray[np.float32]
_VALIDATION_PATCH = 192  # of an image, input pixels, while training; the final figures are over whole images
_VALIDATION_IMAGES = 4


class ESRGAN:
    """ESRGAN as the training loop sees it (Wang et al. 2018; Chatton, Sec. 2-3).

    Phase 1 trains the generator on the pixel loss. Phase 2 goes on from its weights with the relativistic
    average discriminator and, where weighted, the perceptual loss; both optimisers start anew.
    """

    def __init__(self, config: ESRGANConfig, data: DataSet, *, command: str, machine: str) -> None:
        self._config = config
        self._data = data
        self._command = command
        self._machine = machine
        self._batches = Batches(
            data.training,
            config.data,
            scale=config.scale,
            batch=config.batch,
            augment=config.augment,
            seed=config.seed,
        )
        g = config.generator
        self.generator = esrgan.generator(g.blocks, g.width, g.growth, config.scale)
        self._optimizer = _adam(self.generator)
        self._adversary = None if config.phase_2 is None else _Adversary(config, config.phase_2, self.generator)
        self._phase_1_steps = self._length(config.phase_1)
        self._pixel_step = tf.function(self._phase_1_step, autograph=False)
        self._predict = tf.function(lambda x: self.generator(x, training=False), autograph=False, reduce_retracing=True)
        self._conditions = [
            (source, name, low, mean, deviation)
            for i, source in enumerate(data.validation)
            for name, low, mean, deviation in _inputs(source, (config.seed, 3, i))
        ]

    @property
    def network(self) -> keras.Model:
        """The generator."""
        return self.generator

    @property
    def total_steps(self) -> int:
        """Steps of both phases."""
        second = self._config.phase_2
        return self._phase_1_steps + (self._length(second) if second else 0)

    @property
    def state(self) -> Mapping[str, Any]:
        """Both networks, and the optimisers of both phases."""
        first = {"generator": self.generator, "optimizer": self._optimizer}
        return first if self._adversary is None else {**first, **self._adversary.state}

    @property
    def sample(self) -> Image:
        """The first held-out image, at its middle noise where it was degraded."""
        first = self._conditions[0][0]
        lows = [low for source, _, low, _, _ in self._conditions if source is first]
        size = self._data.pixel_size_um
        return Image(lows[len(lows) // 2], "YX", None if size is None else PixelSize(size, size))

    def batch(self, step: int) -> Batch:
        """Inputs and targets of a step."""
        return self._batches(step)

    def train_step(self, step: int, batch: Batch) -> Mapping[str, tf.Tensor]:
        """One step of the phase that the step belongs to."""
        low, high = (tf.constant(part) for part in batch)
        second = self._config.phase_2
        if step < self._phase_1_steps or second is None or self._adversary is None:
            return self._pixel_step(low, high, tf.constant(self._rate(self._config.phase_1, step)))
        rate = self._rate(second, step - self._phase_1_steps)
        return self._adversary.step(low, high, tf.constant(rate))

    def _phase_1_step(self, low: tf.Tensor, high: tf.Tensor, rate: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            pixel = losses.pixel_l1(high, self.generator(low, training=True))
            loss = self._config.phase_1.losses.pixel * pixel
        _apply(self._optimizer, tape, loss, self.generator, rate)
        return {"pixel": pixel}

    def validate(self) -> tuple[Mapping[str, float], NDArray[np.uint8]]:
        """PSNR on the middle of some held-out images, and a picture of input, output and target."""
        s, values, rows = self._config.scale, [], []
        for source, _, low, mean, deviation in self._conditions[:_VALIDATION_IMAGES]:
            y, x = (max(0, (n - _VALIDATION_PATCH) // 2) for n in low.shape)
            part = low[y : y + _VALIDATION_PATCH, x : x + _VALIDATION_PATCH]
            height, width = part.shape
            target = source.high[s * y : s * (y + height), s * x : s * (x + width)]
            inputs = ((part - mean) / deviation)[np.newaxis, ..., np.newaxis].astype(np.float32)
            output = self._predict(inputs).numpy()[0, ..., 0] * deviation + mean
            values.append(psnr(target, output))
            rows.append((np.kron(part, np.ones((s, s))), output, target))
        return {"psnr": float(np.mean(values))}, side_by_side(rows)

    def about(self, *, steps: int, seconds: float, finished: bool) -> About:
        """What the run folder says; the figures on whole held-out images are made at the end."""
        _, _, low, mean, deviation = self._conditions[0]
        sample = ((low - mean) / deviation)[..., np.newaxis].astype(np.float32)
        try:
            halo = measure_halo(self._run, sample, scale=self._config.scale)
        except CheckFailedError:  # early in a training a network may be anything
            halo = None
        degradation = self._config.data.degradation
        return About(
            system="esrgan",
            scale=self._config.scale,
            channels=1,
            halo=halo,
            pixel_size_um=self._data.pixel_size_um,
            data=self._data.describe(),
            degradation=degradation.describe() if degradation else None,
            command=self._command,
            machine=self._machine,
            software=software(),
            seconds=seconds,
            steps=steps,
            finished=finished,
            figures=tuple(self._figures(halo)) if finished and halo is not None else (),
        )

    def _figures(self, halo: int) -> list[Figures]:
        scale = self._config.scale
        restorer = Restorer("the network", self._run, scale, 1, python_tile(halo), any_size=True, halo=halo)
        rows = []
        for source, condition, low, _, _ in self._conditions:
            output = restore_plane(low[..., np.newaxis], restorer)[..., 0]
            plain = bicubic(low, scale)
            rows.append(
                Figures(
                    image=source.name,
                    condition=condition,
                    psnr=psnr(source.high, output),
                    ssim=ssim(source.high, output),
                    bicubic_psnr=psnr(source.high, plain),
                    bicubic_ssim=ssim(source.high, plain),
                )
            )
        return rows

    def _run(self, batch: Float32) -> Float32:
        return self._predict(batch).numpy()

    def _length(self, phase: Phase) -> int:
        return phase.steps or math.ceil((phase.epochs or 0) * self._batches.steps_per_epoch)

    def _rate(self, phase: Phase, step: int) -> float:
        rate = phase.learning_rate
        if rate.schedule == "halve":
            return max(rate.floor, rate.initial * 0.5 ** (step // self._batches.steps_per_epoch))
        share = step / max(1, self._length(phase) - 1)
        return rate.floor + (rate.initial - rate.floor) * 0.5 * (1 + math.cos(math.pi * share))


class _Adversary:
    """Phase 2: the discriminator, the feature network, and the step in which they train the generator."""

    def __init__(self, config: ESRGANConfig, phase: Phase, generator: keras.Model) -> None:
        self._weights = phase.losses
        self._generator = generator
        size = config.data.patch * config.scale
        self._discriminator = esrgan.discriminator(size, config.discriminator.width, config.discriminator.dense)
        self._features = features.vgg19(config.features_weights) if phase.losses.perceptual > 0 else None
        self._optimizers = _adam(generator), _adam(self._discriminator)
        self.step = tf.function(self._step, autograph=False)

    @property
    def state(self) -> Mapping[str, Any]:
        """What a checkpoint must hold beside the generator."""
        generator_optimizer, discriminator_optimizer = self._optimizers
        return {
            "discriminator": self._discriminator,
            "generator_optimizer": generator_optimizer,
            "discriminator_optimizer": discriminator_optimizer,
        }

    def _step(self, low: tf.Tensor, high: tf.Tensor, rate: tf.Tensor) -> dict[str, tf.Tensor]:
        """The generator's step, then the discriminator's on the same images (ESRGAN, Sec. 3.2-3.3)."""
        terms: dict[str, tf.Tensor] = {}
        with tf.GradientTape() as tape:
            fake = self._generator(low, training=True)
            terms["pixel"] = losses.pixel_l1(high, fake)
            loss = self._weights.pixel * terms["pixel"]
            if self._features is not None:
                terms["perceptual"] = losses.perceptual_l1(self._features, high, fake)
                loss += self._weights.perceptual * terms["perceptual"]
            judged_fake = self._discriminator(fake, training=True)
            judged_real = self._discriminator(high, training=True)
            terms["adversarial"] = losses.relativistic_average(judged_fake, judged_real)
            loss += self._weights.adversarial * terms["adversarial"]
        _apply(self._optimizers[0], tape, loss, self._generator, rate)
        with tf.GradientTape() as tape:
            judged_real = self._discriminator(high, training=True)
            judged_fake = self._discriminator(tf.stop_gradient(fake), training=True)
            terms["discriminator"] = losses.relativistic_average(judged_real, judged_fake)
        _apply(self._optimizers[1], tape, terms["discriminator"], self._discriminator, rate)
        return terms


def _adam(network: keras.Model) -> keras.optimizers.Adam:
    """Adam as in Chatton, Sec. 3.1, with AMSGrad as in the author's scripts."""
    optimizer = keras.optimizers.Adam(1e-4, beta_1=0.9, beta_2=0.99, amsgrad=True)
    optimizer.build(network.trainable_variables)
    return optimizer


def _apply(
    optimizer: keras.optimizers.Optimizer,
    tape: tf.GradientTape,
    loss: tf.Tensor,
    network: keras.Model,
    rate: tf.Tensor,
) -> None:
    optimizer.learning_rate = rate
    optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)


def _inputs(source: Source, seed: tuple[int, ...]) -> list[tuple[str, Float32, float, float]]:
    """The inputs of a held-out image, as (condition, low, mean, deviation): one, or three levels of noise."""
    if isinstance(source, Pair):
        inputs = [("as given", source.low)]
    else:
        inputs = [
            (f"{photons:.0f} photons", _degraded(source, photons, (*seed, k)))
            for k, photons in enumerate(np.geomspace(*source.degradation.photons, 3)[::-1])
        ]
    return [(name, low, float(low.mean()), float(low.std()) + 1e-6) for name, low in inputs]


def _degraded(source: Degradable, photons: float, seed: tuple[int, ...]) -> Float32:
    return source.clean.noisy(photons, source.degradation.read_noise, np.random.default_rng(seed))
