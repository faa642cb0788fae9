"""The documents that the server answers with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from .board import Board
from .store import JobStore, State


class JobStatus(BaseModel):
    """Where a job stands."""

    id: str = Field(description="32 hexadecimal digits.")
    kind: str = Field(description="'search' or 'restoration'.")
    state: State = Field(description="The last four are final.")
    title: str = Field(description="What the client calls it.")
    created: str = Field(description="When it was accepted, ISO 8601 in UTC.")
    place: int = Field(ge=0, description="Of a waiting job, from 1; else 0.")
    progress: float = Field(ge=0, le=1, description="The share that is done.")
    iteration: int = Field(description="Steps done in the present windows.")
    iterations: int = Field(description="Steps of each.")
    window: int = Field(description="Windows, or tiles, that are done.")
    windows: int = Field(description="Of the whole image; 0: not known yet.")
    residual: float | None = Field(description="How far the solution is from the input at present.")
    terms: dict[str, float | None] = Field(description="Of the objective at present.")
    message: str = Field(description="One line for a status bar.")
    preview: int = Field(ge=0, description="Changes with each new preview; 0: there is none.")
    reason: str = Field(description="Why it failed; else empty.")


class Health(BaseModel):
    """Whether the server works; what the worker tells of itself, such as the device, comes with it."""

    model_config: ClassVar[ConfigDict] = {"extra": "allow"}

    status: str = Field(description="'ready', 'starting', 'stopping' or 'disk full'.")
    version: str = Field(description="Of relumen.")
    queue: int = Field(description="Jobs that wait.")
    running: int = Field(description="Jobs that are worked on.")


class Fault(BaseModel):
    """Why a request failed."""

    detail: str = Field(description="In plain words, with what to do.")


def job_status(store: JobStore, board: Board, id: str) -> JobStatus:
    """Where a job stands.

    Raises:
        NoSuchJobError: there is none of this id.
    """
    job = store.get(id)
    live, preview = board.read(id)
    place = store.place(id) if job.state == "waiting" else 0
    return JobStatus(
        id=job.id,
        kind=job.kind,
        state=job.state,
        title=job.title,
        created=datetime.fromtimestamp(job.created, UTC).isoformat(timespec="milliseconds"),
        place=place,
        progress=1.0 if job.state == "finished" else live.progress,
        iteration=live.iteration,
        iterations=live.iterations,
        window=live.window,
        windows=live.windows,
        residual=_finite(live.residual),
        terms={name: _finite(value) for name, value in live.terms.items()},
        message=_message(job.state, place, job.reason, live.message),
        preview=preview,
        reason=job.reason,
    )


def _message(state: State, place: int, reason: str, live: str) -> str:
    said: Mapping[State, str] = {
        "waiting": "; ".join(filter(None, [f"waiting, place {place}", live])),
        "running": live or "started",
        "failed": "failed: " + " ".join(reason.split()),
    }
    return said.get(state, state)


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return None if value is None or not math.isfinite(value) else float(value)
