"""Training images, and the batches that are cut from them.

A batch is a pure function of the seed and the step: there is no iterator whose state would have to be saved.
Which files a folder holds is told by :mod:`relumen.training.folders`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import Clean, Degradation
from relumen.errors import UserError
from relumen.metrics import WINDOW, data_range
from relumen.normalisation import EPS
from relumen.training.density import cell_densities
from relumen.training.folders import Contents, find_contents
from relumen.training.settings import DataConfig, Region
from relumen.training.sources import Degradable, Part, Source, read_sources

Float32 = NDArray[np.float32]
T = TypeVar("T")

EMPTY = 0.3
"""A patch whose standard deviation is below this share of its image's counts as one without structure."""
_PLANE = re.compile(r" ([TZC]\d+-?)+$")  # what a source's name has beside that of its file


@dataclass(frozen=True)
class DataSet:
    """The sources of a training.

    Attributes:
        layout: of the folder, in words.
        training: what patches are cut from.
        validation: held out.
        pixel_size_um: of the inputs, where it is known.
        region: of every image that is held out, where images are not held out whole.
    """

    layout: str
    training: tuple[Source, ...]
    validation: tuple[Source, ...]
    pixel_size_um: float | None
    region: Region | None = None

    def describe(self) -> str:
        """The data in words, for the card."""
        held_out = _names(self.validation)
        if self.region is not None:
            held_out = f"{self.region.describe()} of all images, judged on those of {held_out}"
        return f"{self.layout}: {_names(self.training)}; held out: {held_out}"


def load_data(config: DataConfig, scale: int) -> DataSet:
    """Reads a data folder.

    Each plane and each channel of an image is a source of its own. Where there is no ``validation`` folder the
    last images by name are held out, so that an image is never split, unless a region is held out too: then that
    band of the held-out images is what is judged on, and the other images are trained on without it.

    Raises:
        UserError: a folder or image that can't be used, said with its name.
    """
    contents = usable_contents(config)
    training, sizes = read_sources(
        contents.training, scale, config.degradation, part_of(config, held_out=False), config.offsets
    )
    validation, more = read_held_out(contents, config, scale)
    known = {round(size, 6) for size in sizes + more if size is not None}
    pixel_size = config.pixel_size_um or (known.pop() if len(known) == 1 else None)
    return DataSet(contents.layout, training, validation, pixel_size, config.region)


def load_held_out(config: DataConfig, scale: int) -> tuple[Source, ...]:
    """Reads what a training on the folder holds out, in the order of :func:`load_data`, and no more.

    Raises:
        UserError: a folder or image that can't be used, said with its name.
    """
    return read_held_out(usable_contents(config), config, scale)[0]


def read_held_out(contents: Contents, config: DataConfig, scale: int) -> tuple[tuple[Source, ...], list[float | None]]:
    """The held-out images of a folder, or their held-out region, and the pixel size of each input.

    Raises:
        UserError: an image that can't be used or judged on, said with its name.
    """
    sources, sizes = read_sources(contents.held_out, scale, config.degradation, part_of(config, held_out=True))
    return judgeable(sources), sizes


def judgeable(sources: Sequence[Source], least: int = WINDOW) -> tuple[Source, ...]:
    """Held-out images without the blank ones, which no figure can be told on.

    Args:
        sources: the images.
        least: height and width of a target, pixels.

    Raises:
        UserError: one is smaller, or all are blank.
    """
    if faults := [fault for source in sources for fault in too_small(source, least)]:
        raise UserError(faults[0])
    kept = tuple(source for source in sources if data_range(source.high) > 0)
    if not kept:
        raise UserError(
            f"All held-out images are blank ({_names(tuple(sources))}): nothing can be judged on them. Put images that "
            "show something into validation/."
        )
    return kept


def too_small(source: Source, least: int = WINDOW) -> Iterator[str]:
    """The sentence about a held-out image that is too small to judge on; arguments as of :func:`judgeable`."""
    height, width = source.high.shape
    if min(height, width) < least:
        yield (
            f"What is held out of {source.name} measures {height} x {width} pixels, and {least} each way are the least "
            "to judge on. Hold out more of it by data.region.share, or larger images in validation/."
        )


def spread(items: Sequence[T], most: int) -> Sequence[T]:
    """All items, or every second, third, ... of them, so that they are no more than ``most`` and spread over all."""
    return items[:: max(1, -(-len(items) // most))]


def part_of(config: DataConfig, *, held_out: bool) -> Part | None:
    """Which part of an image is held out, or trained on; None: the whole."""
    return None if config.region is None else partial(config.region.inside, held_out=held_out)


def usable_contents(config: DataConfig) -> Contents:
    """What lies in a data folder, once its names have no faults and its inputs are there or can be made.

    Raises:
        UserError: they have, or can't.
    """
    contents = find_contents(config)
    check_usable(contents, config)
    return contents


def check_usable(contents: Contents, config: DataConfig) -> None:
    """Refuses a folder that can't be trained or judged on.

    Raises:
        UserError: its names have faults, or its inputs are neither there nor can be made.
    """
    if contents.faults:
        raise UserError("\n".join(contents.faults))
    if not contents.paired and config.degradation is None:
        raise UserError(
            f"{config.folder} has no low/ and high/ folders, so it holds high-quality images alone: say how their "
            "inputs are made, by --degrade, or such as --set data.degradation={blur: 1.0, photons: [20, 600]}."
        )
    if contents.paired and config.degradation is not None:
        raise UserError(
            f"{config.folder} has real pairs ({contents.layout}), so its inputs are there: leave out --degrade, or add "
            "--set data.degradation=null."
        )


class Patches(Protocol):
    """What gives the batch of a step."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over all patches."""
        ...

    def __call__(self, step: int) -> tuple[Float32, ...]:
        """The batch of a step, a pure function of it."""
        ...


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
        turns: bool = True,
    ) -> None:
        self._turns = turns
        self._sources = sources
        self._scale = scale
        self._patch = config.patch
        self._batch = batch
        self._augment = augment
        self._seed = seed
        self._places = self._lay_out(config)
        self._classes = self._sorted_by_density(config.densities)
        self._order = lru_cache(maxsize=1)(self._shuffled)
        if not self._places:
            raise UserError(_why_none(sources, config.patch))

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over all patches; the last, smaller one is filled up."""
        return math.ceil(len(self) / self._batch)

    def __len__(self) -> int:
        """Patches that a pass shows; where classes are shown equally often, those of the smaller ones come again."""
        return len(self._classes) * max(map(len, self._classes))

    def __call__(self, step: int) -> tuple[Float32, Float32]:
        """The batch of a step: inputs (batch, patch, patch, 1), targets (batch, scale * patch, ..., 1)."""
        epoch, first = divmod(step, self.steps_per_epoch)
        chosen = np.take(self._order(epoch), range(first * self._batch, (first + 1) * self._batch), mode="wrap")
        pairs = [
            self._pair(self._places[index], np.random.default_rng((self._seed, 1, step, i)))
            for i, index in enumerate(chosen)
        ]
        low, high = (np.stack(part)[..., np.newaxis] for part in zip(*pairs, strict=True))
        return low, high

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        """The order in which an epoch shows the patches."""
        rng = np.random.default_rng((self._seed, 0, epoch))
        if len(self._classes) == 1:
            return rng.permutation(len(self._places))
        most = max(map(len, self._classes))
        return rng.permutation(np.concatenate([np.resize(rng.permutation(each), most) for each in self._classes]))

    def _sorted_by_density(self, count: int) -> list[NDArray[np.int64]]:
        """Indices of the places in each of ``count`` classes of cell density, without those that are empty."""
        if count == 1 or not self._places:
            return [np.arange(len(self._places))]
        densities = cell_densities([source.low for source in self._sources], self._places, self._patch)
        classes = np.minimum((densities * count).astype(np.int64), count - 1)
        return [np.flatnonzero(classes == each) for each in np.unique(classes)]

    def _pair(self, place: tuple[int, int, int], rng: np.random.Generator) -> tuple[Float32, Float32]:
        source, y, x = place
        image, p, s = self._sources[source], self._patch, self._scale
        inside = slice(y, y + p), slice(x, x + p)
        high = image.high[s * y : s * (y + p), s * x : s * (x + p)]
        if isinstance(image, Degradable):
            blurred = image.cleans[rng.integers(len(image.cleans))]
            low, (mean, deviation) = _degraded(blurred, inside, image.degradation, rng)
        else:
            low = image.low[inside]
            mean, deviation = image.statistics
        pair = [((part - mean) / (deviation + EPS)).astype(np.float32) for part in (low, high)]
        low, high = augmented(pair, rng, chance=self._augment, turns=self._turns)
        return low, high

    def _lay_out(self, config: DataConfig) -> list[tuple[int, int, int]]:
        """(source, y, x) of each patch; the last row and column end where the image ends."""
        stride = max(1, round(config.patch * (1 - config.overlap)))
        places = []
        for index, source in enumerate(self._sources):
            structure = float(source.low.std())
            if min(source.low.shape) < config.patch or structure == 0:
                continue  # of a blank input nothing can be learnt, and it has no unit
            threshold = EMPTY * structure
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


def _why_none(sources: Sequence[Source], patch: int) -> str:
    """Why no patch could be laid out, and what to do."""
    height, width = max((source.low.shape for source in sources), key=min)
    if min(height, width) >= patch:
        return (
            f"No training input that is as large as a patch of {patch} pixels shows a structure: all are blank, or "
            "data.keep_empty left out all patches. Look at the images by `relumen data describe`."
        )
    return (
        f"No training input is as large as a patch of {patch} pixels. The largest is {height} x {width}; make patches "
        f"smaller with --set data.patch={max(8, min(height, width) // 8 * 8)}."
    )


def augmented(parts: Sequence[Float32], rng: np.random.Generator, *, chance: float, turns: bool) -> Sequence[Float32]:
    """Patches of one place (y, x, ...), all flipped and turned alike, or left as they are.

    Args:
        parts: the patches.
        rng: that draws.
        chance: that they are changed.
        turns: whether they are turned by quarters, beside flips.
    """
    if rng.random() >= chance:
        return parts
    vertical, horizontal, turned = rng.random(3) < 0.5
    parts = [part[::-1] if vertical else part for part in parts]
    parts = [part[:, ::-1] if horizontal else part for part in parts]
    return [np.rot90(part) if turned and turns else part for part in parts]


class Mixed:
    """Batches whose patches come from several groups of sources, each with its chance.

    Args:
        groups: of one patch a batch, with their weights; those without weight are never shown.
        batch: patches of a batch.
        seed: of the choice.
    """

    def __init__(self, groups: Sequence[tuple[Batches, float]], *, batch: int, seed: int) -> None:
        self._groups = [group for group, weight in groups if weight > 0]
        weights = np.array([weight for _, weight in groups if weight > 0])
        self._chances = weights / weights.sum()
        self._batch = batch
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        """Batches that show as many patches as there are."""
        return math.ceil(sum(map(len, self._groups)) / self._batch)

    def __call__(self, step: int) -> tuple[Float32, Float32]:
        """The batch of a step: inputs and targets, each (batch, y, x, 1)."""
        chosen = np.random.default_rng((self._seed, 5, step)).choice(len(self._groups), self._batch, p=self._chances)
        pairs = [self._groups[group](step * self._batch + i) for i, group in enumerate(chosen)]
        low, high = (np.concatenate(part) for part in zip(*pairs, strict=True))
        return low, high


class InTurn:
    """The batches of one kind first, and of another from a step on.

    Args:
        first: also tells how long a pass is.
        then: the others.
        end: of the first, a step.
    """

    def __init__(self, first: Patches, then: Patches, end: int) -> None:
        self._first = first
        self._then = then
        self._end = end

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over all patches of the first kind."""
        return self._first.steps_per_epoch

    def __call__(self, step: int) -> tuple[Float32, ...]:
        """The batch of a step."""
        return (self._first if step < self._end else self._then)(step)


def _degraded(
    blurred: Clean, inside: tuple[slice, slice], degradation: Degradation, rng: np.random.Generator
) -> tuple[Float32, tuple[float, float]]:
    """A part of an image with noise that is drawn, and mean and standard deviation of the whole image with as much."""
    if degradation.photons is None:
        return blurred.image[inside], blurred.statistics()
    photons = float(np.exp(rng.uniform(*np.log(degradation.photons))))
    low = blurred.with_noise(blurred.signal[inside], photons, degradation.read_noise, rng)
    return low, blurred.statistics(photons, degradation.read_noise)


def file_of(name: str) -> str:
    """The image that a source is a plane or a channel of, from the source's name."""
    return _PLANE.sub("", name)


def _names(sources: tuple[Source, ...]) -> str:
    names = list(dict.fromkeys(source.name for source in sources))
    # An image that several defects were made of is listed once.
    files = list(dict.fromkeys(file_of(source.name.removeprefix(f"{source.condition}/")) for source in sources))
    shown = ", ".join(files[:40]) + (", ..." if len(files) > 40 else "")
    return f"{len(names)} image{'s' if len(names) != 1 else ''} ({shown})"
