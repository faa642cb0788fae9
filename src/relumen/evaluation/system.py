"""What the evaluations of the systems differ in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from relumen.degrade import Degradation
from relumen.evaluation.published import Paper, Published
from relumen.training.settings import RestorationConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from relumen.evaluation.scores import Evaluation

C = TypeVar("C", bound=RestorationConfig)


@dataclass(frozen=True)
class Milestone:
    """A network that a run keeps beside its last one.

    Attributes:
        name: as :meth:`~relumen.run.RunFolder.milestone_file` takes it.
        words: that follow the run's name in tables.
        kept: when a run keeps it.
    """

    name: str
    words: str
    kept: str


class Runs(ABC, Generic[C]):
    """The runs that an evaluation takes.

    Attributes:
        name: of the evaluation, in commands.
        config: of its runs.
        paper: what was published for them.
        milestone: a network of a run that is evaluated by its own name.
        examples: images of each condition and channel that are kept for the figures.
    """

    name: str
    config: type[C]
    paper: Paper
    milestone: Milestone | None = None
    examples: int = 1

    @property
    def systems(self) -> str:
        """Of whose training they are, in words."""
        return self.name

    @abstractmethod
    def published(self, config: C, milestone: str | None) -> Published | None:
        """The row of the same training, where there is one.

        Args:
            config: of a run that came to its end.
            milestone: the name of the network, where it isn't the last one.
        """

    def remarks(self, name: str, config: C, milestone: str | None) -> list[str]:
        """What else a reader must know of a run that came to its end, in sentences; arguments as of published."""
        return []


class System(Runs[C]):
    """A system as its evaluation sees it: its networks magnify, and their inputs may be made."""

    @abstractmethod
    def degradation(self, scale: int) -> Degradation:
        """How inputs are made for a magnification where no run tells."""

    @abstractmethod
    def figures(self, evaluation: Evaluation) -> Iterator[tuple[str, Figure]]:
        """Each figure with the name of its file, which begins with "figure-"."""
