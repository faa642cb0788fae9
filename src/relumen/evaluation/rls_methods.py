"""The methods that are compared, and what each makes of low-resolution images: searched once, kept, and resumed."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import ForwardOperator
from relumen.errors import UserError
from relumen.prior.folder import Prior, digest
from relumen.run import RunFolder
from relumen.search import METHOD
from relumen.search.config import SearchConfig, UncertaintyConfig, load_search
from relumen.search.loop import Searcher
from relumen.search.uncertainty import Several
from relumen.upsampling import enlarged
from relumen.whole import file_appears_whole

Float32 = NDArray[np.float32]
OnDone = Callable[[int, int], None]

_ABOVE = 16  # factors from which on BRGM weighs its cosine term ten times as much, as its public code


@dataclass(frozen=True)
class Method:
    """What makes high-resolution images of low-resolution ones.

    Attributes:
        name: as tables call it.
        kind: how it does: enlarging, a search with a preset, or a trained network.
        preset: of a search.
        overrides: of the preset.
        run: of a network.
    """

    name: str
    kind: Literal["bicubic", "search", "pix2pix"] = "search"
    preset: str = METHOD
    overrides: tuple[str, ...] = ()
    run: Path | None = None

    def for_factor(self, factor: int) -> tuple[str, ...]:
        """The overrides at a factor."""
        more = ("cross.weight=1",) if self.preset == "brgm" and factor > _ABOVE else ()
        return (*more, *self.overrides)


BICUBIC = Method("LR, bicubic", "bicubic")
RLS = Method("RLS, as published", preset="rls")
ANNEALED = Method("RLS, annealed")
UNREGULARISED = Method("w/o Regu.", preset="unregularised")
WITHOUT_DENSITY = Method("w/o P_w", preset="without-density")
WITHOUT_CROSS = Method("w/o P_cross", preset="without-cross")
PULSE = Method("PULSE", preset="pulse")
BRGM = Method("BRGM, no VGG term", preset="brgm")
COMPARED = (PULSE, BRGM, UNREGULARISED, RLS, ANNEALED)
"""The searches of the paper's tables, in their order."""
ABLATION = (UNREGULARISED, WITHOUT_DENSITY, WITHOUT_CROSS, ANNEALED)
"""Of Fig. 7."""


def changed(override: str) -> Method:
    """The default search with one value changed, "name=value".

    Raises:
        UserError: no such value, or one that is not allowed: now, and not after all searches before it.
    """
    load_search(ANNEALED.preset, (override,))
    return Method(f"{ANNEALED.name}, {override}", overrides=(override,))


def pix2pix_of(run: Path) -> Method:
    """The method that a run of ``relumen train pix2pix`` is."""
    return Method("Pix2Pix", "pix2pix", run=run)


@dataclass(frozen=True)
class Made:
    """What a method made of n images.

    Attributes:
        images: (n, size, size, channels), clipped to 0..1.
        residual: mean absolute difference at low resolution, (n,).
        prior_distance: the mean of ||F(w_i)|| over an image's layers, (n,); not a number where no search made it.
    """

    images: Float32
    residual: Float32
    prior_distance: Float32


class Maker:
    """Makes images by any method at one factor; what was searched is kept in a folder and never searched again.

    Args:
        prior: of the searches, with its flow.
        operator: D of all methods.
        cache: a folder for what is found; made if need be.
        batch: images that are searched at once.
        seed: of the searches.
    """

    def __init__(self, prior: Prior, operator: ForwardOperator, cache: Path, *, batch: int = 4, seed: int = 0) -> None:
        self.prior = prior
        self.operator = operator
        self._cache = cache
        self._batch = batch
        self._seed = seed
        matrices = b"".join(np.ascontiguousarray(each).tobytes() for each in (operator.rows, operator.columns))
        known = f"{digest(prior.generator)} {digest(prior.flow)} {hashlib.sha256(matrices).hexdigest()} {seed}"
        self._known = known
        self._open: dict[tuple[Method, UncertaintyConfig, int], Several] = {}

    def __call__(self, method: Method, low: Float32, on_done: OnDone = lambda done, total: None) -> Made:
        """What a method makes of low-resolution images (n, m, m, channels), 0..1.

        Args:
            method: which.
            low: the images; each is made as if it were alone.
            on_done: told (images done, in all).

        Raises:
            UserError: a network that can't be read or is of another factor.
        """
        if method.kind == "search":
            return self._searched(method, low, on_done)
        if method.kind == "bicubic":
            images = enlarged(low, self.operator.size)
        else:
            from relumen.training.pix2pix import restored

            if method.run is None:
                raise UserError(f"{method.name} is a network: name its run.")
            images = restored(RunFolder.open(method.run), low)
        images = np.clip(images, 0, 1).astype(np.float32)
        on_done(len(low), len(low))
        residual = np.abs(self.operator(images) - low).mean((1, 2, 3))
        return Made(images, residual, np.full(len(low), np.nan, np.float32))

    def _searched(self, method: Method, low: Float32, on_done: OnDone) -> Made:
        config = self._config(method)
        told = f"{self._known} {config.model_dump_json()}"
        paths = [self._path(told, each) for each in low]
        missing = [i for i, path in enumerate(paths) if not _whole(path)]
        searcher = None
        for first in range(0, len(missing), self._batch):
            on_done(len(low) - len(missing) + first, len(low))
            part = missing[first : first + self._batch]
            searcher = searcher or Searcher(self.prior, self.operator, config, batch=min(self._batch, len(missing)))
            found = searcher(low[part], seed=[self._seed] * len(part))
            for at, i in enumerate(part):
                distance = found.prior_distance
                _keep(paths[i], found.images[at], found.residual[at], None if distance is None else distance[at].mean())
        on_done(len(low), len(low))
        kept = [_read(path) for path in paths]
        return Made(
            np.stack([each.images for each in kept]),
            np.array([each.residual for each in kept], np.float32),
            np.array([each.prior_distance for each in kept], np.float32),
        )

    def several(self, method: Method, low: Float32, uncertainty: UncertaintyConfig, count: int) -> Made:
        """``count`` solutions of a search for one low-resolution image (m, m, channels), kept likewise.

        Raises:
            UserError: solutions that can't be (see :class:`~relumen.search.uncertainty.Several`).
        """
        config = self._config(method)
        path = self._path(f"{self._known} {config.model_dump_json()} {uncertainty.model_dump_json()} {count}", low)
        if not _whole(path):
            key = (method, uncertainty, count)
            if key not in self._open:
                self._open[key] = Several(self.prior, self.operator, config, uncertainty, count)
            found = self._open[key](low, seed=self._seed)
            distance = found.prior_distance
            _keep(path, found.images, found.residual, None if distance is None else distance.mean(1))
        return _read(path)

    def _config(self, method: Method) -> SearchConfig:
        return load_search(method.preset, method.for_factor(self.operator.factor))

    def _path(self, told: str, low: Float32) -> Path:
        key = hashlib.sha256(told.encode() + np.ascontiguousarray(low, np.float32).tobytes()).hexdigest()
        folder = self._cache / key[:2]
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{key[2:26]}.npz"


def made_by_all(
    maker: Maker, methods: Sequence[Method], low: Float32, on_done: OnDone = lambda done, total: None
) -> Mapping[str, Made]:
    """What each method makes, by its name, with one account of what is done."""
    made = {}
    for index, method in enumerate(methods):

        def told(done: int, total: int, before: int = index * len(low)) -> None:
            on_done(before + done, len(methods) * len(low))

        made[method.name] = maker(method, low, told)
    return made


def _keep(path: Path, images: Float32, residual: Float32, distance: Float32 | None) -> None:
    """Stores images of values 0..1 with 16 bits, their residuals, and mean prior distances."""
    kept = np.rint(np.clip(images, 0, 1) * 65535).astype(np.uint16)
    away = np.full(np.shape(residual), np.nan) if distance is None else distance
    with file_appears_whole(path) as partial:
        np.savez_compressed(partial, image=kept, residual=residual, distance=np.asarray(away, np.float32))


def _whole(path: Path) -> bool:
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile), np.load(path) as kept:
        return {"image", "residual", "distance"} <= set(kept.files)
    return False


def _read(path: Path) -> Made:
    """What was kept: of one image, without the first axis, or of several solutions."""
    with np.load(path) as kept:
        return Made(kept["image"].astype(np.float32) / 65535, kept["residual"], kept["distance"])
