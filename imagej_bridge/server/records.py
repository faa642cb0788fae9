"""The rows of jobs, and the database that holds them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from relumen.errors import UserError

State = Literal["waiting", "running", "finished", "failed", "cancelled", "expired"]
ENDED: tuple[State, ...] = ("finished", "failed", "cancelled", "expired")
"""The states that a job doesn't leave, but for being expired."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    parameters TEXT NOT NULL,
    title TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    reason TEXT NOT NULL DEFAULT '',
    crashes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
"""
COLUMNS = "id, kind, state, parameters, title, created, started, ended, reason"


@dataclass(frozen=True)
class JobRecord:
    """What is stored of a job.

    Attributes:
        id: 32 hexadecimal digits.
        kind: "search" or "restoration".
        state: where it stands.
        parameters: as JSON has them.
        title: what its client calls it.
        created: when it was accepted; Unix time, as the others.
        started: when the work on it began last; None before.
        ended: when it came to its last state; None before.
        reason: why it failed; "" otherwise.
    """

    id: str
    kind: str
    state: State
    parameters: Mapping[str, Any]
    title: str
    created: float
    started: float | None
    ended: float | None
    reason: str


def connect(folder: Path) -> sqlite3.Connection:
    """The states in a folder, locked until the connection or the process ends.

    Raises:
        UserError: another process has them, or they can't be read.
    """
    try:
        connection = sqlite3.connect(folder / "jobs.sqlite", 0, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # of a killed process the lock goes with it
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        connection.execute("UPDATE jobs SET state = state WHERE false")  # a write takes the lock
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise UserError(f"Another server uses {folder}. Stop it first, or name another folder.") from error
        raise UserError(
            f"The jobs in {folder} can't be read ({error}). Name another folder, or move this one away."
        ) from error
    return connection


def record(row: tuple[Any, ...]) -> JobRecord:
    """A row of COLUMNS."""
    id, kind, state, parameters, *rest = row
    return JobRecord(id, kind, state, json.loads(parameters), *rest)
