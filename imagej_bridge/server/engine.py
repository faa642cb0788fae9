"""Searches for a moment at a time: what a replica does, in this process or in one of Ray's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import ForwardOperator, forward_operator
from relumen.search.config import SearchConfig, UncertaintyConfig, load_search
from relumen.search.loop import Searcher
from relumen.search.priors import Priors
from relumen.search.states import Progress, Search, SearchState, Solutions
from relumen.search.uncertainty import make_searcher

Float32 = NDArray[np.float32]

GPU_BATCH = 8
"""Searches at once on a GPU, where nothing else is said: a step of 8 takes 1.6 to 2.1 times as long as
one of 1 (benchmarks/long/search_step_xla.md). A CPU gains nothing by several."""
_KEPT = 8  # compiled steps
_WARM_FACTOR = 16


@dataclass(frozen=True)
class Task:
    """What searches of one batch have in common.

    Attributes:
        prior: its name.
        operator: D.
        config: what is minimised, and how.
        uncertainty: how solutions that are searched together have to do with each other.
        together: their number; 1 where every search is by itself.
        measured: for each of the prior's channels whether the images have it.
    """

    prior: str
    operator: ForwardOperator
    config: SearchConfig
    uncertainty: UncertaintyConfig
    together: int
    measured: tuple[bool, ...]


@dataclass(frozen=True)
class Moment:
    """Where searches are after some steps.

    Attributes:
        state: what they are gone on with from.
        terms: of the objective by name, weighted, each (n,), at the last step.
        residual: at the last step, (n,), in units of 0..1.
        images: the candidates at the last step, (n, size, size, channels).
        found: the solutions, where that was the last step of all.
    """

    state: SearchState
    terms: Mapping[str, Float32]
    residual: Float32
    images: Float32
    found: Solutions | None


class Lane(Protocol):
    """Whatever searches one batch at a time."""

    batch: int

    def close(self) -> None:
        """Gives free what it holds."""
        ...

    def advance(self, task: Task, searches: Sequence[Search], state: SearchState | None, seconds: float) -> Moment:
        """Goes on with searches for about so many seconds, at least one step.

        Raises:
            UserError, CheckFailedError: they can't be done.
        """
        ...


class Engine:
    """A lane in this process. It keeps nothing of a search: the state goes in and comes out.

    Args:
        priors: that can be searched.
        batch: searches at once. The step is always compiled for as many, so that an image doesn't depend on how many
            others were searched beside it.
    """

    def __init__(self, priors: Priors, batch: int) -> None:
        self.batch = batch
        self._priors = priors
        self._compiled: list[tuple[str, int, UncertaintyConfig, Searcher]] = []

    def advance(self, task: Task, searches: Sequence[Search], state: SearchState | None, seconds: float) -> Moment:
        """See :meth:`Lane.advance`."""
        until = time.monotonic() + seconds
        last: list[Progress] = []

        def on_step(progress: Progress) -> bool:
            last[:] = [progress]
            return time.monotonic() < until

        found = self._searcher(task).run(
            searches,
            measured=task.measured,
            operator=task.operator,
            config=task.config,
            resume=state,
            on_step=on_step,
        )
        now = last[0]
        return Moment(now.state(), now.terms, now.residual, now.images, None if found.ended else found)

    def close(self) -> None:
        """Forgets the compiled steps."""
        self._compiled.clear()

    def warm_up(self, task: Task) -> None:
        """Compiles the step of a task ahead of its first search."""
        self._searcher(task).warm_up()

    def _searcher(self, task: Task) -> Searcher:
        for entry in self._compiled:
            name, together, uncertainty, searcher = entry
            same = (name, together) == (task.prior, task.together)
            if same and (together == 1 or uncertainty == task.uncertainty):
                if searcher.allows(task.operator, task.config):
                    self._compiled.remove(entry)
                    self._compiled.append(entry)  # used last
                    return searcher
        searcher = make_searcher(
            self._priors.open(task.prior), task.operator, task.config, task.uncertainty, task.together, self.batch
        )
        self._compiled.append((task.prior, task.together, task.uncertainty, searcher))
        del self._compiled[:-_KEPT]
        return searcher


def warm_up_task(priors: Priors, name: str) -> Task:
    """What is compiled for a prior at the start: the default method at 16x, or the next factor below that it allows.

    Raises:
        UserError: there is no such prior.
    """
    entry = priors.describe(name)
    factor = max(each for each in entry.factors if each <= _WARM_FACTOR)
    measured = (True,) * len(entry.stains)
    operator = forward_operator(entry.size, factor)
    return Task(name, operator, load_search(), UncertaintyConfig(), 1, measured)
