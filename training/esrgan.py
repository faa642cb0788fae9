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
from relumen.errors import CheckFailedError, UserError
from relumen.halo import measure_halo
from relumen.images import Image, PixelSize
from relumen.metrics import psnr
from relumen.models import esrgan
from relumen.pictures import side_by_side
from relumen.restore import Restorer, python_tile
from relumen.run import PIXEL_ONLY, About, Figures
from relumen.training import losses
from relumen.training.config import ESRGANConfig, Phase
from relumen.training.data import Batches, DataSet
from relumen.training.held_out import held_out, held_out_figures, units
from relumen.training.loop import Batch, computing_in, software
from relumen.training.replicas import Replicas

Float32 = NDArray[np.float32]
_VALIDATION_PATCH = 192  # of an image, input pixels, while training; the final figures are over whole images
_VALIDATION_IMAGES = 4  # at most, spread over all


class ESRGAN:
    """ESRGAN as the training loop sees it (Wang et al. 2018; Chatton, Sec. 2-3).

    Phase 1 trains the generator on the pixel loss. Phase 2 goes on from its weights with the perceptual, texture
    and adversarial losses, as far as they are weighted; its optimisers start anew.
    """

    def __init__(self, config: ESRGANConfig, data: DataSet, replicas: Replicas, *, command: str, machine: str) -> None:
        self._config = config
        self._data = data
        if config.batch % replicas.count:
            raise UserError(f"A batch of {config.batch} can't be shared evenly by {replicas.count} devices: set batch.")
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
        with replicas.scope(), computing_in(config.precision):
            self.generator = esrgan.generator(g.blocks, g.width, g.growth, config.scale)
            self._phases = [
                _Phase(config, phase, self.generator, replicas) for phase in (config.phase_1, config.phase_2) if phase
            ]
        # What is kept computes in 32 bits on one device, however the training does.
        self._kept = esrgan.generator(g.blocks, g.width, g.growth, config.scale)
        weighted = any(phase.config.losses.wants_features for phase in self._phases)
        self._features = features.describe(config.features, config.features_weights) if weighted else None
        self._lengths = [self._length(phase.config) for phase in self._phases]
        self._predict = tf.function(lambda x: self._kept(x, training=False), autograph=False, reduce_retracing=True)
        self._held_out = list(held_out(data.validation, config.seed))

    @property
    def network(self) -> keras.Model:
        """The generator as of now, in single precision."""
        self._kept.set_weights(self.generator.get_weights())
        return self._kept

    @property
    def total_steps(self) -> int:
        """Steps of both phases."""
        return sum(self._lengths)

    @property
    def milestones(self) -> Mapping[int, str]:
        """The end of phase 1, whose generator is kept as "pixel" (ESRGAN, Sec. 3.4, interpolates from it)."""
        return {self._lengths[0]: PIXEL_ONLY} if len(self._phases) > 1 else {}

    @property
    def state(self) -> Mapping[str, Any]:
        """All networks, and the optimisers of both phases."""
        parts = {
            f"phase_{i}_{name}": part for i, phase in enumerate(self._phases, 1) for name, part in phase.state.items()
        }
        return {"generator": self.generator, **parts}

    @property
    def sample(self) -> Image:
        """The first held-out image, at its middle noise where it was degraded."""
        first = self._held_out[0][0]
        lows = [low for source, _, low, _ in self._held_out if source is first]
        size = self._data.pixel_size_um
        return Image(lows[len(lows) // 2], "YX", None if size is None else PixelSize(size, size))

    def batch(self, step: int) -> Batch:
        """Inputs and targets of a step."""
        return self._batches(step)

    def train_step(self, step: int, batch: Batch) -> Mapping[str, tf.Tensor]:
        """One step of the phase that the step belongs to."""
        number, within = (0, step) if step < self._lengths[0] else (1, step - self._lengths[0])
        phase = self._phases[number]
        phase.set_rate(self._rate(phase.config, within))
        return phase.step(*(tf.constant(part) for part in batch))

    def validate(self) -> tuple[Mapping[str, float], NDArray[np.uint8]]:
        """PSNR on the middle of some held-out images, and a picture of input, output and target."""
        network, s = self.network, self._config.scale
        values, rows = [], []
        for source, _, low, high in self._held_out[:: -(-len(self._held_out) // _VALIDATION_IMAGES)]:
            y, x = (max(0, (n - _VALIDATION_PATCH) // 2) for n in low.shape)
            part = low[y : y + _VALIDATION_PATCH, x : x + _VALIDATION_PATCH]
            height, width = part.shape
            target = high[s * y : s * (y + height), s * x : s * (x + width)]
            mean, deviation = units(source, low)
            inputs = ((part - mean) / (deviation + 1e-6))[np.newaxis, ..., np.newaxis]
            output = network(inputs, training=False).numpy()[0, ..., 0] * deviation + mean
            values.append(psnr(target, output))
            rows.append((np.kron(part, np.ones((s, s))), output, target))
        return {"psnr": float(np.mean(values))}, side_by_side(rows)

    def about(self, *, steps: int, seconds: float, finished: bool) -> About:
        """What the run folder says; the figures on whole held-out images are made at the end."""
        source, _, low, _ = self._held_out[0]
        mean, deviation = units(source, low)
        sample = ((low - mean) / (deviation + 1e-6))[..., np.newaxis]
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
            features=self._features,
            figures=self._figures(halo) if finished and halo is not None else (),
        )

    def _figures(self, halo: int) -> tuple[Figures, ...]:
        scale, tile = self._config.scale, python_tile(halo)
        restorer = Restorer("the network", self._run, scale, 1, tile, any_size=True, halo=halo)
        return held_out_figures(self._data.validation, restorer, self._config.seed)

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


class _Phase:
    """One phase: its losses, the discriminator where they want one, and the step that trains both networks.

    Args:
        config: of the whole training.
        phase: of this phase.
        generator: what is trained.
        replicas: the devices that share a batch.
    """

    def __init__(self, config: ESRGANConfig, phase: Phase, generator: keras.Model, replicas: Replicas) -> None:
        self.config = phase
        self._weights = phase.losses
        self._distance = losses.DISTANCES[phase.losses.distance]
        self._generator = generator
        self._features = (
            features.perceptual(config.features, config.features_weights) if phase.losses.wants_features else None
        )
        self._optimizer = _adam(generator)
        self._discriminator = self._discriminator_optimizer = None
        if phase.losses.adversarial > 0:
            size = config.data.patch * config.scale
            self._discriminator = esrgan.discriminator(size, config.discriminator.width, config.discriminator.dense)
            self._discriminator_optimizer = _adam(self._discriminator)
        self._replicas = replicas
        self.step = replicas.step(self._step)

    @property
    def state(self) -> Mapping[str, Any]:
        """What a checkpoint must hold beside the generator."""
        parts = {
            "optimizer": self._optimizer,
            "discriminator": self._discriminator,
            "discriminator_optimizer": self._discriminator_optimizer,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate of the next step."""
        for optimizer in filter(None, (self._optimizer, self._discriminator_optimizer)):
            optimizer.learning_rate = rate

    def _step(self, low: tf.Tensor, high: tf.Tensor) -> dict[str, tf.Tensor]:
        """The generator's step, then the discriminator's on the same images (ESRGAN, Sec. 3.2-3.3)."""
        with tf.GradientTape() as tape:
            fake = self._generator(low, training=True)
            terms = self._generator_terms(high, fake)
            loss = tf.add_n([getattr(self._weights, name) * value for name, value in terms.items()])
        self._replicas.descend(self._optimizer, tape, loss, self._generator)
        if self._discriminator is not None and self._discriminator_optimizer is not None:
            with tf.GradientTape() as tape:
                judged_real = self._discriminator(high, training=True)
                judged_fake = self._discriminator(tf.stop_gradient(fake), training=True)
                terms["discriminator"] = losses.relativistic_average(judged_real, judged_fake)
            self._replicas.descend(self._discriminator_optimizer, tape, terms["discriminator"], self._discriminator)
        return terms

    def _generator_terms(self, high: tf.Tensor, fake: tf.Tensor) -> dict[str, tf.Tensor]:
        """The terms of the generator's loss, by the names of their weights."""
        terms = {"pixel": self._distance(high, fake)}
        if self._features is not None:
            seen_high, seen_fake = self._features(high, training=False), self._features(fake, training=False)
            if self._weights.perceptual > 0:
                terms["perceptual"] = self._distance(seen_high, seen_fake)
            if self._weights.texture > 0:
                terms["texture"] = self._distance(losses.gram(seen_high), losses.gram(seen_fake))
        if self._discriminator is not None:
            judged_fake = self._discriminator(fake, training=True)
            judged_real = self._discriminator(high, training=True)
            terms["adversarial"] = losses.relativistic_average(judged_fake, judged_real)
        return terms


def _adam(network: keras.Model) -> keras.optimizers.Adam:
    """Adam as in Chatton, Sec. 3.1, with AMSGrad as in the author's scripts."""
    optimizer = keras.optimizers.Adam(1e-4, beta_1=0.9, beta_2=0.99, amsgrad=True)
    optimizer.build(network.trainable_variables)
    return optimizer
