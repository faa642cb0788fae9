"""The cascaded refinement GAN: its losses, its alternating step, and what it says of the trained network."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from relumen.models import cascade
from relumen.models.baselines import lapsrn
from relumen.models.layers import DiffractionPatternFilters
from relumen.models.optics import Optics
from relumen.training import losses
from relumen.training.adversary import Adversary
from relumen.training.config import CascadeConfig, LapSRNConfig
from relumen.training.data import DataSet
from relumen.training.loop import computing_in
from relumen.training.one_phase import Duel
from relumen.training.replicas import Replicas
from relumen.training.restoration import Restoration


class Cascade(Restoration, Duel[Adversary | None]):
    """The cascaded refinement GAN as the training loop sees it (Han and Yin, Sec. 4).

    One step of the discriminator, then one of the generator, on the same images. Content only, adversarial only, a
    single image as input, and LapSRN are settings of it.
    """

    def __init__(self, config: CascadeConfig, data: DataSet, replicas: Replicas, *, command: str, machine: str) -> None:
        replicas.check_batch(config.batch)
        self._config = config
        self._weights = config.losses
        self._replicas = replicas
        optics = config.optics_at(data.pixel_size_um)
        with replicas.scope(), computing_in(config.precision):
            generator = _generator(config, optics)
            self._optimizer = _adam()
            self._optimizer.build(generator.trainable_variables)
            self._adversary = None
            if config.losses.adversarial:
                d = cascade.discriminator(config.discriminator.widths, config.discriminator.patches)
                self._adversary = Adversary(d, _adam(), losses.GAN_FORMS[config.losses.form], replicas)
        self._content = Content(config, optics)
        copy = _generator(config, optics)
        pinned = not isinstance(config.generator, LapSRNConfig) and config.generator.norm == "paper"
        super().__init__(
            "cascade",
            config,
            config.scale,
            data,
            generator=generator,
            copy=copy,
            kept=cascade.last_level(copy),
            command=command,
            machine=machine,
            tile=config.data.patch if pinned else None,
        )
        self.schedule = config
        self.compiled = replicas.step(self._train)

    def _train(self, low: tf.Tensor, high: tf.Tensor) -> dict[str, tf.Tensor]:
        """Both losses are told as they are weighted, since alpha = 1 alone says nothing of what each one does."""
        terms = {}
        with tf.GradientTape() as tape:
            # Keras gives a single image, that of 2x, without its list.
            images = tf.nest.flatten(self._generator(low, training=True))
            if self._adversary is not None:
                terms["discriminator"] = self._adversary.learn(high, images[-1])
                terms["adversarial"] = self._weights.adversarial * self._adversary.judge(high, images[-1])
            if self._weights.alpha:
                terms["content"] = self._weights.alpha * self._content(high, images)
            loss = tf.add_n([terms[name] for name in ("adversarial", "content") if name in terms])
        self._replicas.descend(self._optimizer, tape, loss, self._generator)
        return terms


class Content:
    """L_con: how far the images of all levels are from the truth at their size (Han and Yin, Eq. 4).

    Convolution is linear, so the difference is convolved, and all filters of a level cost one convolution.

    Args:
        config: of the training.
        optics: of the filters.
    """

    def __init__(self, config: CascadeConfig, optics: Optics) -> None:
        self._losses = config.losses
        self._distance = losses.DISTANCES[config.losses.distance]
        degradation = config.data.degradation
        self._reduction = degradation.reduction if degradation else "area"
        levels = [2**i for i in range(1, config.scale.bit_length())]
        self._filters = (
            [DiffractionPatternFilters(optics, level) for level in levels] if config.losses.filtered else None
        )

    def __call__(self, high: tf.Tensor, images: Sequence[tf.Tensor]) -> tf.Tensor:
        """The sum over levels of the mean over a batch; over pixels and filters it is a mean or a sum.

        Args:
            high: the truth (batch, y, x, 1).
            images: of each level, coarse to fine, the last as large as the truth.
        """
        total = tf.constant(0.0)
        for i, image in enumerate(images):
            difference = self._reduced(high, 2 ** (len(images) - 1 - i)) - image
            if self._filters is not None:
                difference = self._filters[i](difference)
            level = self._distance(difference, tf.zeros_like(difference))
            if self._losses.reduction == "sum":
                level *= tf.cast(tf.size(difference) / tf.shape(difference)[0], level.dtype)
            total += level
        return total

    def _reduced(self, high: tf.Tensor, factor: int) -> tf.Tensor:
        """The truth at a level, made smaller in the way of the inputs."""
        if factor == 1:
            return high
        if self._reduction == "bicubic":
            return tf.image.resize(high, tf.shape(high)[1:3] // factor, "bicubic", antialias=True)
        return tf.nn.avg_pool2d(high, factor, factor, "VALID")


def _generator(config: CascadeConfig, optics: Optics) -> keras.Model:
    g = config.generator
    if isinstance(g, LapSRNConfig):
        return lapsrn.generator(config.scale, width=g.width, depth=g.depth)
    return cascade.generator(
        config.scale,
        widths=g.widths,
        multiplier=g.multiplier,
        stem=g.stem,
        convs=g.convs,
        norm=g.norm,
        enrichment=g.enrichment,
        optics=optics,
        keep_image=g.keep_image,
        skip=g.skip,
    )


def _adam() -> keras.optimizers.Adam:
    """Han and Yin, Sec. 4.3: momentum 0.9; what they don't name is Keras's default."""
    return keras.optimizers.Adam(1e-4, beta_1=0.9)
