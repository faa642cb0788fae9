"""What a request can fail of; :mod:`.answers` says which code of HTTP each becomes."""

from __future__ import annotations

from relumen.errors import CheckFailedError, UserError


class NotFoundError(UserError):
    """There is nothing of this name."""


class NoSuchJobError(NotFoundError):
    """There is no job of this id, or it was so long ago that it is forgotten."""


class NotFinishedError(UserError):
    """The job has no result, now or ever."""


class ExpiredError(UserError):
    """The job's result was kept for its time, and is removed."""


class TooLargeError(UserError):
    """More is asked for than the server's limits allow; the message says which, and what to do."""


class MediaTypeError(UserError):
    """A body that is neither a TIFF nor raw numbers."""


class SlowError(UserError):
    """A body that stopped coming."""


class QueueFullError(UserError):
    """As many jobs wait as the server keeps; try again later."""


class StoppingError(UserError):
    """The server takes no more jobs, for it is about to stop."""


class DiskFullError(CheckFailedError):
    """The server's disk has no room, or can't be written to."""
