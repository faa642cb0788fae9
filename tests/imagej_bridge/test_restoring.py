"""The thread of restorations, without a network: what ends one, and that nothing ends the thread."""

import sqlite3
import threading

import pytest

from relumen.imagej_bridge.server import restoring
from relumen.imagej_bridge.server.board import Board
from relumen.imagej_bridge.server.config import ServeConfig
from relumen.imagej_bridge.server.packages import Packages
from relumen.imagej_bridge.server.restoring import Restorations
from relumen.imagej_bridge.server.store import JobStore

DEADLINE_S = 60


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "server", queue=10, expire_s=1000)
    yield store
    store.close()


@pytest.fixture
def restorations(store, tmp_path, monkeypatch):
    monkeypatch.setattr(restoring, "_LOOK_S", 0.01)
    restorations = Restorations(ServeConfig(folder=tmp_path), store, Board(), Packages(tmp_path / "packages"))
    yield restorations
    restorations.stop(DEADLINE_S)


def test_the_thread_outlives_a_database_that_can_not_be_read(store, restorations, monkeypatch):
    faults = [sqlite3.OperationalError("database is locked"), RuntimeError("anything")]
    waiting, read = store.waiting, threading.Event()

    def faulty():
        if faults:
            raise faults.pop()
        read.set()
        return waiting()

    monkeypatch.setattr(store, "waiting", faulty)
    restorations.start()
    assert read.wait(DEADLINE_S)


def test_a_cancel_leaves_the_job_that_runs_and_no_other(store, restorations, monkeypatch):
    class Network:
        def with_tiles(self, tile):
            return self

    parameters = {"package": "any", "tile": None}
    first, second = (store.add("restoration", parameters, "", lambda path: path.write_text("image")) for _ in range(2))
    told, over = [], threading.Event()

    def cancel(id):
        store.cancel(id)
        restorations.cancelled(id)

    def restore_file(source, restorer, target, on_tile, say):
        on_tile(1, 3)
        if source == store.input_path(first.id):
            restorations.cancelled("another")
            on_tile(2, 3)
            told.append("goes on")
            cancel(first.id)
            on_tile(3, 3)
            told.append("never")
        target.write_text("result")

    store.listen(lambda job: over.set() if job.state == "finished" else None)
    monkeypatch.setattr(restoring, "restore_file", restore_file)
    monkeypatch.setattr(restorations, "_network", lambda package: Network())
    restorations.start()
    assert over.wait(DEADLINE_S)
    assert told == ["goes on"]
    assert [store.get(job.id).state for job in (first, second)] == ["cancelled", "finished"]
