"""A discriminator in training: the adversarial step, which exists once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from relumen.training.losses import GANForm
from relumen.training.replicas import Replicas


class Adversary:
    """The discriminator, its optimiser, and both sides of the adversarial loss.

    Args:
        discriminator: images -> logits.
        optimizer: of its weights.
        form: of the loss.
        replicas: the devices that share a batch.
    """

    def __init__(
        self, discriminator: keras.Model, optimizer: keras.optimizers.Optimizer, form: GANForm, replicas: Replicas
    ) -> None:
        self._discriminator = discriminator
        self.optimizer = optimizer
        optimizer.build(discriminator.trainable_variables)
        self._form = form
        self._replicas = replicas

    @property
    def state(self) -> Mapping[str, Any]:
        """What a checkpoint must hold."""
        return {"discriminator": self._discriminator, "discriminator_optimizer": self.optimizer}

    def judge(self, real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
        """The generator's adversarial loss on its images, beside the real ones."""
        judged_fake = self._discriminator(fake, training=True)
        return self._form.generator(self._discriminator(real, training=True), judged_fake)

    def learn(self, real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
        """One step of the discriminator; gives its loss before."""
        with tf.GradientTape() as tape:
            judged_real = self._discriminator(real, training=True)
            judged_fake = self._discriminator(tf.stop_gradient(fake), training=True)
            loss = self._form.discriminator(judged_real, judged_fake)
        self._replicas.descend(self.optimizer, tape, loss, self._discriminator)
        return loss
