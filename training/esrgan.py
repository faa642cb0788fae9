"""ESRGAN: its two phases, one step of each, and what it says of the trained network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from relumen import features
from relumen.models import esrgan
from relumen.run import PIXEL_ONLY
from relumen.training import losses
from relumen.training.adversary import Adversary
from relumen.training.config import ESRGANConfig, Phase
from relumen.training.data import DataSet
from relumen.training.loop import Batch, computing_in
from relumen.training.replicas import Replicas
from relumen.training.restoration import Restoration


class ESRGAN(Restoration):
    """ESRGAN as the training loop sees it (Wang et al. 2018; Chatton, Sec. 2-3).

    Phase 1 trains the generator on the pixel loss. Phase 2 goes on from its weights with the perceptual, texture
    and adversarial losses, as far as they are weighted; its optimisers start anew.
    """

    def __init__(self, config: ESRGANConfig, data: DataSet, replicas: Replicas, *, command: str, machine: str) -> None:
        replicas.check_batch(config.batch)
        g = config.generator
        with replicas.scope(), computing_in(config.precision):
            generator = esrgan.generator(g.blocks, g.width, g.growth, config.scale)
            self._phases = [
                _Phase(config, phase, generator, replicas) for phase in (config.phase_1, config.phase_2) if phase
            ]
        kept = esrgan.generator(g.blocks, g.width, g.growth, config.scale)
        super().__init__(
            "esrgan",
            config,
            config.scale,
            data,
            generator=generator,
            copy=kept,
            kept=kept,
            command=command,
            machine=machine,
        )
        weighted = any(phase.config.losses.wants_features for phase in self._phases)
        self.features = features.describe(config.features, config.own_weights) if weighted else None
        self._lengths = [phase.config.length(self.steps_per_epoch) for phase in self._phases]

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
        return {"generator": self._generator, **parts}

    def train_step(self, step: int, batch: Batch) -> Mapping[str, tf.Tensor]:
        """One step of the phase that the step belongs to."""
        number, within = (0, step) if step < self._lengths[0] else (1, step - self._lengths[0])
        phase = self._phases[number]
        phase.set_rate(phase.config.rate(within, self.steps_per_epoch))
        return phase.step(*(tf.constant(part) for part in batch))


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
            features.perceptual(config.features, config.own_weights) if phase.losses.wants_features else None
        )
        self._optimizer = _adam()
        self._optimizer.build(generator.trainable_variables)
        self._adversary = None
        if phase.losses.adversarial > 0:
            size = config.data.patch * config.scale
            discriminator = esrgan.discriminator(size, config.discriminator.width, config.discriminator.dense)
            self._adversary = Adversary(discriminator, _adam(), losses.GAN_FORMS["relativistic-average"], replicas)
        self._replicas = replicas
        self.step = replicas.step(self._step)

    @property
    def state(self) -> Mapping[str, Any]:
        """What a checkpoint must hold beside the generator."""
        return {"optimizer": self._optimizer, **(self._adversary.state if self._adversary else {})}

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate of the next step."""
        self._optimizer.learning_rate = rate
        if self._adversary is not None:
            self._adversary.optimizer.learning_rate = rate

    def _step(self, low: tf.Tensor, high: tf.Tensor) -> dict[str, tf.Tensor]:
        """The generator's step, then the discriminator's on the same images (ESRGAN, Sec. 3.2-3.3)."""
        with tf.GradientTape() as tape:
            fake = self._generator(low, training=True)
            terms = self._generator_terms(high, fake)
            loss = tf.add_n([getattr(self._weights, name) * value for name, value in terms.items()])
        self._replicas.descend(self._optimizer, tape, loss, self._generator)
        if self._adversary is not None:
            terms["discriminator"] = self._adversary.learn(high, fake)
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
        if self._adversary is not None:
            terms["adversarial"] = self._adversary.judge(high, fake)
        return terms


def _adam() -> keras.optimizers.Adam:
    """Adam as in Chatton, Sec. 3.1, with AMSGrad as in the author's scripts."""
    return keras.optimizers.Adam(1e-4, beta_1=0.9, beta_2=0.99, amsgrad=True)
