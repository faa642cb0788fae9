"""The project's own feature network: what it learns to tell apart, and whether its distances see what they should."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.data import records
from relumen.degrade import blurred
from relumen.images import Image
from relumen.models import features
from relumen.pictures import side_by_side
from relumen.run import About, software
from relumen.training.config import FeaturesConfig
from relumen.training.features_data import ImageBank, Patches, Seen, stacked
from relumen.training.loop import Batch, computing_in
from relumen.training.replicas import Replicas
from relumen.training.sensitivity import CHANGES, pixels, sensitivity, standardised, with_noise

Float32 = NDArray[np.float32]

_PATCHES = 24  # of each held-out image, for the accuracy
_CROP = 256  # pixels of a held-out image that distances are judged on
_SCALED_ON = 4  # batches over which features have deviation 1
_BATCH, _JUDGE = 2, 3  # purposes that set seeds apart


class Features:
    """Training of the feature network as the loop sees it.

    The task is classification, as for VGG, whose features a perceptual loss uses: which stain of which cells a
    patch shows, or which family of procedural structure. Patches of one kind differ in contrast, brightness, blur,
    noise and orientation, so that only structure tells them apart. A classifier may be blind to what it is trained
    to see through, and a perceptual loss must not be blind to blur and noise; so a second linear head tells, from
    the same features, how much of both was added.

    Others were weighed: telling the turn of an image is void where nothing has an upright; contrastive learning
    needs large batches and would make blur and noise invisible on purpose; an autoencoder's features are as
    blind to fine structure as the squared error that trains them.
    """

    def __init__(
        self, config: FeaturesConfig, bank: ImageBank, replicas: Replicas, *, command: str, machine: str
    ) -> None:
        replicas.check_batch(config.batch)
        self._config = config
        self._bank = bank
        self._command = command
        self._machine = machine
        self._patches = Patches(bank.training, config)
        with replicas.scope(), computing_in(config.precision):
            self._trunk = features.trunk(config.width)
            self._classifier = features.classifier(self._trunk, len(bank.labels))
            self._optimizer = keras.optimizers.Adam(config.learning_rate)
            self._optimizer.build(self._classifier.trainable_variables)
        self._replicas = replicas
        self._step = replicas.step(self._train)

    @property
    def network(self) -> keras.Model:
        """The trunk, each of its features scaled to deviation 1 over training patches.

        So the weight of a perceptual loss means the same for every training of it, and no feature outweighs the
        others by its scale alone. The scale is that of the last conv's weights: there is no further layer.
        """
        network = features.trunk(self._config.width)  # in single precision, whatever it was trained in
        network.set_weights(self._trunk.get_weights())
        seen = np.concatenate([network(self.batch(step)[0], training=False) for step in range(_SCALED_ON)])
        last = network.get_layer(features.LAST)
        scale = 1 / (seen.std((0, 1, 2)) + 1e-6)
        last.set_weights([weights * scale for weights in last.get_weights()])
        network.trainable = False
        return network

    @property
    def total_steps(self) -> int:
        """Steps of the training."""
        return self._config.steps

    @property
    def milestones(self) -> Mapping[int, str]:
        """None: there is one phase."""
        return {}

    @property
    def state(self) -> Mapping[str, Any]:
        """The trunk with its heads, and the optimiser."""
        return {"classifier": self._classifier, "optimizer": self._optimizer}

    @property
    def sample(self) -> Image:
        """The first held-out image."""
        return Image(self._bank.held_out[0].clean.signal, "YX")

    def batch(self, step: int) -> Batch:
        """Patches, labels and degradations of a step."""
        return self._patches.batch([(self._config.seed, _BATCH, step, i) for i in range(self._config.batch)])

    def train_step(self, step: int, batch: Batch) -> Mapping[str, tf.Tensor]:
        """One step of both heads."""
        share = 0.5 * (1 + math.cos(math.pi * step / self.total_steps))
        self._optimizer.learning_rate = share * self._config.learning_rate
        return self._step(*(tf.constant(part) for part in batch))

    def validate(self) -> tuple[Mapping[str, float], NDArray[np.uint8]]:
        """How well held-out patches are told apart, and a picture of where the distances lie."""
        accuracies, (blur, noise) = self._judge()
        figures = {"accuracy": float(np.mean(list(accuracies.values()))), "blur error": blur, "noise error": noise}
        return figures, self._picture()

    def about(self, *, steps: int, seconds: float, finished: bool) -> About:
        """What the run folder says; the network is judged at the end."""
        config = self._config
        low, high = config.photons
        return About(
            system="features",
            scale=1,
            channels=1,
            halo=None,
            data=self._bank.describe(),
            degradation=(
                f"Gaussian blur (sigma 0 to {config.blur:g} px), Poisson noise of {low:g} to {high:g} photons at the "
                f"brightest, read-out noise of {config.read_noise:g} electrons"
            ),
            command=self._command,
            machine=self._machine,
            software=software(),
            seconds=seconds,
            steps=steps,
            finished=finished,
            measures=self._measures() if finished else {},
        )

    def _train(self, patches: tf.Tensor, labels: tf.Tensor, degradations: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            answer = self._classifier(patches, training=True)
            label = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), answer["label"])
            )
            degradation = tf.reduce_mean(tf.square(degradations - answer["degradation"]))
            loss = label + self._config.degradation * degradation
        self._replicas.descend(self._optimizer, tape, loss, self._classifier)
        return {"label": label, "degradation": degradation}

    @cached_property
    def _held_out(self) -> list[tuple[Seen, tuple[Float32, Float32, Float32]]]:
        """Each held-out image with patches of it, the same at every validation."""
        patches = Patches(self._bank.held_out, self._config)
        seeds = [[(self._config.seed, _JUDGE, i, k) for k in range(_PATCHES)] for i in range(len(self._bank.held_out))]
        return [
            (image, stacked([patches.of(image, np.random.default_rng(seed)) for seed in seeds[i]]))
            for i, image in enumerate(self._bank.held_out)
        ]

    def _judge(self) -> tuple[dict[str, float], tuple[float, float]]:
        """Accuracy by label, and the mean absolute errors of the second head for blur and noise."""
        right: dict[str, list[float]] = {}
        errors = []
        for image, (patches, labels, degradations) in self._held_out:
            answer = self._classifier(patches, training=False)
            errors.append(np.abs(answer["degradation"] - degradations).mean(0))
            if image.label is not None:
                hits = np.argmax(answer["label"], 1) == labels
                right.setdefault(self._bank.labels[image.label], []).append(float(hits.mean()))
        blur, noise = np.mean(errors, 0)
        return {label: float(np.mean(hits)) for label, hits in right.items()}, (float(blur), float(noise))

    def _measures(self) -> dict[str, float]:
        """What the card tells, named as "column: row" of its tables.

        Accuracies; and distances to a changed image as multiples of that to the image shifted by a pixel, their means
        over the shipped images that were held out.
        """
        accuracies, (blur, noise) = self._judge()
        network = self.network
        judged = [sensitivity(lambda x: np.asarray(network(x)), each.clean) for each in self._shipped]
        by_pixels = [sensitivity(pixels, each.clean) for each in self._shipped]
        measures = {f"accuracy: {label}": value for label, value in accuracies.items()}
        measures |= {"mean error: log2 of the blur": blur, "mean error: log2 of the noise": noise}
        for name, rows in (("features", judged), ("pixels", by_pixels)):
            relative = np.mean([np.array([*row.blur, *row.noise]) / row.shift for row in rows], 0)
            measures |= {f"distance of {name}: {change}": float(d) for change, d in zip(CHANGES, relative, strict=True)}
        measures["images: all that were judged"] = len(judged)
        measures["images: distance of features grows with blur and noise"] = sum(row.grows for row in judged)
        return measures

    @property
    def _shipped(self) -> list[Seen]:
        """A part with structure of each shipped image that was held out."""
        return [
            replace(each, clean=replace(each.clean, signal=_busiest(each.clean.signal)))
            for each in self._bank.held_out
            if each.name in records()
        ]

    def _picture(self) -> NDArray[np.uint8]:
        """A held-out image shifted, blurred, noisy and as it is; below, where the features of each differ from it."""
        image = self._shipped[0].clean
        rng = np.random.default_rng((self._config.seed, _JUDGE))
        changed = [np.roll(image.signal, 1, (0, 1)), blurred(image.signal, 1.5), with_noise(image, 100, rng)]
        network = self.network
        seen, *others = (np.asarray(network(standardised(each, image))) for each in (image.signal, *changed))
        maps = [np.kron(np.abs(other - seen).mean((0, 3)), np.ones((features.STRIDE,) * 2)) for other in others]
        return side_by_side([[*changed, image.signal], maps])


def _busiest(signal: Float32) -> Float32:
    """The crop of an image with the greatest deviation."""
    y, x = (max(1, n - _CROP + 1) for n in signal.shape)
    crops = (signal[i : i + _CROP, j : j + _CROP] for i in range(0, y, _CROP // 2) for j in range(0, x, _CROP // 2))
    return max(crops, key=lambda crop: float(crop.std()))
