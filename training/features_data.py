"""What the feature network is trained on: shipped and procedural images, and patches of them with their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relumen.data import fields, image_path, records
from relumen.degrade import Clean, blurred, clean
from relumen.images import read_image
from relumen.normalisation import EPS
from relumen.training.config import FeaturesConfig
from relumen.training.data import EMPTY
from relumen.training.procedural import FAMILIES, draw

Float32 = NDArray[np.float32]
Drawn = tuple[Float32, int, tuple[float, float]]
"""A patch (y, x), the number of its label, and its degradation as :func:`degradation_target`."""

_PROCEDURAL_HELD_OUT = 4  # images of each family
_THUMBNAIL = 8  # an image's statistics are taken from every eighth pixel
_TRIES = 4  # places that are drawn to find one with structure
_TRAINING, _HELD_OUT = range(2)  # purposes that set seeds apart


@dataclass(frozen=True)
class Seen:
    """An image and what it shows.

    Attributes:
        name: of the image.
        label: number of its label; None: no image of the kind is trained on.
        clean: its signal (y, x), without added blur and noise.
    """

    name: str
    label: int | None
    clean: Clean


@dataclass(frozen=True)
class ImageBank:
    """All images of a training.

    Attributes:
        labels: what is told apart, in words.
        training: what patches are cut from.
        held_out: other fields of view, and procedural images of other seeds.
    """

    labels: tuple[str, ...]
    training: tuple[Seen, ...]
    held_out: tuple[Seen, ...]

    def describe(self) -> str:
        """The images in words, for the card."""
        real, drawn = ([each for each in self.training if (each.name in records()) is known] for known in (True, False))
        unseen = [each.name for each in self.held_out if each.name in records()]
        return (
            f"{len(real)} shipped images ({', '.join(each.name for each in real)}) and {len(drawn)} procedural ones "
            f"({', '.join(FAMILIES)}); held out: {len(unseen)} shipped images ({', '.join(unseen)}) and "
            f"{len(self.held_out) - len(unseen)} procedural ones"
        )


def load_bank(config: FeaturesConfig) -> ImageBank:
    """Reads the shipped images and draws the procedural ones.

    The label of a shipped image is what the manifest says that it shows (cells and stain), of a procedural one its
    family.
    """
    known, held = records("fluorescence").values(), fields(config.held_out)
    kinds = sorted({record.shows for record in known if record.field not in held})
    labels = (*kinds, *FAMILIES)
    training: list[Seen] = []
    held_out: list[Seen] = []
    for record in known:
        label = labels.index(record.shows) if record.shows in labels else None
        seen = Seen(record.name, label, clean(np.asarray(read_image(image_path(record.name)).pixels), blur=0, factor=1))
        (held_out if record.field in held else training).append(seen)
    for purpose, count, images in (
        (_TRAINING, config.procedural, training),
        (_HELD_OUT, _PROCEDURAL_HELD_OUT, held_out),
    ):
        for number, family in enumerate(FAMILIES):
            for i in range(count):
                drawn = draw(family, config.procedural_size, np.random.default_rng((config.seed, purpose, number, i)))
                images.append(Seen(f"{family} {i + 1}", labels.index(family), clean(drawn, blur=0, factor=1)))
    return ImageBank(labels, tuple(training), tuple(held_out))


class Patches:
    """Random patches with what they show and how they were degraded.

    Each patch has a kind that is drawn first (so that all kinds are as frequent), then an image and a place with
    structure, a gamma, blur, photons, flips and a quarter turn, and at last a gain and an offset: what is left to
    tell kinds apart is structure, not brightness.
    """

    def __init__(self, images: Sequence[Seen], config: FeaturesConfig) -> None:
        self._config = config
        self._kinds = [
            [image for image in images if image.label == label]
            for label in sorted({image.label for image in images if image.label is not None})
        ]
        self._margin = math.ceil(3 * config.blur)

    def draw(self, rng: np.random.Generator) -> Drawn:
        """One patch (y, x), the number of its label, and its degradation as :func:`degradation_target`."""
        kind = self._kinds[rng.integers(len(self._kinds))]
        return self.of(kind[rng.integers(len(kind))], rng)

    def of(self, image: Seen, rng: np.random.Generator) -> Drawn:
        """A patch of one image, see :meth:`draw`; an unknown label is -1."""
        config = self._config
        gamma = float(np.exp(rng.uniform(-0.4, 0.4)))
        signal = self._window(image.clean.signal, rng) ** gamma
        whole = Clean(image.clean.signal[::_THUMBNAIL, ::_THUMBNAIL] ** gamma, 0.0, 1.0)
        sigma = config.blur * rng.random() if rng.random() < 0.75 else 0.0
        photons = float(np.exp(rng.uniform(*np.log(config.photons))))
        inside = slice(self._margin, self._margin + config.patch)
        seen = blurred(signal, sigma)[inside, inside].astype(np.float32)
        mean, deviation = whole.statistics(photons, config.read_noise)
        noisy = whole.with_noise(seen, photons, config.read_noise, rng)
        gain = float(np.exp(rng.normal(0, 0.2))) / (deviation + EPS)
        patch = gain * (noisy - mean) + rng.normal(0, 0.1)
        noise = gain * float((noisy - seen).std())
        vertical, horizontal, turned = rng.random(3) < 0.5
        patch = patch[:: -1 if vertical else 1, :: -1 if horizontal else 1]
        patch = np.rot90(patch) if turned else patch
        return patch.astype(np.float32), -1 if image.label is None else image.label, degradation_target(sigma, noise)

    def batch(self, seeds: Sequence[tuple[int, ...]]) -> tuple[Float32, Float32, Float32]:
        """Patches (batch, y, x, 1), labels (batch,) and degradations (batch, 2), one for each seed."""
        return stacked([self.draw(np.random.default_rng(seed)) for seed in seeds])

    def _window(self, signal: Float32, rng: np.random.Generator) -> Float32:
        """A patch with a margin that the blur can draw on, mirrored where the image ends."""
        threshold, size = EMPTY * float(signal[::_THUMBNAIL, ::_THUMBNAIL].std()), self._config.patch
        y = x = 0
        for _ in range(_TRIES):
            y, x = (int(rng.integers(n - size + 1)) for n in signal.shape)
            if signal[y : y + size, x : x + size].std() >= threshold:
                break
        rows, columns = (
            np.pad(np.arange(n), self._margin, mode="reflect")[start : start + size + 2 * self._margin]
            for n, start in zip(signal.shape, (y, x), strict=True)
        )
        return signal[np.ix_(rows, columns)]


def stacked(drawn: Sequence[Drawn]) -> tuple[Float32, Float32, Float32]:
    """Patches as one batch: (batch, y, x, 1), (batch,), (batch, 2)."""
    patches, labels, degradations = zip(*drawn, strict=True)
    return (
        np.stack(patches)[..., np.newaxis],
        np.array(labels, np.float32),
        np.array(degradations, np.float32),
    )


def degradation_target(sigma: float, noise: float) -> tuple[float, float]:
    """What the second head learns: logarithms in which equal steps look about equally far apart.

    Args:
        sigma: standard deviation of the added blur, pixels.
        noise: standard deviation of the added noise, in units of the patch that the network sees.
    """
    return math.log2(0.5 + sigma), math.log2(0.05 + noise)
