"""The search on image files: results that say what they are, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.image_writing import as_type, result_type, write_image
from relumen.images import Image, read_image
from relumen.jobs import Job, OnProgress
from relumen.run import write_text
from relumen.search.plan import Found, Plan, Row, kinds, measured_pixels
from relumen.search.report import draw
from relumen.search.states import Progress, Search, Solutions
from relumen.search.uncertainty import make_searcher, searches
from relumen.spool import spooled
from relumen.tables import as_csv
from relumen.whole import file_appears_whole

Float32 = NDArray[np.float32]

ENDING = "rls"
SUFFIXES = (".tif", ".tiff")
"""Of results."""
_DPI = 110
_TABLE, _PICTURE = "-windows.csv", ".png"  # endings
_WORDS = {"best": "the solution that fits best", "mean": "mean of the solutions", "std": "their standard deviation"}


def beside(solutions: int) -> tuple[str, ...]:
    """Endings of the files that are written with a result, in place of its own."""
    return (_TABLE, _PICTURE, *(_ending(kind) for kind in kinds(solutions)[1:]))


def _ending(kind: str) -> str:
    return f"-{kind}.tif"


class FileSearch:
    """Searches the images of one command.

    Args:
        plan: what their searches have in common.
        batch: windows that are searched at once, where each has one solution; of several, all of a window are.

    Raises:
        UserError: as :func:`~relumen.search.uncertainty.make_searcher`.
    """

    def __init__(self, plan: Plan, batch: int) -> None:
        self._plan = plan
        count = plan.settings.solutions
        self._searcher = make_searcher(
            plan.prior, plan.operator, plan.config, plan.settings.uncertainty, count, batch if count == 1 else count
        )

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
        available = self._plan.channels.available
        if image.channels != available:
            raise UserError(
                f"{job.source} has {image.channels} channels, and the first image {available}. Images of one "
                "command share their channels: search this one by itself."
            )
        dtypes = {
            kind: result_type(image, "float32" if kind == "std" else job.output_type)
            for kind in kinds(self._plan.settings.solutions)
        }
        shape = self._plan.shape(image)
        rows: list[Row] = []
        folder = job.target.resolve().parent
        results = {kind: spooled(shape, dtype, folder) for kind, dtype in dtypes.items()}
        for plane in self._planes(image, on_progress):
            fields = self._plan.put_together(plane, image)
            at = tuple(plane[0].window.position.values())
            for kind, field in fields.items():
                results[kind][at] = as_type(np.moveaxis(field, -1, 0), dtypes[kind])
            if not rows:
                self._draw(job, image, plane, fields)
            rows += [row for each in plane for row in each.rows()]
        about = self._plan.about([row for row in rows if row["best"]])
        write_text(job.target.with_name(job.target.stem + _TABLE), as_csv(rows))
        for kind, values in reversed(results.items()):  # the best comes last
            path = job.target if kind == "best" else job.target.with_name(job.target.stem + _ending(kind))
            self._write(path, image, values, {**about, "this file": _WORDS.get(kind, kind)})

    def _planes(self, image: Image, on_progress: OnProgress) -> Iterator[list[Found]]:
        """What is found in each plane of a stack; windows of several planes are searched together."""
        plan, settings = self._plan, self._plan.settings
        windows = plan.windows(image)
        all_of_them = (
            search
            for window in windows
            for search in searches(
                plan.prior, settings.uncertainty, settings.solutions, plan.low(image, window), window.seed
            )
        )
        steps = self._plan.config.iterations
        total = steps * -(-len(windows) * settings.solutions // self._searcher.batch)
        plane: list[Found] = []
        open_windows, solved = iter(windows), list[Solutions]()
        for index, batch in enumerate(_batched(all_of_them, self._searcher.batch)):

            def on_step(progress: Progress, done: int = index * steps) -> None:
                on_progress(done + progress.iteration, total)

            together = self._searcher.run(batch, measured=plan.channels.measured, on_step=on_step)
            solved += [together.one(i) for i in range(len(batch))]
            while len(solved) >= settings.solutions:
                found = Found(next(open_windows), Solutions.joined(solved[: settings.solutions]))
                del solved[: settings.solutions]
                if plane and plane[0].window.position != found.window.position:
                    yield plane
                    plane = []
                plane.append(found)
        yield plane

    def _draw(self, job: Job, image: Image, plane: Sequence[Found], fields: Mapping[str, Float32]) -> None:
        """A picture of the first plane, for people."""
        to_prior = self._plan.intensities.to_prior
        low = to_prior(measured_pixels(image, plane[0].window.position, self._plan.channels))
        span = self._plan.intensities.white - self._plan.intensities.black
        shown = {kind: field / span if kind == "std" else to_prior(field) for kind, field in fields.items()}
        figure = draw(low, shown, plane[0].solutions, self._plan.prior.path.name, self._plan.channels)
        with file_appears_whole(job.target.with_name(job.target.stem + _PICTURE)) as partial:
            figure.savefig(partial, dpi=_DPI)

    def _write(self, path: Path, image: Image, values: NDArray[Any], about: Mapping[str, Any]) -> None:
        axes = "".join(axis for axis in image.axes if axis in "TZ") + "CYX"
        if values.shape[-3] == 1:
            values, axes = values[..., 0, :, :], axes.replace("C", "")
        plan = self._plan
        write_image(path, Image(values, axes, plan.pixel_size(image), plan.metadata(image, about)))


def _batched(searches: Iterator[Search], size: int) -> Iterator[list[Search]]:
    while batch := list(islice(searches, size)):
        yield batch
