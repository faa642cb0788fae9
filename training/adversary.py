"""A discriminator in training: the adversarial step, which exists once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from relumen.training.losses import GANForm, blurred, gradient_penalty
from relumen.training.replicas import Replicas

_BLUR = 2.0  # pixels: what is finer is fine detail


class Adversary:
    """The discriminator, its optimiser, and both sides of the adversarial loss.

    Args:
        discriminator: images -> logits.
        optimizer: of its weights.
        form: of the loss.
        replicas: the devices that share a batch.
        penalty: weight of the gradient penalty.
        detail: gain of the fine detail that the discriminator sees as one more channel, of images of one; 0: none.
    """

    def __init__(
        self,
        discriminator: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        form: GANForm,
        replicas: Replicas,
        *,
        penalty: float = 0.0,
        detail: float = 0.0,
    ) -> None:
        self._discriminator = discriminator
        self.optimizer = optimizer
        optimizer.build(discriminator.trainable_variables)
        self._form = form
        self._replicas = replicas
        self._penalty = penalty
        self._detail = detail

    @property
    def state(self) -> Mapping[str, Any]:
        """What a checkpoint must hold."""
        return {"discriminator": self._discriminator, "discriminator_optimizer": self.optimizer}

    def judge(self, real: tf.Tensor, fake: tf.Tensor, beside: tf.Tensor | None = None) -> tf.Tensor:
        """The generator's adversarial loss on its images, beside the real ones.

        Args:
            real: images.
            fake: the generator's.
            beside: more channels that a conditional discriminator sees, whichever image it judges.
        """
        judged_fake = self._logits(self._seen(fake), beside)
        return self._form.generator(self._logits(self._seen(real), beside), judged_fake)

    def learn(self, real: tf.Tensor, fake: tf.Tensor, beside: tf.Tensor | None = None) -> tf.Tensor:
        """One step of the discriminator; gives its loss before. Arguments as of :meth:`judge`."""
        real, fake = self._seen(real), self._seen(tf.stop_gradient(fake))
        with tf.GradientTape() as tape:
            loss = self._form.discriminator(self._logits(real, beside), self._logits(fake, beside))
            if self._penalty:
                # Drawn by the number of the step, so that a training which was interrupted draws the same.
                iterations: Any = self.optimizer.iterations
                shape = tf.stack([tf.shape(real)[0], 1, 1, 1])
                share = tf.random.stateless_uniform(shape, tf.stack([0, tf.cast(iterations.value, tf.int32)]))
                loss += self._penalty * gradient_penalty(lambda image: self._logits(image, beside), real, fake, share)
        self._replicas.descend(self.optimizer, tape, loss, self._discriminator)
        return loss

    def _seen(self, image: tf.Tensor) -> tf.Tensor:
        """The image, and its fine detail amplified: a distance between images counts it for as much more."""
        return tf.concat([image, self._detail * fine_detail(image)], -1) if self._detail else image

    def _logits(self, image: tf.Tensor, beside: tf.Tensor | None) -> tf.Tensor:
        return self._discriminator(image if beside is None else tf.concat([image, beside], -1), training=True)


def fine_detail(image: tf.Tensor) -> tf.Tensor:
    """What a Gaussian blur of two pixels' standard deviation takes from images (batch, y, x, 1), mirrored onward."""
    return image - blurred(image, _BLUR)
