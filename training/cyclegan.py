"""CycleGAN: restores one defect, learned from images that are no pairs; a baseline of cGAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.models import limited
from relumen.restore import Restorer
from relumen.run import Figures
from relumen.training import losses
from relumen.training.adversary import Adversary
from relumen.training.cgan import adam, resnet
from relumen.training.data import DataSet
from relumen.training.limited_config import CycleGANConfig
from relumen.training.loop import Batch, computing_in
from relumen.training.one_phase import OnePhase
from relumen.training.replicas import Replicas
from relumen.training.restoration import Restoration
from relumen.training.unpaired import Unpaired, in_units, moments


class CycleGAN(Restoration, OnePhase):
    """CycleGAN as the training loop sees it; what is kept is the network that restores.

    Each step trains two generators, one that restores and one that spoils, then the discriminator of clean images and
    that of defective ones. The network that restores sees an image in units of its own mean and standard deviation, as
    in Fiji; all else is in units of all clean images, as in CIN-GAN. An image that was made has no own units where it
    is a patch: it enters the restoring network in those of all defective images.

    Unlike the paper's, discriminators see the images of their step alone, not those of the last 50, and what a
    generator gives is the mean with its input.

    Reference: Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, ICCV 2017,
    Sec. 3 and 4, and 5.2 for the identity loss.
    """

    def __init__(
        self, config: CycleGANConfig, data: TwoDomains, replicas: Replicas, *, command: str, machine: str
    ) -> None:
        replicas.check_batch(config.batch)
        self._config = config
        self._weights = config.losses
        self._unpaired = data
        self._replicas = replicas
        with replicas.scope(), computing_in(config.precision):
            generator = resnet(config.generator)
            self._spoiling = resnet(config.generator)
            self._optimizers = [_optimizer(config, network) for network in (generator, self._spoiling)]
            self._clean_adversary = _adversary(config, replicas)
            self._defect_adversary = _adversary(config, replicas)
        kept = resnet(config.generator)
        super().__init__(
            "cyclegan",
            config,
            1,
            data.held_out_pairs,
            generator=generator,
            copy=kept,
            kept=kept,
            command=command,
            machine=machine,
            tile=config.data.patch if config.generator.pinned else None,
            multiple=config.generator.multiple,
            batches=data,
        )
        self.schedule = config
        self.compiled = replicas.step(self._train)

    @property
    def optimizers(self) -> Sequence[keras.optimizers.Optimizer]:
        """Those of both generators, and of both discriminators."""
        return [*self._optimizers, self._clean_adversary.optimizer, self._defect_adversary.optimizer]

    @property
    def state(self) -> Mapping[str, Any]:
        """All four networks and their optimisers."""
        restoring, spoiling = self._optimizers
        adversaries = {"clean": self._clean_adversary, "defect": self._defect_adversary}
        return {
            "generator": self._generator,
            "optimizer": restoring,
            "spoiling": self._spoiling,
            "spoiling_optimizer": spoiling,
            **{f"{name}_{part}": kept for name, each in adversaries.items() for part, kept in each.state.items()},
        }

    def _train(
        self, low: tf.Tensor, low_units: tf.Tensor, high: tf.Tensor, high_units: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Defective and clean patches, each in units of its image, and what brings it to those of all clean ones."""
        defective, clean = in_units(low, low_units), in_units(high, high_units)
        with tf.GradientTape(persistent=True) as tape:
            restored = in_units(self._generator(low, training=True), low_units)
            spoiled = self._spoiling(clean, training=True)
            judged = self._clean_adversary.judge(clean, restored), self._defect_adversary.judge(defective, spoiled)
            terms = {"adversarial": self._weights.adversarial * tf.add_n(judged)}
            if self._weights.cycle:
                back = self._spoiling(restored, training=True), self._restored(spoiled)
                terms["cycle"] = self._weights.cycle * (losses.l1(defective, back[0]) + losses.l1(clean, back[1]))
            if self._weights.identity:
                same = in_units(self._generator(high, training=True), high_units)
                terms["identity"] = self._weights.identity * (
                    losses.l1(clean, same) + losses.l1(defective, self._spoiling(defective, training=True))
                )
            loss = tf.add_n(list(terms.values()))
        for optimizer, network in zip(self._optimizers, (self._generator, self._spoiling), strict=True):
            self._replicas.descend(optimizer, tape, loss, network)
        terms["discriminator"] = self._clean_adversary.learn(clean, restored)
        terms["discriminator"] += self._defect_adversary.learn(defective, spoiled)
        return terms

    def _restored(self, spoiled: tf.Tensor) -> tf.Tensor:
        """What is restored of made defective patches, in units of all clean images."""
        deviation, mean = self._unpaired.units_of_defect
        own = (spoiled - mean) / deviation
        return self._generator(own, training=True) * deviation + mean

    def validate(self) -> tuple[Mapping[str, float], NDArray[np.uint8]]:
        """PSNR on held-out pairs, or without partners how much is changed, as PSNR; and a picture."""
        figures, picture = super().validate()
        if self._unpaired.paired:
            return figures, picture
        return {"divergence from the input": figures["psnr"]}, picture

    def _figures(self, restorer: Restorer) -> tuple[Figures, ...]:
        """Quality on whole held-out images; without partners there is none."""
        return super()._figures(restorer) if self._unpaired.paired else ()


class TwoDomains(Unpaired):
    """Defective images and clean ones, and CycleGAN's batches of them.

    Attributes:
        units_of_defect: deviation and mean of a defective image, in the mean, in units of all clean ones.

    Args:
        config: of the training.

    Raises:
        UserError: a folder that can't be used, no clean images, or several defects.
    """

    def __init__(self, config: CycleGANConfig) -> None:
        super().__init__(config)
        if len(self.defects) > 1:
            raise UserError(
                f"CycleGAN restores one defect, and {config.data.folder} has {', '.join(self.defects)}. Say which: "
                f"--defect {self.defects[0]}."
            )
        middle, deviation = moments(self._real[0])
        self.units_of_defect = self._gain_and_offset(0, middle, deviation)

    @property
    def paired(self) -> bool:
        """Whether the held-out images have clean partners."""
        return self.loaded[0].paired

    @property
    def held_out_pairs(self) -> DataSet:
        """The images as a data set, for validation; nothing is trained on as a pair."""
        (defect,) = self.loaded
        training = defect.chosen(self._config.images, self._config.seed)
        return DataSet(self.layout, training, defect.validation, self.pixel_size_um, self._config.data.region)

    def __call__(self, step: int) -> Batch:
        """A pure function of the step.

        Returns:
            Defective patches (batch, y, x, 1) in units of their image; gain and offset (batch, 2) that bring them to
            the units of all clean images; clean patches, and the same of them.
        """
        rng = np.random.default_rng((self._config.seed, 7, step))
        parts: list[NDArray[np.float32]] = []
        for images in (self._real[0], self._clean[0]):
            drawn = [self._patch(images, rng) for _ in range(self._config.batch)]
            patches = [(patch - mean) / deviation for patch, (mean, deviation) in drawn]
            units = [self._gain_and_offset(0, mean, deviation) for _, (mean, deviation) in drawn]
            parts += [np.array(patches, np.float32)[..., np.newaxis], np.array(units, np.float32)]
        return tuple(parts)


def _optimizer(config: CycleGANConfig, network: keras.Model) -> keras.optimizers.Adam:
    optimizer = adam(config.betas)
    optimizer.build(network.trainable_variables)
    return optimizer


def _adversary(config: CycleGANConfig, replicas: Replicas) -> Adversary:
    network = limited.discriminator(config.discriminator.widths)
    return Adversary(network, adam(config.betas), losses.GAN_FORMS["least-squares"], replicas)
