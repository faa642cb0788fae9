"""What a prior is trained on: drawn cells and crops of real ones, in memory, and what is held out of them."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.image_writing import file_appears_whole
from relumen.training.bbbc021 import BBBC021Config, load_bbbc021
from relumen.training.cells import STAIN_SETS, Culture, cached_images
from relumen.training.crops import Crops, CropsConfig, load_crops, shipped_crops
from relumen.training.prior_config import PriorConfig

UInt8 = NDArray[np.uint8]

_TRAINING, _HELD_OUT = 1, 2  # purposes that set seeds apart
SHIPPED_ZOOM = 2.1  # of the shipped real images, whose nuclei are then as large as the drawn ones


@dataclass(frozen=True)
class Source:
    """Images of one kind, uint8 (n, size, size, channels).

    Attributes:
        name: in words.
        stains: what their channels show.
        training: to train on.
        held_out: to judge by; none where nothing was held out.
    """

    name: str
    stains: tuple[str, ...]
    training: UInt8
    held_out: UInt8

    @classmethod
    def of_crops(cls, name: str, crops: Crops) -> Source:
        """Crops of real images."""
        return cls(name, crops.channels, crops.training.images, crops.held_out.images)

    def binned(self, factor: int) -> Source:
        """So many pixels on each axis become one."""
        return replace(self, training=_binned(self.training, factor), held_out=_binned(self.held_out, factor))


class PriorData:
    """All images of a training, and batches of them.

    Attributes:
        stains: names of the channels.
        held_out: images that are not trained on, (n, size, size, channels), uint8, of the kinds in the shares that
            they are trained on; where nothing was held out, images that are.

    Args:
        config: of the training.

    Raises:
        UserError: images that can't be used, or sources of other stains.
    """

    def __init__(self, config: PriorConfig) -> None:
        self._config = config
        self._sources = [source.binned(config.images.binning) for source in _sources(config)]
        self.stains = self._sources[0].stains
        sizes = [len(source.training) for source in self._sources]
        share = config.images.share
        self._shares = np.array(sizes) / sum(sizes)
        if share is not None and len(sizes) > 1:
            self._shares = np.array([1 - share, share])
        self.held_out = self._unseen()

    def describe(self) -> str:
        """The images in words, for log and card."""
        parts = [
            f"{len(source.training)} {source.name} ({share:.0%} of a batch), {len(source.held_out)} held out"
            for source, share in zip(self._sources, self._shares, strict=True)
        ]
        binned = f"; binned {self._config.images.binning} x {self._config.images.binning}"
        return "; ".join(parts) + (binned if self._config.images.binning > 1 else "")

    def batch(self, step: int) -> NDArray[np.float32]:
        """Images (batch, size, size, channels), -1..1: a pure function of the step."""
        config = self._config
        rng = np.random.default_rng((config.seed, 11, step))
        images = []
        for kind in rng.choice(len(self._sources), config.batch, p=self._shares):
            image = self._sources[kind].training[rng.integers(len(self._sources[kind].training))]
            if config.turned:
                image = np.rot90(image, int(rng.integers(4)))
                image = image[:, ::-1] if rng.random() < 0.5 else image
            images.append(image)
        return signed(np.stack(images))

    def _unseen(self) -> UInt8:
        """Held-out images, of each kind as many as its share allows."""
        there = [len(source.held_out) for source in self._sources]
        if not any(there):
            return np.concatenate([source.training[: self._config.images.unseen] for source in self._sources])
        most = min(n / share for n, share in zip(there, self._shares, strict=True) if n)
        counts = [min(n, round(share * most)) for n, share in zip(there, self._shares, strict=True)]
        chosen = [source.held_out[:count] for source, count in zip(self._sources, counts, strict=True)]
        return np.concatenate(chosen)


def signed(images: UInt8) -> NDArray[np.float32]:
    """From 0..255 to -1..1, the range that a generator's images have."""
    return images.astype(np.float32) / 127.5 - 1


def _sources(config: PriorConfig) -> list[Source]:
    """Whatever the configuration names, before binning."""
    images, full = config.images, config.size * config.images.binning
    found: list[Source] = []
    if images.drawn and images.stains:
        culture = Culture(images.stains, size=full, scale=images.scale, confluence=images.confluence)
        training, unseen = (
            cached_images(images.cache, culture, count, config.seed + purpose, processes=os.cpu_count() or 1)
            for count, purpose in ((images.drawn, _TRAINING), (images.unseen, _HELD_OUT))
        )
        stains = STAIN_SETS[images.stains]
        name = f"drawn images ({images.stains}: {', '.join(stains)}; confluence {images.confluence:g})"
        found.append(Source(name, stains, training, unseen))
    if images.shipped:
        if images.stains != "nfkb":
            raise UserError(f"No shipped image has the stains of {images.stains}: set images.shipped=false.")
        crops = shipped_crops("nfkb", full, SHIPPED_ZOOM * images.scale)
        found.append(Source.of_crops("real crops of the shipped BBBC014 images", crops))
    if images.crops is not None:
        rules = images.crops.model_copy(update={"size": full})
        found.append(_kept(images.cache, f"crops of {rules.folder.name}", rules, lambda: load_crops(rules)))
    if images.bbbc021 is not None:
        published = images.bbbc021.model_copy(update={"size": full})
        found.append(_kept(images.cache, "crops of BBBC021", published, lambda: load_bbbc021(published)))
    if len({source.stains for source in found}) > 1:
        there = "; ".join(f"{source.name}: {', '.join(source.stains)}" for source in found)
        raise UserError(f"Images of one prior have the same stains in the same order. There are: {there}")
    return found


def _kept(cache: Path, name: str, rules: CropsConfig | BBBC021Config, cut: Callable[[], Crops]) -> Source:
    """Crops as they were cut before, as long as neither the rules nor the folder's files have changed since."""
    files = sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in rules.folder.rglob("*.*"))
    told = json.dumps([rules.model_dump(mode="json"), files])
    path = cache / f"crops-{hashlib.sha256(told.encode()).hexdigest()[:16]}.npz"
    if path.exists():
        with suppress(OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile), np.load(path) as kept:
            return Source(name, tuple(map(str, kept["stains"])), kept["training"], kept["held_out"])
    made = Source.of_crops(name, cut())
    cache.mkdir(parents=True, exist_ok=True)
    with file_appears_whole(path, made.training.nbytes + made.held_out.nbytes) as partial:
        np.savez(partial, stains=np.array(made.stains), training=made.training, held_out=made.held_out)
    return made


def _binned(images: UInt8, factor: int) -> UInt8:
    if factor == 1:
        return images
    n, height, width, channels = images.shape
    parts: list[UInt8] = []
    for i in range(0, n, 1000):  # so that no array of floats is as large as all images
        part = images[i : i + 1000].reshape(-1, height // factor, factor, width // factor, factor, channels)
        parts.append(np.rint(part.mean((2, 4))).astype(np.uint8))
    return np.concatenate(parts) if parts else np.empty((0, height // factor, width // factor, channels), np.uint8)


def mean_and_deviation(images: UInt8) -> Sequence[tuple[float, float]]:
    """Of each channel over all images, -1..1."""
    return [(float(plane.mean()), float(plane.std())) for plane in np.moveaxis(signed(images), -1, 0)]
