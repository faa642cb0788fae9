"""Why a job is refused or fails, where searches and restorations say it alike."""

from __future__ import annotations

import logging

from relumen.errors import CheckFailedError, UserError

from .errors import TooLargeError
from .store import JobStore

logger = logging.getLogger("relumen.server")


def check_result(pixels: int, most: int, instead: str) -> None:
    """Whether a result is within the server's limit.

    Args:
        pixels: of the result, all planes together.
        most: that are allowed.
        instead: what to do where there are more.

    Raises:
        TooLargeError: there are.
    """
    if pixels > most:
        raise TooLargeError(
            f"The result would have {pixels:,} pixels, all planes together; this server makes {most:,}. {instead}"
        )


def took_too_long(seconds: float) -> str:
    """Why a job failed that reached the limit."""
    return (
        f"It took longer than the {seconds:g} seconds that this server gives a job. Take fewer iterations or "
        "solutions, or a selection of the image."
    )


def fail(store: JobStore, id: str, error: Exception) -> None:
    """Ends a job for an error: in its words where they are for users, else in ours, with the rest in the log.

    Raises:
        DiskFullError: it can't be stored.
    """
    if isinstance(error, UserError | CheckFailedError):
        store.fail(id, str(error))
        return
    logger.error("Job %s failed", id, exc_info=error)
    store.fail(id, _unexpected(error))


def _unexpected(error: Exception) -> str:
    if type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's
        return "The server's device has too little memory for it. Ask for smaller tiles, or for fewer searches at once."
    return f"The server failed at it ({type(error).__name__}: {error}). Its log says more."
