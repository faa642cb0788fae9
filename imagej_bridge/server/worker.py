"""What the server asks of whatever does the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from relumen.configs import Frozen

from .board import Board
from .config import ServeConfig
from .store import JobStore

Entry = Mapping[str, str | int | float | bool]
"""A prior or a package in words and numbers; it has a "name"."""


class Worker(Protocol):
    """Takes the jobs of a :class:`.JobStore` in their order, and tells of them on a :class:`.Board`."""

    @property
    def ready(self) -> bool:
        """Whether all is compiled that is to be; jobs are accepted before."""
        ...

    def start(self) -> None:
        """Starts its threads, which compile and then work; comes back at once."""
        ...

    def check(self, kind: str, parameters: Frozen, image: Path) -> None:
        """Looks at what is asked for before it is accepted.

        Args:
            kind: "search" or "restoration".
            parameters: SearchParameters or RestorationParameters.
            image: a plain TIFF within the limits of images; it is moved afterwards.

        Raises:
            UserError: it can't be done, or there is no such prior or package; :class:`.TooLargeError` where the work
                or its result is beyond the server's limits.
        """
        ...

    def wake(self) -> None:
        """A job was added."""
        ...

    def cancelled(self, id: str) -> None:
        """A job was cancelled: it is to be left at the next step."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Ends after the present step, saves checkpoints, and requeues what ran; again is harmless."""
        ...

    def describe(self) -> Mapping[str, str | int | float | bool]:
        """What clients may know of it, such as the device."""
        ...

    def priors(self) -> Sequence[Entry]:
        """The priors that can be searched."""
        ...

    def packages(self) -> Sequence[Entry]:
        """The packages that can restore."""
        ...

    def package_zip(self, name: str) -> Path:
        """A package as a file.

        Raises:
            NotFoundError: there is none of this name.
        """
        ...


WorkerFactory = Callable[[ServeConfig, JobStore, Board], Worker]
"""Makes the worker of a server; it is started later."""
