"""Training images, and the batches that are cut from them.

A batch is a pure function of the seed and the step: there is no iterator whose state would have to be saved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import Clean, Degradation, clean, crop_to_multiple
from relumen.errors import UserError
from relumen.images import Image, list_images, read_image
from relumen.training.config import DataConfig

Float32 = NDArray[np.float32]

EMPTY = 0.3
"""A patch whose standard deviation is below this share of its image's counts as one without structure."""


@dataclass(frozen=True)
class Pair:
    """A real pair: (y, x) intensities, the target ``scale`` times as large."""

    name: str
    low: Float32
    high: Float32


@dataclass(frozen=True)
class Degradable:
    """A high-quality image whose low-quality partner is made anew for each patch.

    Attributes:
        name: of the image.
        cleans: what is left of it before noise, by each blur of the degradation.
        high: (y, x) intensities.
        degradation: from which each patch draws.
    """

    name: str
    cleans: tuple[Clean, ...]
    high: Float32
    degradation: Degradation

    @property
    def clean(self) -> Clean:
        """The image at its middle blur, before noise."""
        return self.cleans[len(self.cleans) // 2]

    @property
    def low(self) -> Float32:
        """The noise-free low-resolution image (y, x) at its middle blur."""
        return self.clean.signal


Source = Pair | Degradable


@dataclass(frozen=True)
class DataSet:
    """The sources of a training.

    Attributes:
        training: what patches are cut from.
        validation: held out.
        pixel_size_um: of the inputs, where it is known.
    """

    training: tuple[Source, ...]
    validation: tuple[Source, ...]
    pixel_size_um: float | None

    def describe(self) -> str:
        """The data in words, for the card."""
        return f"{_names(self.training)}; held out: {_names(self.validation)}"


def load_data(config: DataConfig, scale: int) -> DataSet:
    """Reads a data folder.

    Each plane and each channel of an image is a source of its own. Where there is no ``validation`` folder the
    last images by name are held out, so that an image is never split.

    Raises:
        UserError: a folder or image that can't be used, said with its name.
    """
    folder = config.folder
    if not folder.is_dir():
        raise UserError(f"There is no data folder at {folder}.")
    paired = (folder / "low").is_dir() or (folder / "high").is_dir()
    if not paired and config.degradation is None:
        raise UserError(
            f"{folder} has no low/ and high/ folders, so it holds high-quality images alone: "
            "say how their inputs are made, such as --set data.degradation={blur: 1.0, photons: [20, 600]}."
        )
    if paired and config.degradation is not None:
        raise UserError(f"{folder} has real pairs in low/ and high/: leave out data.degradation.")
    items = _items(folder, paired)
    held_out = folder / "validation"
    if held_out.is_dir():
        training, validation = items, _items(held_out, paired)
    else:
        if len(items) < 2:
            raise UserError(f"{folder} has one image; a second is needed to hold out. Or add {held_out}.")
        count = max(1, round(config.validation * len(items)))
        training, validation = items[:-count], items[-count:]
    sizes: list[float | None] = []
    loaded = [
        tuple(source for item in part for source in _load(item, config, scale, sizes))
        for part in (training, validation)
    ]
    known = {round(size, 6) for size in sizes if size is not None}
    pixel_size = config.pixel_size_um or (known.pop() if len(known) == 1 else None)
    return DataSet(loaded[0], loaded[1], pixel_size)


class Batches:
    """Batches of training patches in units of the input image's mean and standard deviation.

    Source: Chatton, Sec. 2.1: overlapping patches, flips and quarter turns drawn anew for each element. The
    input's statistics are those of the whole image, as in Fiji, never those of the patch.
    """

    def __init__(
        self,
        sources: tuple[Source, ...],
        config: DataConfig,
        *,
        scale: int,
        batch: int,
        augment: float,
        seed: int,
    ) -> None:
        self._sources = sources
        self._scale = scale
        self._patch = config.patch
        self._batch = batch
        self._augment = augment
        self._seed = seed
        self._places = self._lay_out(config)
        if not self._places:
            raise UserError(f"No training image is as large as a patch of {config.patch} pixels.")

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over all patches; the last, smaller one is filled up."""
        return math.ceil(len(self._places) / self._batch)

    def __len__(self) -> int:
        return len(self._places)

    def __call__(self, step: int) -> tuple[Float32, Float32]:
        """The batch of a step: inputs (batch, patch, patch, 1), targets (batch, scale * patch, ..., 1)."""
        epoch, first = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self._seed, 0, epoch)).permutation(len(self._places))
        chosen = np.take(order, range(first * self._batch, (first + 1) * self._batch), mode="wrap")
        pairs = [
            self._pair(self._places[index], np.random.default_rng((self._seed, 1, step, i)))
            for i, index in enumerate(chosen)
        ]
        low, high = (np.stack(part)[..., np.newaxis] for part in zip(*pairs, strict=True))
        return low, high

    def _pair(self, place: tuple[int, int, int], rng: np.random.Generator) -> tuple[Float32, Float32]:
        source, y, x = place
        image, p, s = self._sources[source], self._patch, self._scale
        inside = slice(y, y + p), slice(x, x + p)
        high = image.high[s * y : s * (y + p), s * x : s * (x + p)]
        if isinstance(image, Degradable):
            blurred = image.cleans[rng.integers(len(image.cleans))]
            photons = float(np.exp(rng.uniform(*np.log(image.degradation.photons))))
            read_noise = image.degradation.read_noise
            low = blurred.with_noise(blurred.signal[inside], photons, read_noise, rng)
            mean, deviation = blurred.statistics(photons, read_noise)
        else:
            low = image.low[inside]
            mean, deviation = float(image.low.mean()), float(image.low.std())
        pair = [((part - mean) / (deviation + 1e-6)).astype(np.float32) for part in (low, high)]
        if rng.random() < self._augment:
            vertical, horizontal, turned = rng.random(3) < 0.5
            pair = [part[::-1] if vertical else part for part in pair]
            pair = [part[:, ::-1] if horizontal else part for part in pair]
            pair = [np.rot90(part) if turned else part for part in pair]
        return pair[0], pair[1]

    def _lay_out(self, config: DataConfig) -> list[tuple[int, int, int]]:
        """(source, y, x) of each patch; the last row and column end where the image ends."""
        stride = max(1, round(config.patch * (1 - config.overlap)))
        places = []
        for index, source in enumerate(self._sources):
            if min(source.low.shape) < config.patch:
                continue
            threshold = EMPTY * float(source.low.std())
            starts = [
                sorted({*range(0, size - config.patch, stride), size - config.patch}) for size in source.low.shape
            ]
            rng = np.random.default_rng((self._seed, 2, index))
            for y in starts[0]:
                for x in starts[1]:
                    empty = source.low[y : y + config.patch, x : x + config.patch].std() < threshold
                    if not empty or rng.random() < config.keep_empty:
                        places.append((index, y, x))
        return places


Item = tuple[Path | None, Path]
"""Files of the input (None where it is to be made) and of the target."""


def _items(folder: Path, paired: bool) -> list[Item]:
    if not paired:
        return [(None, path) for path in list_images(folder)]
    low = {path.name: path for path in list_images(folder / "low")}
    high = {path.name: path for path in list_images(folder / "high")}
    if lonely := sorted(low.keys() ^ high.keys()):
        raise UserError(
            f"Pairs have equal names in {folder}/low and {folder}/high. Without a partner: {', '.join(lonely[:5])}"
        )
    return [(low[name], high[name]) for name in sorted(low)]


def _load(item: Item, config: DataConfig, scale: int, pixel_sizes: list[float | None]) -> list[Source]:
    low_path, high_path = item
    high = read_image(high_path)
    size = high.pixel_size.micrometres if high.pixel_size else None
    pixel_sizes.append(None if size is None else size * scale)
    names = [f"{high_path.name}{suffix}" for suffix, _ in _planes(high)]
    highs = [plane for _, plane in _planes(high)]
    if low_path is None:
        if config.degradation is None:
            raise UserError(f"{high_path} has no partner, and no degradation is stated.")
        degradation = config.degradation
        cropped = [crop_to_multiple(plane, scale) for plane in highs]
        return [
            Degradable(name, tuple(clean(plane, blur, scale) for blur in degradation.blur), plane, degradation)
            for name, plane in zip(names, cropped, strict=True)
        ]
    lows = [plane for _, plane in _planes(read_image(low_path))]
    if len(lows) != len(highs) or any(
        high.shape != (scale * low.shape[0], scale * low.shape[1]) for low, high in zip(lows, highs, strict=True)
    ):
        raise UserError(
            f"{high_path} must be {scale} times as large as {low_path} in y and x, with as many planes. "
            f"Received: {len(highs)} planes of {highs[0].shape} for {len(lows)} of {lows[0].shape}"
        )
    return [Pair(name, low, plane) for name, low, plane in zip(names, lows, highs, strict=True)]


def _planes(image: Image) -> list[tuple[str, Float32]]:
    """Every plane and channel, with what tells it from the others."""
    planes = []
    for position in image.positions():
        for channel in range(image.channels):
            parts = [f"{axis}{i}" for axis, i in position.items()]
            parts += [f"C{channel}"] if image.channels > 1 else []
            plane = np.ascontiguousarray(image.plane(position, channel), np.float32)
            if not np.isfinite(plane).all():
                raise UserError("The image holds pixels that are no finite numbers (NaN or infinite).")
            planes.append((f" {'-'.join(parts)}" if parts else "", plane))
    return planes


def _names(sources: tuple[Source, ...]) -> str:
    names = [source.name for source in sources]
    shown = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return f"{len(names)} image{'s' if len(names) != 1 else ''} ({shown})"
