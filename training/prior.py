"""StyleGAN2-ADA: one step of generator, discriminator and augmentation, and what is said of the trained prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.features import embedded, perceptual
from relumen.images import Image
from relumen.metrics import KernelDistance, kernel_distance
from relumen.models.stylegan2 import Architecture, Generator, widths
from relumen.models.stylegan2_discriminator import Discriminator
from relumen.pictures import grid
from relumen.run import About, RunFolder, software
from relumen.training import losses
from relumen.training.augment import adjusted, augmented
from relumen.training.loop import Batch, computing_in
from relumen.training.prior_config import PriorConfig
from relumen.training.prior_data import PriorData, mean_and_deviation, signed
from relumen.training.prior_transfer import begin_as
from relumen.training.replicas import Replicas, mean_over_replicas

_SHOWN = 48  # images of a snapshot
_COLUMNS = 8
_AVERAGED = 10_000  # style vectors of which w_avg is the mean
_DECAY = 0.01  # of the mean path length (StyleGAN2, Appendix B)
_LATENTS, _SECOND, _CUTOFF, _NOISE, _PATH, _FAKE, _REAL = range(0, 700, 100)  # what a step's random numbers are for


class Prior:
    """StyleGAN2-ADA as the training loop sees it; what is kept is the average of the generator.

    Every step trains the generator, then the discriminator. Regularisation comes at every so many steps, with its
    gradient multiplied by their number, and Adam's rates are those of an optimiser that takes it for a part of the
    step (lazy regularisation; StyleGAN2, Sec. 3.1 and Appendix B).

    References:
        Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020.
        Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020.

    Args:
        config: how it is trained.
        data: on what.
        replicas: the devices.
        command: that the user typed, for the card.
        machine: the device in words, for the card.
        say: told what was taken over from another prior.
        earlier: what is known of the training as of its last checkpoint, from which it goes on; None: it begins.

    Raises:
        UserError: the devices can't share a batch, or the training can't begin as the prior that it names.

    Attributes:
        architecture: of the generator.
    """

    def __init__(
        self,
        config: PriorConfig,
        data: PriorData,
        replicas: Replicas,
        *,
        command: str,
        machine: str,
        say: Callable[[str], None] = lambda text: None,
        earlier: About | None = None,
    ) -> None:
        replicas.check_batch(config.batch, group=config.discriminator.group, least=config.regularisation.path_share)
        self._config = config
        self._data = data
        self._replicas = replicas
        self._command = command
        self._machine = machine
        d, reg = config.discriminator, config.regularisation
        self.architecture = architecture_of(config, len(data.stains))
        with replicas.scope():
            with computing_in(config.precision):
                self._generator = Generator(self.architecture)
                self._discriminator = Discriminator(widths(config.size, d.base, d.most), len(data.stains), d.group)
            self._kept = Generator(self.architecture)
            self._kept.set_weights(self._generator.get_weights())
            self._optimizer = _adam(config.learning_rate, reg.path_every if reg.path_length else None)
            self._discriminator_optimizer = _adam(config.learning_rate, reg.r1_every if config.r1_weight else None)
            self._optimizer.build(self._generator.trainable_variables)
            self._discriminator_optimizer.build(self._discriminator.trainable_variables)
            self._mean_length = tf.Variable(tf.constant(0.0), trainable=False)
            self._strength = tf.Variable(tf.constant(0.0), trainable=False)  # of the augmentation: p
            self._signs = tf.Variable(tf.constant(0.0), trainable=False)  # of D(real), summed since p was adjusted
        self._images_told, self._stages = data.describe(), ()
        if earlier is not None:
            self._images_told, self._stages = earlier.data, earlier.stages
        elif config.init is not None:
            origin = RunFolder(config.init)
            told = begin_as(
                origin,
                generators=[self._generator, self._kept],
                discriminator=self._discriminator,
                stains=data.stains,
                noise_from=config.noise_from,
            )
            say(told)
            self._images_told += f"; {told}"
            self._stages = origin.about().all_stages
        self._generator_step = replicas.step(self._train_generator)
        self._path_step = replicas.step(self._regularise_generator)
        self._discriminator_step = replicas.step(self._train_discriminator)
        self._r1_step = replicas.step(self._regularise_discriminator)
        self._average = tf.function(self._follow, autograph=False)

    @property
    def network(self) -> keras.Model:
        """The average of the generator, with the mean of its style vectors."""
        z = np.random.default_rng((self._config.seed, 13)).standard_normal((_AVERAGED, self.architecture.z_dim))
        w = [self._kept.mapping(tf.constant(z[i : i + 1000], tf.float32)) for i in range(0, len(z), 1000)]
        self._kept.w_avg.assign(np.concatenate(w).mean(0))
        return self._kept

    @property
    def total_steps(self) -> int:
        """Steps in which so many images are shown."""
        return max(1, round(self._config.kimg * 1000 / self._config.batch))

    @property
    def milestones(self) -> Mapping[int, str]:
        """None: there is one phase."""
        return {}

    @property
    def state(self) -> Mapping[str, Any]:
        """All networks, optimisers, and what the regularisation and the augmentation remember."""
        return {
            "generator": self._generator,
            "discriminator": self._discriminator,
            "kept": self._kept,
            "optimizer": self._optimizer,
            "discriminator_optimizer": self._discriminator_optimizer,
            "mean_length": self._mean_length,
            "strength": self._strength,
            "signs": self._signs,
        }

    @property
    def sample(self) -> Image:
        """The first held-out image."""
        return Image(np.moveaxis(self._data.held_out[0], -1, 0), "CYX")

    def batch(self, step: int) -> Batch:
        """Real images, and a seed for each."""
        seeds = np.random.default_rng((self._config.seed, 12, step)).integers(0, 2**30, (self._config.batch, 2))
        return self._data.batch(step), seeds.astype(np.int32)

    def train_step(self, step: int, batch: Batch) -> Mapping[str, tf.Tensor]:
        """One step of both networks, what regularisation is due, the average and the augmentation."""
        reg, ada = self._config.regularisation, self._config.ada
        images, seeds = (tf.constant(part) for part in batch)
        terms = dict(self._generator_step(seeds))
        if reg.path_length and step % reg.path_every == 0:
            told = dict(self._path_step(seeds[:: reg.path_share]))
            self._mean_length.assign(told.pop("mean length"))
            terms |= told
        told = dict(self._discriminator_step(images, seeds))
        self._signs.assign_add(told["sign of real"])
        terms |= told
        if self._config.r1_weight and step % reg.r1_every == 0:
            terms |= self._r1_step(images, seeds)
        self._average(tf.constant(self._decay(step)))
        if ada.target is not None and (step + 1) % ada.every == 0:
            self._adjust(ada.target)
        return terms | {"augmentation": tf.identity(self._strength)}

    def validate(self) -> tuple[Mapping[str, float], NDArray[np.uint8]]:
        """The kernel distance to held-out images, and a picture of samples."""
        distance = self._distance()
        figures = {"kernel distance": distance.value, "low": distance.low, "high": distance.high}
        return figures, grid(self._made(_SHOWN, purpose=14), _COLUMNS)

    def about(self, *, steps: int, seconds: float, finished: bool) -> About:
        """What the run folder says."""
        return About(
            system="prior",
            scale=1,
            channels=len(self._data.stains),
            stains=self._data.stains,
            halo=None,
            tile=self._config.size,
            data=self._images_told,
            stages=self._stages,
            features="relumen's own network of microscopy images, for the kernel distance alone",
            degradation=None,
            command=self._command,
            machine=self._machine,
            software=software(),
            seconds=seconds,
            steps=steps,
            finished=finished,
            measures=self._measures() if finished else {},
        )

    def _train_generator(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Non-saturating logistic loss: -E log D(G(z)) (Goodfellow et al. 2014)."""
        seed, batch = seeds[0], tf.shape(seeds)[0]
        with tf.GradientTape() as tape:
            images = self._images(self._styles(seed, batch), seed)
            adversarial = losses.non_saturating(self._judged(images, seed + _FAKE))
        self._replicas.descend(self._optimizer, tape, adversarial, self._generator)
        return {"generator": adversarial}

    def _regularise_generator(self, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Path length: E (|J^T y| - a)^2, a the moving mean of the lengths (StyleGAN2, Eq. 4)."""
        reg = self._config.regularisation
        seed, batch = seeds[0] + _PATH, tf.shape(seeds)[0]
        with tf.GradientTape() as tape:
            lengths = losses.path_lengths(
                lambda styles: self._images(styles, seed),
                self._styles(seed, batch),
                lambda shape: tf.random.stateless_normal(shape, seed + 1),
            )
            now = mean_over_replicas(tf.reduce_mean(lengths))
            mean = self._mean_length + _DECAY * (tf.stop_gradient(now) - self._mean_length)
            penalty = tf.reduce_mean(tf.square(lengths - mean))
            loss = reg.path_length * reg.path_every * penalty
        self._replicas.descend(self._optimizer, tape, loss, self._generator)
        return {"path length": penalty, "mean length": mean}

    def _train_discriminator(self, images: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Logistic loss: -E log D(x) - E log(1 - D(G(z))), both through the augmentation."""
        seed = seeds[0] + 1
        fake = tf.stop_gradient(self._images(self._styles(seed, tf.shape(seeds)[0]), seed))
        with tf.GradientTape() as tape:
            real = self._judged(images, seed + _REAL)
            loss = losses.real_or_fake(real, self._judged(fake, seed + _FAKE))
        self._replicas.descend(self._discriminator_optimizer, tape, loss, self._discriminator)
        return {"discriminator": loss, "sign of real": tf.reduce_mean(tf.sign(real))}

    def _regularise_discriminator(self, images: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """R1: gamma / 2 times the squared gradient at real images."""
        reg = self._config.regularisation
        with tf.GradientTape() as tape:
            penalty = losses.r1_penalty(lambda real: self._judged(real, seeds[0] + _REAL + 1), images)
            loss = self._config.r1_weight / 2 * reg.r1_every * penalty
        self._replicas.descend(self._discriminator_optimizer, tape, loss, self._discriminator)
        return {"R1": penalty}

    def _styles(self, seed: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
        """Styles (batch, L, w_dim) of random codes, some of two codes from some layer on (style mixing)."""
        a = self.architecture
        first, second = (
            self._generator.mapping(tf.random.stateless_normal(tf.stack([batch, a.z_dim]), seed + offset))
            for offset in (_LATENTS, _SECOND)
        )
        draws = tf.random.stateless_uniform(tf.stack([batch, 2]), seed + _CUTOFF)
        cutoff = tf.where(draws[:, :1] < self._config.mixing, 1 + draws[:, 1:] * (a.style_inputs - 1), a.style_inputs)
        of_second = tf.cast(tf.range(a.style_inputs), tf.float32) >= tf.floor(cutoff)
        return tf.where(of_second[:, :, tf.newaxis], second[:, tf.newaxis], first[:, tf.newaxis])

    def _images(self, styles: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The generator's images, with noise of the seed; where there is none, the strength of the noise stays 0."""
        batch = tf.shape(styles)[0]
        noise = [
            tf.random.stateless_normal(tf.stack([batch, size, size, 1]), seed + _NOISE + i)
            if size >= self._config.noise_from
            else tf.zeros((1, size, size, 1))
            for i, size in enumerate(self.architecture.noise_sizes)
        ]
        return self._generator.synthesis(styles, noise=noise)

    def _judged(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """What the discriminator says of images that it sees through the augmentation."""
        ada = self._config.ada
        if ada.target is not None:
            images = augmented(images, self._strength, seed, geometric=ada.geometric, intensity=ada.intensity)
        return self._discriminator(images, training=True)

    def _decay(self, step: int) -> float:
        """What the average keeps of itself at a step."""
        config = self._config
        half_life = config.ema_kimg * 1000
        if config.ema_rampup is not None:
            half_life = min(half_life, max(1e-8, step * config.batch * config.ema_rampup))
        return 0.5 ** (config.batch / half_life)

    def _follow(self, decay: tf.Tensor) -> None:
        for kept, new in zip(self._kept.trainable_variables, self._generator.trainable_variables, strict=True):
            kept.assign(new + decay * (kept - new))

    def _adjust(self, target: float) -> None:
        ada = self._config.ada
        sign = float(self._signs) / ada.every
        images = ada.every * self._config.batch
        self._strength.assign(adjusted(float(self._strength), sign, target=target, images=images, kimg=ada.kimg))
        self._signs.assign(0.0)

    def _made(self, count: int, *, purpose: int) -> NDArray[np.float32]:
        """Images (count, size, size, channels) of the average, 0..1, the same codes each time."""
        z = np.random.default_rng((self._config.seed, purpose)).standard_normal((count, self.architecture.z_dim))
        made = [self._show(tf.constant(z[i : i + 25], tf.float32)) for i in range(0, count, 25)]
        return np.clip((np.concatenate(made) + 1) / 2, 0, 1).astype(np.float32)

    @cached_property
    def _show(self) -> Callable[[tf.Tensor], tf.Tensor]:
        return tf.function(lambda z: self._kept(z), autograph=False, reduce_retracing=True)

    def _measures(self) -> dict[str, float]:
        """What the card tells, named as "column: row" of its table."""
        count = -(-self._config.judged_on // self._config.batch)
        real = np.concatenate([self._data.batch(step) for step in range(count)])[: self._config.judged_on]
        rows = {"made images": self._distance(), "training images": self._distance_of(real)}
        columns = ("value", "low", "high")
        return {f"{column}: {row}": getattr(told, column) for row, told in rows.items() for column in columns}

    def _distance(self) -> KernelDistance:
        """Of images of the average to held-out ones, as features that no prior has trained."""
        return self._distance_of(2 * self._made(self._config.judged_on, purpose=15) - 1)

    def _distance_of(self, images: NDArray[np.float32]) -> KernelDistance:
        return kernel_distance(self._seen, embedded(self._features, images, self._units))

    @cached_property
    def _features(self) -> keras.Model:
        return perceptual("microscopy")

    @cached_property
    def _units(self) -> Any:  # noqa: ANN401
        return mean_and_deviation(self._data.held_out)

    @cached_property
    def _seen(self) -> NDArray[np.float32]:
        return embedded(self._features, signed(self._data.held_out), self._units)


def architecture_of(config: PriorConfig, channels: int) -> Architecture:
    """What the generator is made of, of images of so many channels."""
    g = config.generator
    return Architecture(widths(config.size, g.base, g.most), channels, g.z_dim, g.w_dim, g.mapping_layers)


def _adam(rate: float, every: int | None) -> keras.optimizers.Adam:
    """Adam for a network whose regularisation comes every so many steps; None: it has none."""
    share = 1.0 if every is None else every / (every + 1)
    return keras.optimizers.Adam(rate * share, beta_1=0.0, beta_2=0.99**share, epsilon=1e-8)
