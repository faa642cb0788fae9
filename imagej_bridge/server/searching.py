"""One search job: its windows, what is found in them, and the image that they become."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import image_writer
from relumen.images import AXES, Image, read_image
from relumen.search.plan import OF_FRAMES, Found, Plan, Row, Window, kinds
from relumen.search.priors import Priors
from relumen.search.states import Search, SearchState, Solutions
from relumen.search.uncertainty import are_together, searches

from .board import Live
from .checkpoints import Checkpoints
from .engine import Moment, Task
from .parameters import SearchParameters

Float32 = NDArray[np.float32]

_LABELS = {"best": "", "mean": "mean", "std": "standard deviation"}


class SearchJob:
    """A search on its way.

    What is searched as a whole is a unit: a window, or one solution of a window, or all of its solutions together.

    Args:
        id: of the job.
        parameters: what is asked for.
        input: the low-resolution image.
        checkpoints: folder of what was found before.
        priors: that can be searched.

    Attributes:
        task: what all units have in common.
        key: of it; units of one key and equally many steps can be searched at once.
        pending: units that are neither found nor being searched.
        alone: whether its units are to be searched without those of other jobs.
        dropped: whether nobody waits for it any longer.
        taken: whether any of its units was chosen to be searched.
        turn: of all jobs, that with the smallest comes next.
        seconds: of search so far.

    Raises:
        UserError: it can't be done.
    """

    def __init__(self, id: str, parameters: SearchParameters, input: Path, checkpoints: Path, priors: Priors) -> None:
        self.id = id
        prior = priors.open(parameters.prior)
        self._image = read_image(input)
        self._plan: Plan = parameters.request(prior.path).plan([self._image], prior=prior)
        plan, settings = self._plan, self._plan.settings
        self._axis = solutions_axis(self._image.axes) if settings.solutions > 1 else ""
        self._windows: list[Window] = plan.windows(self._image)
        together = are_together(settings.uncertainty, settings.solutions)
        self._units = 1 if together else settings.solutions  # of each window
        self.task = Task(
            prior=parameters.prior,
            operator=plan.operator,
            config=plan.config,
            uncertainty=settings.uncertainty,
            together=settings.solutions if together else 1,
            measured=tuple(plan.channels.measured),
        )
        self.key = _key(self.task)
        self._checkpoints = Checkpoints(checkpoints, plan.identity)
        self._unsaved: dict[int, Solutions] = {}
        self._counting = Lock()
        every = range(len(self._windows) * self._units)
        self.pending = [unit for unit in every if self._checkpoints.found(unit) is None]
        self._in_all, self._missing = len(every), len(self.pending)
        self.alone = self.dropped = self.taken = False
        self.turn = 0
        self.seconds = 0.0
        self._previewed = 0

    @property
    def done(self) -> bool:
        """Whether all is found."""
        return not self._missing

    def state(self, unit: int) -> SearchState | None:
        """Where a unit's search was when it was kept last; None: at its beginning."""
        return self._checkpoints.state(unit)

    def searches(self, unit: int) -> list[Search]:
        """The searches of a unit."""
        window, index = divmod(unit, self._units)
        settings = self._plan.settings
        low = self._plan.low(self._image, self._windows[window])
        each = searches(self._plan.prior, settings.uncertainty, settings.solutions, low, self._windows[window].seed)
        return each if self._units == 1 else each[index : index + 1]

    def keep_state(self, unit: int, state: SearchState) -> None:
        """Has a unit's search be gone on with from here after a crash.

        Raises:
            CheckFailedError: the disk is full.
        """
        self._checkpoints.write_state(unit, state)

    def keep(self, unit: int, found: Solutions) -> None:
        """Takes a unit's solutions; in memory alone where the disk is full."""
        try:
            self._checkpoints.write_found(unit, found)
        except CheckFailedError:
            self._unsaved[unit] = found
        with self._counting:  # several lanes may search for one job
            self._missing -= 1

    def live(self, moment: Moment, at: int, moving: int) -> Live:
        """How far the job is.

        Args:
            moment: of the batch that holds some of its units.
            at: of the first of these in the batch.
            moving: how many of them.
        """
        iteration, iterations = moment.state.iteration, self.task.config.iterations
        residual = float(moment.residual[at])
        terms = {name: float(values[at]) for name, values in moment.terms.items()}
        told = [f"iteration {iteration} of {iterations}", f"residual {residual:.4f}"]
        told += [f"{name} {value:.3g}" for name, value in terms.items()]
        done = self._in_all - self._missing
        if self._in_all > 1:
            what = "window" if len(self._windows) > 1 else "solution"
            numbers = f" {done + 1}" if moving == 1 else f"s {done + 1} to {done + moving}"
            told.insert(0, f"{what}{numbers} of {self._in_all}")
        return Live(iteration, iterations, done, self._in_all, residual, terms, ", ".join(told), moving)

    def preview(self, moment: Moment, at: int, every: int) -> Image | None:
        """The candidate of one window in the input's units, where so many steps were done since the last one."""
        step = moment.state.iteration // every
        if step == self._previewed and moment.found is None:
            return None
        self._previewed = step
        pixels = np.moveaxis(self._plan.intensities.undone(moment.images[at]), -1, 0)
        return Image(pixels, "CYX", self._plan.pixel_size(self._image), {"mode": "composite"})

    def write_result(self, path: Path) -> None:
        """Writes the job's image: the solution, or all of them with their mean and standard deviation.

        Raises:
            CheckFailedError: the disk is full, or what was found is gone from it.
        """
        plan, image = self._plan, self._image
        shown = self._shown()
        axes, shape = self._layout(len(shown))
        rows = [row for found in self._found() for row in found.rows() if row["best"]]
        size, metadata = plan.pixel_size(image), self._metadata(rows, shown)
        with image_writer(path, shape, axes, np.float32, size, metadata) as writer:
            for _, windows in groupby(self._found(), lambda found: found.window.position):
                plane = list(windows)
                position = plane[0].window.position
                for index, field in enumerate(plan.put_together(plane, image)[kind] for kind in shown):
                    for channel in range(field.shape[-1]):
                        at = {**position, self._axis: index, "C": channel}
                        writer.write(tuple(at[axis] for axis in axes[:-2]), 0, field[..., channel])

    def _found(self) -> Iterator[Found]:
        for number, window in enumerate(self._windows):
            units = range(number * self._units, (number + 1) * self._units)
            parts = [self._unsaved.get(unit) or self._checkpoints.found(unit) for unit in units]
            whole = [part for part in parts if part is not None]
            if len(whole) < len(parts):
                raise CheckFailedError("What was found is gone from the server's disk. Send the image again.")
            yield Found(window, Solutions.joined(whole))

    def _shown(self) -> list[str]:
        """Kinds of what the result shows, in order: each solution, then mean and standard deviation."""
        every = kinds(self._plan.settings.solutions)
        return ["best"] if every == ("best",) else [*every[3:], "mean", "std"]

    def _layout(self, shown: int) -> tuple[str, tuple[int, ...]]:
        sizes = {axis: n for axis, n in self._image.sizes.items() if axis in "TZ"}
        sizes |= {"C": len(self._plan.channels.stains)}
        if self._axis:
            sizes[self._axis] = shown
        sizes |= {axis: self._plan.operator.factor * self._image.sizes[axis] for axis in "YX"}
        axes = "".join(axis for axis in AXES if axis in sizes)
        if sizes["C"] == 1:
            axes = axes.replace("C", "")
        return axes, tuple(sizes[axis] for axis in axes)

    def _metadata(self, rows: list[Row], shown: list[str]) -> dict[str, Any]:
        about = self._plan.about(rows)
        if self._axis:
            about["this image"] = f"along {self._axis}: {shown[0]} to {shown[-3]} are solutions, then mean, std"
        metadata = self._plan.metadata(self._image, about)
        if self._axis == "T":  # the result's frames are solutions
            metadata = {key: value for key, value in metadata.items() if key not in OF_FRAMES}
        metadata["Labels"] = self._labels(shown, self._plan.channels.stains)
        return metadata

    def _labels(self, shown: list[str], stains: tuple[str, ...]) -> list[str]:
        """Of all planes, T before Z before C."""
        counts = {axis: n for axis, n in self._image.sizes.items() if axis in "TZ"}
        if self._axis:
            counts[self._axis] = len(shown)
        names = [_LABELS.get(kind, f"solution {kind}") for kind in shown]
        labels = []
        for index in np.ndindex(*(counts.get(axis, 1) for axis in "TZ")):
            name = names[dict(zip("TZ", index, strict=True)).get(self._axis, 0)]
            labels += [", ".join(filter(None, (name, stain))) for stain in stains]
        return labels


def solutions_axis(axes: str) -> str:
    """Along which axis the solutions of an image of these axes lie: Z where it has none, else T.

    Raises:
        UserError: it has both.
    """
    free = [axis for axis in "ZT" if axis not in axes]
    if not free:
        raise UserError(
            "Several solutions need an axis of their own, and the image has slices and frames. Ask for one solution, "
            "or duplicate a single frame of the image first."
        )
    return free[0]


def _key(task: Task) -> str:
    """Equal for what can be searched at once."""
    d = task.operator
    digest = hashlib.sha256(b"".join(each.tobytes() for each in (d.rows, d.columns, d.gain))).hexdigest()
    form = task.uncertainty.model_dump_json() if task.together > 1 else ""
    parts = (task.prior, d.size, digest, task.config.model_dump_json(), form, task.together, task.measured)
    return " ".join(map(str, parts))


def check_size(parameters: SearchParameters, image: Image, channels: int) -> int:
    """Pixels of a search's result, all planes together.

    Raises:
        UserError: several solutions have nowhere to lie.
    """
    sizes: Mapping[str, int] = image.sizes
    planes = sizes.get("T", 1) * sizes.get("Z", 1) * channels
    if parameters.solutions > 1:
        solutions_axis(image.axes)
        planes *= parameters.solutions + 2
    return planes * sizes["Y"] * sizes["X"] * parameters.factor**2
