"""The search on image files: planes of a stack, windows of a field, and results that say what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import ForwardOperator
from relumen.errors import UserError
from relumen.image_writing import as_type, file_appears_whole, result_type, write_image
from relumen.images import Image, read_image
from relumen.jobs import Job, OnProgress
from relumen.prior.folder import Prior, digest
from relumen.run import software, write_text
from relumen.search import METHOD
from relumen.search.config import SearchConfig
from relumen.search.fields import Mosaic, Tiling, windows
from relumen.search.intensity import Channels, Intensities
from relumen.search.loop import Progress, Searcher, Solutions
from relumen.search.report import draw
from relumen.search.uncertainty import Several, UncertaintyConfig
from relumen.tables import as_csv

Float32 = NDArray[np.float32]
Row = dict[str, float | str]

ENDING = "rls"
_POOLED, _FEWEST = 4_000_000, 64  # pixels by which intensities are matched: in all, and of a plane at least
_DPI = 110
_TABLE, _PICTURE = "-windows.csv", ".png"  # endings
_KEPT = ("finterval", "fps", "loop")  # ImageJ's entries that are true of the result too
_WORDS = {"best": "the solution that fits best", "mean": "mean of the solutions", "std": "their standard deviation"}


def beside(solutions: int) -> tuple[str, ...]:
    """Endings of the files that are written with a result, in place of its own."""
    return (_TABLE, _PICTURE, *(_ending(kind) for kind in _kinds(solutions)[1:]))


def _kinds(solutions: int) -> tuple[str, ...]:
    """Results by what they are, the one that has the target's name first."""
    return ("best",) if solutions == 1 else ("best", "mean", "std", *(str(i + 1) for i in range(solutions)))


def _ending(kind: str) -> str:
    return ".tif" if kind == "best" else f"-{kind}.tif"


@dataclass(frozen=True)
class Settings:
    """What a search of image files is told beside prior, operator and objective.

    Attributes:
        solutions: for each window; more than 1 are found together.
        uncertainty: how several are found.
        tiling: how a prior's view is laid over larger fields.
        batch: windows that are searched at once, where each has one solution.
        seed: of what is drawn.
        method: name of the objective's settings, for the record.
    """

    solutions: int = 1
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    tiling: Tiling = "auto"
    batch: int = 1
    seed: int = 0
    method: str = METHOD


@dataclass(frozen=True)
class Found:
    """What was found in one window.

    Attributes:
        position: (T, Z) of its plane, as {axis: index}.
        window: its top and left, low-resolution pixels.
        solutions: one, or several.
    """

    position: Mapping[str, int]
    window: tuple[int, int]
    solutions: Solutions

    @property
    def best(self) -> int:
        """Which solution fits best at low resolution."""
        return int(np.argmin(self.solutions.residual))

    def rows(self) -> list[Row]:
        """What is known of each solution, by the names of a table's columns; planes and solutions counted from 1."""
        s = self.solutions
        return [
            {
                **{axis: index + 1 for axis, index in self.position.items()},
                "top": self.window[0],
                "left": self.window[1],
                "solution": i + 1,
                "best": int(i == self.best),
                "residual": float(s.residual[i]),
                "prior_distance": "" if s.prior_distance is None else float(s.prior_distance[i].mean()),
                "iteration": int(s.iteration[i]),
                **{name: float(values[i]) for name, values in s.terms.items()},
            }
            for i in range(len(s.residual))
        ]


class FileSearch:
    """Searches the images of one command, which share channels and intensities.

    Args:
        prior: generator and flow.
        operator: D.
        config: what is minimised.
        settings: all else.
        channels: which of the images' channels is which of the prior's.
        intensities: what the prior's black and white are in the images.

    Raises:
        UserError: as :class:`~relumen.search.loop.Searcher` and :class:`~relumen.search.uncertainty.Several`.
    """

    def __init__(
        self,
        prior: Prior,
        operator: ForwardOperator,
        config: SearchConfig,
        settings: Settings,
        channels: Channels,
        intensities: Intensities,
    ) -> None:
        self._prior = prior
        self._operator = operator
        self._config = config
        self._settings = settings
        self._channels = channels
        self._intensities = intensities
        if settings.solutions == 1:
            self._searcher = Searcher(prior, operator, config, batch=settings.batch)
        else:
            self._searcher = Several(prior, operator, config, settings.uncertainty, settings.solutions)

    def __call__(self, job: Job, on_progress: OnProgress = lambda done, total: None) -> None:
        """Searches one image, and writes the result with what stands beside it.

        Args:
            job: its target gets the best solution, height and width times the factor, with the prior's channels.
            on_progress: told (steps done, steps in all).

        Raises:
            UserError: the image can't be read, is smaller than the prior's view or has fewer channels than the first,
                or the result can't be written.
            CheckFailedError: the disk is full.
        """
        image = read_image(job.source, job.axes)
        if image.channels != self._channels.available:
            raise UserError(
                f"{job.source} has {image.channels} channels, and the first image {self._channels.available}. Images "
                "of one command share their channels: search this one by itself."
            )
        kinds = _kinds(self._settings.solutions)
        dtypes = {kind: result_type(image, "float32" if kind == "std" else job.output_type) for kind in kinds}
        shape = self._shape(image)
        rows: list[Row] = []
        with TemporaryDirectory(prefix=".relumen-search-", dir=job.target.resolve().parent) as spool:
            results = {
                kind: np.lib.format.open_memmap(Path(spool) / f"{kind}.npy", mode="w+", dtype=dtype, shape=shape)
                for kind, dtype in dtypes.items()
            }
            for plane in self._planes(image, on_progress):
                fields = self._put_together(plane, image)
                at = tuple(plane[0].position.values())
                for kind, field in fields.items():
                    results[kind][at] = as_type(np.moveaxis(field, -1, 0), dtypes[kind])
                if not rows:
                    self._draw(job, image, plane, fields)
                rows += [row for each in plane for row in each.rows()]
            about = self._about([row for row in rows if row["best"]])
            write_text(job.target.with_name(job.target.stem + _TABLE), as_csv(rows))
            for kind, values in reversed(results.items()):  # the best comes last
                path = job.target.with_name(job.target.stem + _ending(kind))
                self._write(path, image, values, {**about, "this file": _WORDS.get(kind, kind)})

    def _shape(self, image: Image) -> tuple[int, ...]:
        """Of a result: T and Z where the image has them, channels, height and width."""
        sizes = image.sizes
        before = [sizes[axis] for axis in image.axes if axis in "TZ"]
        height, width = (self._operator.factor * sizes[axis] for axis in "YX")
        return (*before, len(self._channels.stains), height, width)

    def _planes(self, image: Image, on_progress: OnProgress) -> Iterator[list[Found]]:
        """What is found in each plane of a stack; windows of several planes are searched together."""
        laid = lay(image, self._channels, self._operator, self._settings.tiling)
        size = self._searcher.batch if isinstance(self._searcher, Searcher) else 1
        total = self._config.iterations * -(-len(laid) // size)
        plane: list[Found] = []
        for batch, first in enumerate(range(0, len(laid), size)):
            part = laid[first : first + size]
            view = self._operator.low_size
            low = np.stack(
                [
                    self._intensities.to_prior(
                        measured_pixels(image, position, self._channels, np.s_[top : top + view, left : left + view])
                    )
                    for position, (top, left) in part
                ]
            )

            def on_step(progress: Progress, done: int = batch * self._config.iterations) -> None:
                on_progress(done + progress.iteration, total)

            seeds = [self._settings.seed + index for index in range(first, first + len(part))]
            measured = self._channels.measured
            if isinstance(self._searcher, Several):
                solved = [self._searcher(low[0], seed=seeds[0], measured=measured, on_step=on_step)]
            else:
                together = self._searcher(low, seed=seeds, measured=measured, on_step=on_step)
                solved = [together.one(i) for i in range(len(part))]
            for (position, window), solutions in zip(part, solved, strict=True):
                if plane and plane[0].position != position:
                    yield plane
                    plane = []
                plane.append(Found(position, window, solutions))
        yield plane

    def _put_together(self, plane: Sequence[Found], image: Image) -> dict[str, Float32]:
        """The results of a plane by kind, (y, x, channels) in the image's units."""
        n = self._settings.solutions
        shape = (image.sizes["Y"], image.sizes["X"])
        mosaics = [
            Mosaic(shape, self._operator.factor, self._operator.low_size, len(self._channels.stains))
            for _ in range(n + 1)
        ]
        for each in plane:
            for mosaic, index in zip(mosaics, (each.best, *range(n)), strict=True):
                mosaic.add(each.window, each.solutions.images[index])
        fields = [mosaic.field for mosaic in mosaics]
        undone = [self._intensities.undone(field) for field in fields]
        if n == 1:
            return {"best": undone[0]}
        spread = self._intensities.spread_undone(np.std(fields[1:], axis=0))
        results = {"best": undone[0], "mean": np.mean(undone[1:], axis=0), "std": spread}
        return results | {str(i + 1): field for i, field in enumerate(undone[1:])}

    def _draw(self, job: Job, image: Image, plane: Sequence[Found], fields: Mapping[str, Float32]) -> None:
        """A picture of the first plane, for people."""
        to_prior = self._intensities.to_prior
        low = to_prior(measured_pixels(image, plane[0].position, self._channels))
        span = self._intensities.white - self._intensities.black
        shown = {kind: field / span if kind == "std" else to_prior(field) for kind, field in fields.items()}
        figure = draw(low, shown, plane[0].solutions, self._prior.path.name, self._channels)
        with file_appears_whole(job.target.with_name(job.target.stem + _PICTURE)) as partial:
            figure.savefig(partial, dpi=_DPI)

    def _about(self, rows: Sequence[Row]) -> dict[str, Any]:
        """What is known of a result, for its metadata; of the best solution in each window."""
        settings, typical = self._settings, self._prior.generator.architecture.w_dim**0.5
        several = {} if settings.solutions == 1 else {"uncertainty": settings.uncertainty.model_dump_json()}
        terms = [name for name in self._searcher.terms if name in rows[0]]
        return {
            "synthesised": "by relumen search. No microscope took this image: it is one of many that fit the "
            "low-resolution image.",
            "prior": f"{self._prior.path.name}, generator {digest(self._prior.generator)[:12]}",
            "D": self._operator.description,
            "method": f"{settings.method} {self._config.model_dump_json(exclude_defaults=True)}",
            "solutions": settings.solutions,
            **several,
            "seed": settings.seed,
            "channels": self._channels.describe(),
            "intensities, black to white": self._intensities.describe(self._channels.stains),
            "windows": len(rows),
            "residual": f"{_told(rows, 'residual')}, mean absolute difference at low resolution; 1 is black to white",
            "prior distance": f"{_told(rows, 'prior_distance')}, mean ||F(w)||; {typical:.1f} is typical of the prior",
            "losses": ", ".join(f"{name} {_told(rows, name)}" for name in terms),
            "software": software(),
        }

    def _write(self, path: Path, image: Image, values: NDArray, about: Mapping[str, Any]) -> None:
        axes = "".join(axis for axis in image.axes if axis in "TZ") + "CYX"
        if values.shape[-3] == 1:
            values, axes = values[..., 0, :, :], axes.replace("C", "")
        metadata = {key: value for key, value in image.metadata.items() if key in _KEPT}
        metadata["Info"] = "\n".join(f"{key}: {value}" for key, value in about.items())
        if "C" in axes:
            metadata["mode"] = "composite"
        size = None if image.pixel_size is None else image.pixel_size.divided(self._operator.factor)
        write_image(path, Image(values, axes, size, metadata))


def lay(
    image: Image, channels: Channels, operator: ForwardOperator, tiling: Tiling
) -> list[tuple[dict[str, int], tuple[int, int]]]:
    """The windows of every plane of an image, each with the plane's position.

    Raises:
        UserError: as :func:`~relumen.search.fields.windows`.
    """
    dna = channels.stains.index("DNA") if "DNA" in channels.stains else None
    if dna is not None and channels.source[dna] is None:
        dna = None
    laid = []
    for position in image.positions():
        pixels = measured_pixels(image, position, channels)
        nuclei = None if dna is None else pixels[..., dna]
        height, width, _ = pixels.shape
        found = windows(nuclei, (height, width), operator.low_size, operator.factor, tiling)
        laid += [(position, window) for window in found]
    return laid


def measured_pixels(
    image: Image, position: Mapping[str, int], channels: Channels, window: tuple[slice, slice] = np.s_[:, :]
) -> Float32:
    """A window of a plane (y, x, channels of the prior) in the image's units; 0 where a channel wasn't measured."""
    seen = {index: image.plane(position, index)[window] for index in channels.source if index is not None}
    none = np.zeros_like(next(iter(seen.values())))
    return np.stack([none if i is None else seen[i] for i in channels.source], -1).astype(np.float32)


def pooled_pixels(images: Sequence[Image], channels: Channels) -> Float32:
    """Pixels (n, channels of the prior) of all images, drawn at random where there are many; 0 where not measured."""
    rng = np.random.default_rng(0)
    planes = [(image, position) for image in images for position in image.positions()]
    most = max(_POOLED // len(planes), _FEWEST)
    pool = []
    for image, position in planes:
        pixels = measured_pixels(image, position, channels).reshape(-1, len(channels.stains))
        pool.append(pixels if len(pixels) <= most else pixels[rng.integers(len(pixels), size=most)])
    return np.concatenate(pool)


def _told(rows: Sequence[Row], name: str) -> str:
    """The mean over windows, and the greatest."""
    values = [float(row[name]) for row in rows if row[name] != ""]
    if not values:
        return "unknown: no flow"
    return f"{np.mean(values):.4g}" + (f" (at most {max(values):.4g})" if len(values) > 1 else "")
