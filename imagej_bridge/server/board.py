"""What is known of running jobs: posted by the worker's threads, read and waited for by the server's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock

from relumen.images import Image


@dataclass(frozen=True)
class Live:
    """How far a job is.

    Attributes:
        iteration: steps done in the present window, or windows that are searched together.
        iterations: steps of each.
        window: windows (or tiles) that are done.
        windows: of the whole image; 0: not known yet.
        residual: how far the solution is from the input at present.
        terms: of the objective, by name.
        message: one line for a status bar.
        moving: windows that are searched together at present.
    """

    iteration: int = 0
    iterations: int = 0
    window: int = 0
    windows: int = 0
    residual: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)
    message: str = ""
    moving: int = 1

    @property
    def progress(self) -> float:
        """The share that is done, 0 to 1."""
        within = self.iteration / self.iterations if self.iterations else 0.0
        return min(1.0, max(0.0, (self.window + self.moving * within) / max(1, self.windows)))


@dataclass
class _Entry:
    live: Live = Live()
    previews: int = 0
    newest: Image | None = None


class Board:
    """Live progress in memory; safe to use from any thread.

    Attributes:
        iterations: steps that all jobs did together since the start.
    """

    def __init__(self) -> None:
        self.iterations = 0
        self._lock = Lock()
        self._entries: dict[str, _Entry] = {}
        self._listeners: dict[str, set[_Listener]] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the server is about to stop: streams end, and no job is accepted."""
        return self._closed

    @property
    def listeners(self) -> int:
        """How many listen at present."""
        with self._lock:
            return sum(map(len, self._listeners.values()))

    def close(self) -> None:
        """Says that the server is about to stop."""
        self._closed = True
        self.all_changed()

    def post(self, id: str, live: Live) -> None:
        """Takes the place of what was known of a job."""
        with self._lock:
            entry = self._entries.setdefault(id, _Entry())
            before = entry.live
            same = before.window == live.window and before.iteration <= live.iteration
            self.iterations += live.iteration - before.iteration if same else live.iteration
            entry.live = live
        self.changed(id)

    def preview(self, id: str, image: Image) -> None:
        """Takes the place of a job's preview.

        Args:
            id: the job.
            image: float32, axes CYX, in units of the input; not changed afterwards.
        """
        with self._lock:
            entry = self._entries.setdefault(id, _Entry())
            entry.previews += 1
            entry.newest = image
        self.changed(id)

    def changed(self, id: str) -> None:
        """Wakes who listens to a job."""
        with self._lock:
            listeners = tuple(self._listeners.get(id, ()))
        for listener in listeners:
            listener.wake()

    def all_changed(self) -> None:
        """Wakes who listens to any job, such as those whose place in the queue has changed."""
        with self._lock:
            listeners = [each for group in self._listeners.values() for each in group]
        for listener in listeners:
            listener.wake()

    def read(self, id: str) -> tuple[Live, int]:
        """What is known of a job, and the number of its preview; 0: there is none."""
        with self._lock:
            entry = self._entries.get(id)
            return (Live(), 0) if entry is None else (entry.live, entry.previews if entry.newest else 0)

    def newest(self, id: str) -> Image | None:
        """A job's preview."""
        with self._lock:
            entry = self._entries.get(id)
            return None if entry is None else entry.newest

    def known(self) -> list[str]:
        """The jobs of which something is kept."""
        with self._lock:
            return list(self._entries)

    def forget(self, id: str) -> None:
        """Gives the memory of a job free."""
        with self._lock:
            self._entries.pop(id, None)

    @contextmanager
    def listening(self, id: str) -> Iterator[asyncio.Event]:
        """Gives an event that is set at each change of a job, and when the server stops; for the running event loop.

        Clear it before you read, so that no change is missed.
        """
        listener = _Listener()
        with self._lock:
            self._listeners.setdefault(id, set()).add(listener)
        try:
            yield listener.event
        finally:
            with self._lock:
                group = self._listeners[id]
                group.discard(listener)
                if not group:
                    del self._listeners[id]


class _Listener:
    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        with suppress(RuntimeError):  # its loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self.event.set)
