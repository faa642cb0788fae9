"""Images without partners, for the systems that learn from them: clean ones, and those of each defect."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.divergence import REAL
from relumen.errors import UserError
from relumen.metrics import psnr
from relumen.normalisation import EPS
from relumen.training.data import EMPTY, augmented
from relumen.training.defects import CLEAN, Defect, defective, load_clean, load_defects, note, target, to_judge_on
from relumen.training.limited_config import UnpairedImages
from relumen.training.sources import Pair, Source

Float32 = NDArray[np.float32]
_TRIES = 8  # to find a patch with structure
_VALIDATION_PATCH = 192  # of an image, pixels


def in_units(image: tf.Tensor, units: tf.Tensor) -> tf.Tensor:
    """Images in other units: gain and offset (batch, 2) of each."""
    return image * units[:, :1, tf.newaxis, tf.newaxis] + units[:, 1:, tf.newaxis, tf.newaxis]


@dataclass(frozen=True)
class HeldOut:
    """A clean image, and a real one with a defect: its partner where there are pairs.

    Attributes:
        defect: name of the real image's.
        clean: intensities (y, x).
        real: likewise.
        paired: whether they show the same.
    """

    defect: str
    clean: Float32
    real: Float32
    paired: bool


class Whole(NamedTuple):
    """An image (y, x), with mean and standard deviation of the whole image that it may be a part of."""

    pixels: Float32
    mean: float
    deviation: float

    @classmethod
    def of(cls, pixels: Float32) -> Self:
        """An image that is whole."""
        return cls(pixels, float(pixels.mean()), float(pixels.std()) + EPS)

    @classmethod
    def defective(cls, source: Source) -> Self:
        """The defective image of a pair, or of an image that has no partner."""
        pixels = defective(source)
        if isinstance(source, Pair):
            mean, deviation = source.statistics
            return cls(pixels, mean, deviation + EPS)
        return cls.of(pixels)


class Unpaired:
    """Clean images, and images of each defect that need show nothing of these.

    Attributes:
        loaded: the images of each defect.
        held_out: clean images beside defective ones.
        pixel_size_um: of the images, where it is known.

    Args:
        config: of the training.

    Raises:
        UserError: a folder that can't be used, or no clean images.
    """

    def __init__(self, config: UnpairedImages) -> None:
        self._config = config
        loaded = self.loaded = to_judge_on(load_defects(config.data, config.defects))
        self._real = [
            [Whole.defective(source) for source in defect.chosen(config.images, config.seed)] for defect in loaded
        ]
        folder = config.clean or config.data.folder / CLEAN
        apart: list[Float32] = []
        if config.clean is not None or folder.is_dir():
            apart = [target(source) for source in load_clean(config.data, folder)]
        elif alone := [defect.name for defect in loaded if not defect.paired]:
            raise UserError(
                f"{', '.join(alone)} has no clean partners, so clean images are needed: put some into {folder}, or "
                "name their folder with --clean."
            )
        # The clean images of a defect are its own, where it has some: specimens differ from data set to data set.
        everywhere = [Whole.of(image) for image in apart]
        self._clean = [everywhere or [Whole.of(target(source)) for source in defect.training] for defect in loaded]
        self.held_out = tuple(_held_out(loaded, apart))
        sizes = set().union(*(defect.pixel_sizes for defect in loaded))
        self.pixel_size_um = sizes.pop() if len(sizes) == 1 else None
        self._units = [moments(images) for images in self._clean]
        smallest = min(min(image.pixels.shape) for images in (*self._real, *self._clean) for image in images)
        if smallest < config.data.patch:
            raise UserError(
                f"An image measures {smallest} pixels on one side, and patches measure {config.data.patch}. Make them "
                f"smaller with --set data.patch={max(8, smallest // 8 * 8)}."
            )

    @property
    def _all_clean(self) -> Collection[Whole]:
        """The clean images of all defects, those that several share once."""
        return {id(image): image for images in self._clean for image in images}.values()

    @property
    def defects(self) -> tuple[str, ...]:
        """Names of the defects."""
        return tuple(defect.name for defect in self.loaded)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that show the generator as many patches as fit into the clean images."""
        area = sum(image.pixels.size for image in self._all_clean)
        return max(1, round(area / self._config.data.patch**2 / self._config.batch))

    def describe(self) -> str:
        """The data in words, for the card."""
        region = self._config.data.region
        return self.layout if region is None else f"{self.layout}; held out: {region.describe()} of all images"

    @property
    def layout(self) -> str:
        """What there is, in words, but for what is held out."""
        real = ", ".join(f"{len(images)} of {name}" for name, images in zip(self.defects, self._real, strict=True))
        words = f"{len(self._all_clean)} clean images, and defective ones that need be no partners of them: {real}"
        return " ".join(filter(None, (note(self._config.data.folder), words)))

    def divergences(self) -> dict[str, float]:
        """Mean PSNR between clean images and their real defective partners, by defect; nothing without pairs."""
        found: dict[str, list[float]] = {}
        for each in self.held_out:
            if each.paired:
                found.setdefault(REAL + each.defect, []).append(psnr(each.clean, each.real))
        return {name: float(np.mean(values)) for name, values in found.items()}

    def _patch(self, images: Sequence[Whole], rng: np.random.Generator) -> tuple[Float32, tuple[float, float]]:
        """A part of an image, with structure if that can be had, and the whole image's mean and deviation."""
        part, whole = self._anywhere(images, rng)
        for _ in range(_TRIES):
            if part.std() >= EMPTY * whole.deviation or rng.random() < self._config.data.keep_empty:
                break
            part, whole = self._anywhere(images, rng)
        (part,) = augmented([part], rng, chance=self._config.augment, turns=self._config.turns)
        return part, (whole.mean, whole.deviation)

    def _gain_and_offset(self, index: int, mean: float, deviation: float) -> tuple[float, float]:
        """What brings an image from units of its own to those of all clean ones of a defect."""
        middle, spread = self._units[index]
        return deviation / spread, (mean - middle) / spread

    def _anywhere(self, images: Sequence[Whole], rng: np.random.Generator) -> tuple[Float32, Whole]:
        """A part of an image, and the image."""
        side = self._config.data.patch
        whole = images[int(rng.integers(len(images)))]
        y, x = (int(rng.integers(size - side + 1)) for size in whole.pixels.shape)
        return whole.pixels[y : y + side, x : x + side], whole


def moments(images: Sequence[Whole]) -> tuple[float, float]:
    """Mean and standard deviation of an image of these, in the mean."""
    return float(np.mean([image.mean for image in images])), float(np.mean([image.deviation for image in images]))


def _held_out(defects: Sequence[Defect], apart: Sequence[Float32]) -> Iterator[HeldOut]:
    """The middle of each held-out image with a defect, beside its clean partner, or any clean image."""
    for defect in defects:
        for number, source in enumerate(defect.validation):
            clean = target(source) if defect.paired else apart[number % len(apart)]
            yield HeldOut(defect.name, _middle(clean), _middle(defective(source)), defect.paired)


def _middle(image: Float32) -> Float32:
    side = min(_VALIDATION_PATCH, *(size // 16 * 16 for size in image.shape))
    y, x = ((size - side) // 2 for size in image.shape)
    return image[y : y + side, x : x + side]
