"""What a prior and Pix2Pix are trained on: drawn cells and crops of real ones, in memory, and what is held out."""

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
from relumen.metrics import FEWEST_IMAGES
from relumen.training.bbbc021 import BBBC021Config, load_bbbc021
from relumen.training.cells import STAIN_SETS, Culture, cached_images
from relumen.training.crops import CropsConfig, load_crops, shipped_crops
from relumen.training.cutter import Crops
from relumen.training.prior_config import ImagesConfig
from relumen.whole import file_appears_whole

UInt8 = NDArray[np.uint8]
_Parts = tuple[tuple[str, ...], UInt8, UInt8, str]  # stains, images to train on, held-out images, how they were cut

_TRAINING, _HELD_OUT = 1, 2  # purposes that set seeds apart
SHIPPED = "real crops of the shipped BBBC014 images"
"""What descriptions call them."""
SHIPPED_ZOOM = 2.1  # of the shipped real images, whose nuclei are then as large as the drawn ones


@dataclass(frozen=True)
class Source:
    """Images of one kind, uint8 (n, size, size, channels).

    Attributes:
        name: in words.
        stains: what their channels show.
        training: to train on.
        held_out: to judge by; none where nothing was held out.
        account: how they were cut, in words; empty where they were not.
        more: how to hold out more, in words.
        real: whether a microscope took them.
    """

    name: str
    stains: tuple[str, ...]
    training: UInt8
    held_out: UInt8
    account: str
    more: str
    real: bool = True

    def binned(self, factor: int) -> Source:
        """So many pixels on each axis become one."""
        return replace(self, training=_binned(self.training, factor), held_out=_binned(self.held_out, factor))


class PriorData:
    """All images of a training, and batches of them.

    Attributes:
        sources: where they come from.
        stains: names of the channels.
        held_out: images to judge by, (n, size, size, channels), uint8, of the kinds in the shares that they are
            trained on.
        judged_unseen: whether these are not trained on; False: no source holds any out, so they are training images.

    Args:
        config: of the training.

    Raises:
        UserError: images that can't be used, sources of other stains, or too few held-out images of one.
    """

    def __init__(self, config: ImagesConfig) -> None:
        self._config = config
        self.sources = [source.binned(config.images.binning) for source in _sources(config)]
        self.stains = self.sources[0].stains
        self._shares = _shares(self.sources, config.images.share)
        self.judged_unseen = any(len(source.held_out) for source in self.sources)
        self.held_out = self._to_judge_by()

    def describe(self) -> str:
        """The images in words, for log and card."""
        none = "none held out" if self.judged_unseen else "none held out: judged by training images"
        parts = [
            f"{len(source.training)} {source.name} ({share:.0%} of a batch), "
            + (f"{len(source.held_out)} held out" if len(source.held_out) else none)
            + (f" ({source.account})" if source.account else "")
            for source, share in zip(self.sources, self._shares, strict=True)
        ]
        binned = f"; binned {self._config.images.binning} x {self._config.images.binning}"
        return "; ".join(parts) + (binned if self._config.images.binning > 1 else "")

    def batch(self, step: int) -> NDArray[np.float32]:
        """Images (batch, size, size, channels), -1..1: a pure function of the step."""
        config = self._config
        rng = np.random.default_rng((config.seed, 11, step))
        images = []
        for kind in rng.choice(len(self.sources), config.batch, p=self._shares):
            image = self.sources[kind].training[rng.integers(len(self.sources[kind].training))]
            if config.turned:
                image = np.rot90(image, int(rng.integers(4)))
                image = image[:, ::-1] if rng.random() < 0.5 else image
            images.append(image)
        return signed(np.stack(images))

    def _to_judge_by(self) -> UInt8:
        """Held-out images, or training images where there are none, of each kind as many as its share allows."""
        most = self._config.images.unseen
        there = [s.held_out if self.judged_unseen else s.training[:most] for s in self.sources]
        in_all = min(len(images) / share for images, share in zip(there, self._shares, strict=True) if len(images))
        return np.concatenate([i[: round(share * in_all)] for i, share in zip(there, self._shares, strict=True)])


def signed(images: UInt8) -> NDArray[np.float32]:
    """From 0..255 to -1..1, the range that a generator's images have."""
    return images.astype(np.float32) / 127.5 - 1


def _shares(sources: Sequence[Source], real: float | None) -> NDArray[np.float64]:
    """Of each source in a batch, by the number of its images: of all, or of real ones and of drawn ones by itself."""
    sizes = np.array([len(source.training) for source in sources])
    if real is None:
        return sizes / sizes.sum()
    are_real = np.array([source.real for source in sources])
    return np.where(are_real, real * (sizes / sizes[are_real].sum()), (1 - real) * (sizes / sizes[~are_real].sum()))


def _sources(config: ImagesConfig) -> list[Source]:
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
        found.append(Source(name, stains, training, unseen, "", "raise images.unseen", real=False))
    if images.shipped:
        if images.stains != "nfkb":
            raise UserError(f"No shipped image has the stains of {images.stains}: set images.shipped=false.")
        crops = shipped_crops("nfkb", full, SHIPPED_ZOOM * images.scale)
        found.append(Source(SHIPPED, *_parts(crops), "set a smaller size, or images.shipped=false"))
    if images.crops is not None:
        rules = images.crops
        name = f"crops of {rules.folder.name}"
        more = "name more fields in images.crops.hold_out, widen images.crops.region, or hold out none"
        found.append(Source(name, *_kept(images.cache, rules, full, lambda: load_crops(rules, full)), more))
    if images.bbbc021 is not None:
        published = images.bbbc021
        parts = _kept(images.cache, published, full, lambda: load_bbbc021(published, full))
        found.append(Source("crops of BBBC021", *parts, "raise images.bbbc021.validation, or set it to 0"))
    if len({source.stains for source in found}) > 1:
        there = "; ".join(f"{source.name}: {', '.join(source.stains)}" for source in found)
        raise UserError(f"Images of one prior have the same stains in the same order. There are: {there}")
    for source in found:
        if 0 < len(source.held_out) < FEWEST_IMAGES:
            raise UserError(
                f"{len(source.held_out)} of the {source.name} are held out, and {FEWEST_IMAGES} are the least to judge "
                f"by: {source.more}."
            )
    return found


def _parts(crops: Crops) -> _Parts:
    return crops.channels, crops.training.images, crops.held_out.images, crops.account()


def _kept(cache: Path, rules: CropsConfig | BBBC021Config, size: int, cut: Callable[[], Crops]) -> _Parts:
    """Crops as they were cut before, as long as neither rules nor size nor the folder's files have changed since."""
    files = sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in rules.folder.rglob("*.*"))
    told = json.dumps([rules.model_dump(mode="json"), size, files])
    path = cache / f"crops-{hashlib.sha256(told.encode()).hexdigest()[:16]}.npz"
    if path.exists():
        with suppress(OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile), np.load(path) as kept:
            return tuple(map(str, kept["stains"])), kept["training"], kept["held_out"], str(kept["account"])
    stains, training, held_out, account = _parts(cut())
    cache.mkdir(parents=True, exist_ok=True)
    with file_appears_whole(path, training.nbytes + held_out.nbytes) as partial:
        np.savez(partial, stains=np.array(stains), training=training, held_out=held_out, account=np.array(account))
    return stains, training, held_out, account


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
