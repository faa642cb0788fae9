"""Units of searches that are searched at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relumen.search.states import Search, SearchState, Solutions

from .engine import Task
from .searching import SearchJob


@dataclass
class Unit:
    """What is searched as a whole.

    Attributes:
        job: that it is of.
        number: its own in the job.
        state: where its search is; None: at the beginning.
        found: whether its solutions are kept.
    """

    job: SearchJob
    number: int
    state: SearchState | None
    found: bool = False

    def goes_with(self, other: Unit) -> bool:
        """Whether both can be in one batch."""
        steps = [0 if each.state is None else each.state.iteration for each in (self, other)]
        together = self.job.task.together > 1
        apart = self.job is not other.job and (self.job.alone or other.job.alone)
        return self.job.key == other.job.key and steps[0] == steps[1] and not together and not apart


@dataclass
class Batch:
    """Units that are searched at once.

    Attributes:
        task: what they have in common.
        units: all that are in it; those of dropped jobs are left out on the way.
        searches: of all units, in order.
        state: where they are; None: at the beginning.
    """

    task: Task
    units: list[Unit]
    searches: list[Search]
    state: SearchState | None

    @classmethod
    def of(cls, units: Sequence[Unit]) -> Batch:
        """A batch of units that go with each other."""
        states = [unit.state for unit in units if unit.state is not None]
        return cls(
            task=units[0].job.task,
            units=list(units),
            searches=[search for unit in units for search in unit.job.searches(unit.number)],
            state=None if not states else states[0] if len(states) == 1 else SearchState.joined(states),
        )

    @property
    def jobs(self) -> list[SearchJob]:
        """Each job that has a unit in it, once."""
        return list({unit.job.id: unit.job for unit in self.units}.values())

    def leave_out_dropped(self) -> bool:
        """Leaves out what nobody waits for; False where nothing is left."""
        kept = [i for i, unit in enumerate(self.units) if not unit.job.dropped]
        if kept and len(kept) < len(self.units):
            self.units = [self.units[i] for i in kept]
            self.searches = [self.searches[i] for i in kept]
            self.state = None if self.state is None else SearchState.joined([self.state.one(i) for i in kept])
        return bool(kept)

    def keep_state(self, state: SearchState) -> None:
        """Keeps where each unit's search is.

        Raises:
            CheckFailedError: the disk is full.
        """
        for i, unit in enumerate(self.units):
            unit.job.keep_state(unit.number, state if self.task.together > 1 else state.one(i))

    def keep_found(self, found: Solutions) -> None:
        """Keeps the solutions of each unit."""
        for i, unit in enumerate(self.units):
            unit.job.keep(unit.number, found if self.task.together > 1 else found.one(i))
            unit.found = True
