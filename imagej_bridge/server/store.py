"""Jobs that outlive the server: their states in SQLite, their images as files, each whole or not there.

FOLDER/
  jobs.sqlite              the states; locked by the server that has it open
  spare                    room that is given up for the end of a job when the disk is full
  incoming/                uploads that are not accepted yet; emptied at each start
  jobs/ID/input.tif        the image, until the job ends
  jobs/ID/checkpoint/      what the worker goes on from, until the job ends
  jobs/ID/result.tif       until it expires

A file is there before the row that says so, and a row says that a file is gone before it is. So wherever the server
is killed, the next one knows: a running job with a whole result is finished, any other one waits again.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, get_args
from uuid import uuid4

from relumen.errors import CheckFailedError, UserError

from .disk import no_room, storing, sync, write_whole
from .errors import DiskFullError, NoSuchJobError, QueueFullError
from .records import COLUMNS, ENDED, JobRecord, State, connect, record

_SPARE_BYTES = 1 << 20
_LINGER_S = 60  # a worker may still read the files of a job that was cancelled
_FORGET_AFTER = 10  # times the life of a result
_MOST_CRASHES = 5  # of servers that worked on one job
_RECENT = 20  # jobs that tell how long one takes
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


class JobStore:
    """The jobs of one server; safe to use from any thread.

    Args:
        folder: made where there is none.
        queue: jobs that may wait.
        expire_s: how long a result is kept, seconds.

    Raises:
        UserError: another server uses the folder, or it can't be used.
    """

    def __init__(self, folder: Path, *, queue: int, expire_s: float) -> None:
        self.incoming = folder / "incoming"
        self._folder = folder
        self._jobs = folder / "jobs"
        self._spare = folder / "spare"
        self._queue = queue
        self._expire_s = expire_s
        self._lock = RLock()
        self._callbacks: list[Callable[[JobRecord], None]] = []
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._jobs.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"The folder {folder} can't be made ({error.strerror}). Name another.") from error
        self._connection = connect(folder)
        shutil.rmtree(self.incoming, ignore_errors=True)
        self.incoming.mkdir(exist_ok=True)
        self._recover()
        self._save_room()

    def listen(self, callback: Callable[[JobRecord], None]) -> None:
        """Has a function told of each change of a state, in the thread that made it."""
        self._callbacks.append(callback)

    def add(
        self, kind: str, parameters: Mapping[str, Any], title: str, write_input: Callable[[Path], None]
    ) -> JobRecord:
        """Accepts a job: once this comes back, it outlives the server and the machine's power.

        Args:
            kind: "search" or "restoration".
            parameters: that JSON can hold.
            title: what the client calls it.
            write_input: writes the image, a TIFF, to the path that it is given.

        Raises:
            QueueFullError: too many jobs wait.
            DiskFullError: it can't be stored; nothing of it is left.
        """
        id = uuid4().hex
        self.check_room()
        folder = self._jobs / id
        try:
            with storing(folder):
                folder.mkdir()
                write_whole(folder / "input.tif", write_input)
                sync(self._jobs)
            with self._lock:
                self.check_room()
                self._execute(
                    "INSERT INTO jobs (id, kind, state, parameters, title, created) VALUES (?, ?, 'waiting', ?, ?, ?)",
                    (id, kind, json.dumps(dict(parameters)), title, time.time()),
                )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return self._told(id)

    def check_room(self) -> None:
        """Looks whether one more job may wait.

        Raises:
            QueueFullError: too many do.
        """
        ((waiting,),) = self._rows("SELECT count(*) FROM jobs WHERE state = 'waiting'")
        if waiting >= self._queue:
            raise QueueFullError(f"{waiting} jobs wait already, as many as this server keeps. Try again later.")

    def get(self, id: str) -> JobRecord:
        """What is stored of a job.

        Raises:
            NoSuchJobError: there is none of this id.
        """
        found = self._select("id = ?", id)
        if not found:
            raise NoSuchJobError("There is no such job here. It may have expired long ago; send the image again.")
        return found[0]

    def waiting(self) -> list[JobRecord]:
        """The jobs that wait, the oldest first."""
        return self._select("state = 'waiting' ORDER BY number")

    def place(self, id: str) -> int:
        """Which of the waiting jobs this is, from 1; 0: it doesn't wait."""
        ((place,),) = self._rows(
            "SELECT count(*) FROM jobs AS job JOIN jobs AS before ON before.number <= job.number "
            "WHERE job.id = ? AND job.state = 'waiting' AND before.state = 'waiting'",
            id,
        )
        return place

    def begin(self, id: str) -> bool:
        """Takes a waiting job to work on it; False where it doesn't wait any longer."""
        return self._change(id, "running", "waiting", started=time.time())

    def progressed(self, id: str) -> None:
        """Notes that a part of a running job is done: the server's sudden ends before do not count any longer.

        Raises:
            CheckFailedError: the disk is full.
        """
        with self._lock:
            self._execute("UPDATE jobs SET crashes = 0 WHERE id = ? AND crashes > 0", (id,))

    def requeue(self, id: str) -> None:
        """Puts a running job back to its old place among the waiting ones; its checkpoint stays."""
        self._change(id, "waiting", "running", started=None)

    def finish(self, id: str, write_result: Callable[[Path], None]) -> bool:
        """Stores a running job's result, whole on disk, and then its state.

        Args:
            id: the job.
            write_result: writes the image, a TIFF, to the path that it is given.

        Returns:
            False where the job doesn't run any longer; nothing of this result is left then.

        Raises:
            CheckFailedError: the disk is full; the job runs on.
        """
        if self.get(id).state != "running":
            return False
        result = self.result_path(id)
        prepared = result.with_name(f"{uuid4().hex}.tif")
        try:
            with storing(result.parent):
                write_whole(prepared, write_result)
            with self._lock:
                if self.get(id).state != "running":
                    return False
                with storing(result.parent):
                    os.replace(prepared, result)
                    sync(result.parent)
                self._change(id, "finished", "running", tell=False, ended=time.time())
        finally:
            prepared.unlink(missing_ok=True)
        self._clear(id)
        self._told(id)
        return True

    def fail(self, id: str, reason: str) -> bool:
        """Ends a job that waits or runs, for a reason in plain words; False where it had ended."""
        failed = self._change(id, "failed", "running", "waiting", ended=time.time(), reason=reason)
        if failed:
            self._clear(id)
        return failed

    def cancel(self, id: str) -> JobRecord:
        """Ends a job that waits or runs; one that had ended stays as it is.

        Raises:
            NoSuchJobError: there is none of this id.
        """
        waited = self.get(id).state == "waiting"
        if self._change(id, "cancelled", "running", "waiting", ended=time.time()) and waited:
            self._clear(id)  # else the worker has it still; see expire
        return self.get(id)

    def input_path(self, id: str) -> Path:
        """A job's image."""
        return self._jobs / id / "input.tif"

    def result_path(self, id: str) -> Path:
        """A job's result, once it is finished."""
        return self._jobs / id / "result.tif"

    def checkpoint_folder(self, id: str) -> Path:
        """Where the worker keeps what a job goes on from; removed some time after the job has ended.

        Raises:
            DiskFullError: it can't be made.
        """
        folder = self._jobs / id / "checkpoint"
        with storing(folder):
            folder.mkdir(exist_ok=True)
        return folder

    def expire(self, now: float) -> list[str]:
        """Removes what was kept for its time: results, later also rows, and what ended jobs left behind.

        Args:
            now: Unix time.

        Returns:
            The jobs whose files were removed; their state is "expired".
        """
        ended = self._select("state IN ('finished', 'failed', 'cancelled') AND ended < ?", now - _LINGER_S)
        expired = []
        for job in ended:
            if job.ended is not None and job.ended >= now - self._expire_s:
                self._clear(job.id)
            elif self._change(job.id, "expired", job.state):
                shutil.rmtree(self._jobs / job.id, ignore_errors=True)
                expired.append(job.id)
        with self._lock:
            forgotten = now - _FORGET_AFTER * self._expire_s
            self._execute("DELETE FROM jobs WHERE state = 'expired' AND ended < ?", (forgotten,))
        self._save_room()
        return expired

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state."""
        rows = self._rows("SELECT state, count(*) FROM jobs GROUP BY state")
        return dict.fromkeys(get_args(State), 0) | dict(rows)

    def typical_seconds(self) -> float | None:
        """How long the last jobs ran, their median; None where none has finished."""
        recent = self._select("started IS NOT NULL AND state = 'finished' ORDER BY ended DESC LIMIT ?", _RECENT)
        seconds = [job.ended - job.started for job in recent if job.ended is not None and job.started is not None]
        return statistics.median(seconds) if seconds else None

    def free_bytes(self) -> int:
        """Room on the disk."""
        return shutil.disk_usage(self._folder).free

    def close(self) -> None:
        """Lets another server have the folder."""
        with self._lock:
            self._connection.close()

    def _recover(self) -> None:
        for job in self._select("state NOT IN ('failed', 'cancelled', 'expired')"):
            has_result = self.result_path(job.id).is_file()
            if job.state == "finished" and not has_result:
                self._change(job.id, "failed", "finished", reason="Its result is gone from the server's disk.")
            elif job.state == "running" and has_result:  # killed between the two
                self._change(job.id, "finished", "running", ended=time.time())
            elif job.state != "finished" and not self.input_path(job.id).is_file():
                self.fail(job.id, "Its image is gone from the server's disk. Send it again.")
            elif job.state == "running":
                self._after_crash(job.id)
        kept = {job.id: job for job in self._select("state != 'expired'")}
        for folder in self._jobs.iterdir():
            job = kept.get(folder.name)
            if job is None:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            if job.state in ENDED:
                self._clear(job.id)
            for file in folder.iterdir():
                if file.is_file() and file.name not in ("input.tif", "result.tif"):  # cut short
                    file.unlink()
            if job.state != "finished":
                self.result_path(job.id).unlink(missing_ok=True)

    def _after_crash(self, id: str) -> None:
        """A job that brings every server down must not do so for ever."""
        with self._lock:
            self._execute("UPDATE jobs SET crashes = crashes + 1 WHERE id = ?", (id,))
            ((crashes,),) = self._rows("SELECT crashes FROM jobs WHERE id = ?", id)
        if crashes < _MOST_CRASHES:
            self.requeue(id)
        else:
            self.fail(
                id,
                f"The server ended {crashes} times, without warning, while it worked on this job and got no further.",
            )

    def _select(self, where: str, *values: object) -> list[JobRecord]:
        return [record(row) for row in self._rows(f"SELECT {COLUMNS} FROM jobs WHERE {where}", *values)]

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, _disk_told():
            return self._connection.execute(statement, values).fetchall()

    def _change(self, id: str, to: State, *possible: State, tell: bool = True, **columns: object) -> bool:
        """From one of the possible states to another, in one step: of two that want to, one does."""
        assignments = "".join(f", {column} = ?" for column in columns)
        marks = ", ".join("?" * len(possible))
        statement = f"UPDATE jobs SET state = ?{assignments} WHERE id = ? AND state IN ({marks})"
        values = (to, *columns.values(), id, *possible)
        with self._lock:
            try:
                changed = self._execute(statement, values) > 0
            except DiskFullError:
                if not self._spare.is_file():
                    raise
                self._spare.unlink()
                changed = self._execute(statement, values) > 0
        if changed and tell:
            self._told(id)
        return changed

    def _execute(self, statement: str, values: tuple[object, ...]) -> int:
        with _disk_told():
            return self._connection.execute(statement, values).rowcount

    def _told(self, id: str) -> JobRecord:
        record = self.get(id)
        for callback in self._callbacks:
            callback(record)
        return record

    def _clear(self, id: str) -> None:
        self.input_path(id).unlink(missing_ok=True)
        shutil.rmtree(self._jobs / id / "checkpoint", ignore_errors=True)

    def _save_room(self) -> None:
        if not self._spare.is_file():
            with suppress(UserError, CheckFailedError):  # the disk is full already
                write_whole(self._spare, lambda path: path.write_bytes(bytes(_SPARE_BYTES)))


@contextmanager
def _disk_told() -> Iterator[None]:
    """Tells of SQLite's disk as of any other file's."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _NO_ROOM:
            raise no_room(error) from error
        raise
