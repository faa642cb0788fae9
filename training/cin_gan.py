"""CIN-GAN: one generator that makes several defects of clean images, from unpaired examples of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen import features
from relumen.divergence import MADE
from relumen.errors import CheckFailedError
from relumen.halo import measure_halo
from relumen.images import Image, PixelSize
from relumen.metrics import psnr
from relumen.normalisation import EPS
from relumen.pictures import side_by_side
from relumen.run import About, software
from relumen.training import losses
from relumen.training.adversary import Adversary
from relumen.training.cgan import adam, adversary, resnet
from relumen.training.data import spread
from relumen.training.limited_config import CINGANConfig
from relumen.training.loop import Batch, computing_in
from relumen.training.one_phase import Duel
from relumen.training.replicas import Replicas
from relumen.training.unpaired import Unpaired, in_units

Float32 = NDArray[np.float32]
_VALIDATION_IMAGES = 8  # of each defect, at most
_SHOWN = 2  # of them in a picture


class CINGAN(Duel[Adversary]):
    """CIN-GAN as the training loop sees it (Razdaibiedina et al., Method, 1).

    The network sees a clean image in units of its own mean and standard deviation, as in Fiji. What it makes is
    compared with real defective images in units of all clean ones, so that a defect that darkens stays one.
    """

    def __init__(
        self, config: CINGANConfig, data: UnpairedData, replicas: Replicas, *, command: str, machine: str
    ) -> None:
        replicas.check_batch(config.batch)
        self._config = config
        self._weights = config.losses
        self._data = data
        self._replicas = replicas
        self._command = command
        self._machine = machine
        count = len(data.defects)
        with replicas.scope(), computing_in(config.precision):
            self._generator = resnet(config.generator, defects=count, draw=config.draw)
            self._optimizer = adam(config.betas)
            self._optimizer.build(self._generator.trainable_variables)
            self._adversary = adversary(config.discriminator, config.losses, config.betas, replicas, kinds=count)
            network = features.perceptual(config.features, config.own_weights)
            layers = (*config.content_layers, *config.style_layers)
            self._features = features.at_layers(network, layers)
        self._kept = resnet(config.generator, defects=count, draw=config.draw)
        self._kept.set_weights(self._generator.get_weights())
        self._predict = tf.function(
            lambda *inputs: self._kept(list(inputs), training=False), autograph=False, reduce_retracing=True
        )
        self.schedule = config
        self.compiled = replicas.step(self._train)
        self._words = features.describe(config.features, config.own_weights, layers)

    @property
    def network(self) -> Any:  # noqa: ANN401
        """The generator as of now, in single precision: an image and a defect -> the image with it."""
        self._keep()
        return self._kept

    @property
    def steps_per_epoch(self) -> int:
        """Steps that show the generator as many patches as fit into the clean images."""
        return self._data.steps_per_epoch

    @property
    def state(self) -> Mapping[str, Any]:
        """Both networks and their optimisers, and what is kept where that is a running mean."""
        average = {"average": self._kept} if self._config.average else {}
        return {**super().state, **average}

    @property
    def sample(self) -> Image:
        """A clean image."""
        size = self._data.pixel_size_um
        return Image(self._data.held_out[0].clean, "YX", None if size is None else PixelSize(size, size))

    def batch(self, step: int) -> Batch:
        """What the generator takes and what it is compared with, for each step of the critic and one of its own."""
        return self._data.batch(step)

    def train_step(self, step: int, batch: Batch) -> Mapping[str, tf.Tensor]:
        """Several steps of the critic, each on other images, then one of the generator."""
        terms = super().train_step(step, batch)
        if self._config.average:
            self._follow(step)
        return terms

    def _train(self, units: tf.Tensor, real: tf.Tensor, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """All have a second axis: which step of the critic they are for, the last one being the generator's."""
        patches, defect, *_ = inputs
        terms: dict[str, tf.Tensor] = {}
        steps = self._weights.critic_steps
        for i in range(steps):
            made = in_units(self._generator([each[:, i] for each in inputs], training=True), units[:, i])
            planes = self._beside(defect[:, i], real[:, i])
            terms["critic"] = self._adversary.learn(real[:, i], made, planes)
        index, unit, example = defect[:, steps], units[:, steps], real[:, steps]
        clean = in_units(patches[:, steps], unit)
        deep = len(self._config.content_layers)
        truth = tf.nest.flatten(self._features(clean))[:deep]
        wanted = tf.nest.flatten(self._features(example))[deep:]
        with tf.GradientTape() as tape:
            made = in_units(self._generator([each[:, steps] for each in inputs], training=True), unit)
            seen = tf.nest.flatten(self._features(made))
            judged = self._adversary.judge(example, made, self._beside(index, made))
            terms["adversarial"] = self._weights.adversarial * judged
            terms["content"] = self._weights.content * losses.content(truth, seen[:deep])
            terms["style"] = self._weights.style * losses.style(wanted, seen[deep:])
            if self._weights.brightness:
                terms["brightness"] = self._weights.brightness * losses.brightness(clean, made)
            loss = tf.add_n([value for name, value in terms.items() if name != "critic"])
        self._replicas.descend(self._optimizer, tape, loss, self._generator)
        return terms

    def _beside(self, defect: tf.Tensor, image: tf.Tensor) -> tf.Tensor | None:
        """The defect as planes of 0 and 1, as large as the image."""
        if not self._config.discriminator.conditional:
            return None
        return tf.ones_like(image) * defect[:, tf.newaxis, tf.newaxis, :]

    def validate(self) -> tuple[Mapping[str, float], NDArray[np.uint8]]:
        """PSNR between clean images and the defects made of them (Fig. 7), and a picture of clean, made and real."""
        self._keep()
        figures: dict[str, list[float]] = {}
        rows = []
        for index, name in enumerate(self._data.defects):
            images = [each for each in self._data.held_out if each.defect == name]
            for number, each in enumerate(spread(images, _VALIDATION_IMAGES)):
                made = self._made(each.clean, index)
                figures.setdefault(MADE + name, []).append(psnr(each.clean, made))
                if number < _SHOWN:
                    rows.append((each.clean, made, each.real))
        return {name: float(np.mean(values)) for name, values in figures.items()}, side_by_side(rows)

    def about(self, *, steps: int, seconds: float, finished: bool) -> About:
        """What the run folder says; the divergence of real defects is what Fig. 7 shows dashed."""
        self._keep()
        config = self._config
        return About(
            system="cin-gan",
            scale=1,
            channels=1,
            halo=0 if config.generator.pinned else self._halo(),
            tile=config.data.patch if config.generator.pinned else None,
            draws=config.draw,
            multiple=config.generator.multiple,
            defects=self._data.defects,
            pixel_size_um=self._data.pixel_size_um,
            data=self._data.describe(),
            command=self._command,
            machine=self._machine,
            software=software(),
            seconds=seconds,
            steps=steps,
            finished=finished,
            features=self._words,
            measures=self._data.divergences(),
        )

    def _keep(self) -> None:
        """What is kept is the generator, where it is no running mean of it already."""
        if not self._config.average:
            self._kept.set_weights(self._generator.get_weights())

    def _follow(self, step: int) -> None:
        """The running mean after a step; at first it is short, since the weights go far (Karras et al. 2018)."""
        stays = min(self._config.average, (1 + step) / (10 + step))
        for mean, weight in zip(self._kept.weights, self._generator.weights, strict=True):
            mean.assign(stays * mean + (1 - stays) * weight)

    def _halo(self) -> int | None:
        """The largest of all defects, of the image alone: random numbers are 0. None: no halo is enough."""
        clean = self._data.held_out[0].clean
        sample = ((clean - clean.mean()) / (clean.std() + EPS))[..., np.newaxis]
        multiple = self._config.generator.multiple
        try:
            return max(
                measure_halo(lambda x, i=i: self._run(x, i, np.zeros_like(x)), sample, scale=1, multiple=multiple)
                for i in range(len(self._data.defects))
            )
        except CheckFailedError:
            return None

    def _made(self, clean: Float32, index: int) -> Float32:
        mean, deviation = float(clean.mean()), float(clean.std()) + EPS
        image = ((clean - mean) / deviation).astype(np.float32)[np.newaxis, ..., np.newaxis]
        drawn = np.random.default_rng(0).normal(size=image.shape).astype(np.float32)
        return self._run(image, index, drawn)[0, ..., 0] * deviation + mean

    def _run(self, batch: Float32, index: int, drawn: Float32) -> Float32:
        one_hot = np.zeros((len(batch), len(self._data.defects)), np.float32)
        one_hot[:, index] = 1
        inputs = (batch, one_hot, drawn) if self._config.draw else (batch, one_hot)
        return self._predict(*(tf.constant(each) for each in inputs)).numpy()


class UnpairedData(Unpaired):
    """Clean images and images of each defect, and CIN-GAN's batches of them.

    Args:
        config: of the training.

    Raises:
        UserError: a folder that can't be used, or no clean images.
    """

    def __init__(self, config: CINGANConfig) -> None:
        super().__init__(config)
        self._examples = config.losses.critic_steps + 1
        self._draw = config.draw

    def batch(self, step: int) -> Batch:
        """A pure function of the step.

        Returns:
            Gain and offset (batch, critic steps + 1, 2) that bring a clean patch to the units of all clean images; real
            defective patches (batch, critic steps + 1, y, x, 1) in these units; and what the generator takes: the clean
            patches in units of their image, their defects, one-hot, and random numbers where it wants them.
        """
        config = self._config
        rng = np.random.default_rng((config.seed, 6, step))
        count = self._examples
        indices = rng.integers(len(self.defects), size=(config.batch, count))
        clean, units, real = [], [], []
        for index in indices.ravel():
            middle, spread = self._units[index]
            image, (mean, deviation) = self._patch(self._clean[index], rng)
            clean.append((image - mean) / deviation)
            units.append(self._gain_and_offset(int(index), mean, deviation))
            real.append((self._patch(self._real[index], rng)[0] - middle) / spread)
        shape = (config.batch, count, config.data.patch, config.data.patch, 1)
        drawn = (rng.normal(size=shape).astype(np.float32),) if self._draw else ()
        return (
            np.array(units, np.float32).reshape(*shape[:2], 2),
            np.array(real, np.float32).reshape(shape),
            np.array(clean, np.float32).reshape(shape),
            np.eye(len(self.defects), dtype=np.float32)[indices],
            *drawn,
        )
