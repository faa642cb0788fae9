"""What Prometheus reads of a server."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from .board import Board
from .store import JobRecord, JobStore
from .worker import Worker

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600)


class Metrics:
    """Counts of one server, since its start."""

    def __init__(self, store: JobStore, board: Board, worker: Worker) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Present(store, board, worker))
        self._accepted = Counter("relumen_jobs_accepted", "Jobs accepted.", ["kind"], registry=self._registry)
        self._ended = Counter("relumen_jobs_ended", "Jobs ended.", ["kind", "state"], registry=self._registry)
        self._refused = Counter(
            "relumen_submissions_refused",
            "Jobs refused, by HTTP code.",
            ["kind", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "relumen_job_seconds", "Work on a finished job.", ["kind"], buckets=_BUCKETS, registry=self._registry
        )
        self._waited = Histogram(
            "relumen_job_waiting_seconds",
            "From a job's acceptance to the work on it.",
            ["kind"],
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def changed(self, job: JobRecord) -> None:
        """Counts a change of a job's state."""
        if job.state == "running" and job.started is not None:
            self._waited.labels(job.kind).observe(max(0.0, job.started - job.created))
        elif job.state in ("finished", "failed", "cancelled"):
            self._ended.labels(job.kind, job.state).inc()
            if job.state == "finished" and job.started is not None and job.ended is not None:
                self._seconds.labels(job.kind).observe(max(0.0, job.ended - job.started))

    def accepted(self, kind: str) -> None:
        """Counts a job that was accepted."""
        self._accepted.labels(kind).inc()

    def refused(self, kind: str, code: int) -> None:
        """Counts a job that was not."""
        self._refused.labels(kind, str(code)).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus's format."""
        return generate_latest(self._registry)


class _Present(Collector):
    """What is so at the moment of the question."""

    def __init__(self, store: JobStore, board: Board, worker: Worker) -> None:
        self._store = store
        self._board = board
        self._worker = worker

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        counts = self._store.counts()
        yield GaugeMetricFamily("relumen_jobs_waiting", "Jobs that wait.", counts["waiting"])
        yield GaugeMetricFamily("relumen_jobs_running", "Jobs that are worked on.", counts["running"])
        yield GaugeMetricFamily("relumen_ready", "1 once all is compiled.", float(self._worker.ready))
        yield GaugeMetricFamily("relumen_disk_free_bytes", "Room on the jobs' disk.", self._store.free_bytes())
        yield GaugeMetricFamily("relumen_event_streams", "Clients that listen to a job.", self._board.listeners)
        yield CounterMetricFamily("relumen_iterations", "Steps of all searches.", self._board.iterations)
