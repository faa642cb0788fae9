"""What every route of one server works with."""

from __future__ import annotations

from dataclasses import dataclass

from .board import Board
from .config import ServeConfig
from .metrics import Metrics
from .store import JobStore
from .worker import Worker


@dataclass(frozen=True)
class Services:
    """The parts of one server."""

    config: ServeConfig
    store: JobStore
    board: Board
    worker: Worker
    metrics: Metrics

    @property
    def disk_is_full(self) -> bool:
        """Whether there is less room than a job needs."""
        return self.store.free_bytes() < self.config.min_free_bytes
