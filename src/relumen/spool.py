"""Arrays that may be larger than memory, in unnamed files that are gone with the process however it ends."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from relumen.errors import CheckFailedError
from relumen.whole import FULL

_PIECE = 1 << 24  # bytes


def spooled(shape: Sequence[int], dtype: DTypeLike, folder: Path | None = None) -> NDArray[Any]:
    """Zeros, mapped from a file whose room on the disk is taken at once.

    Where a file is mapped, a disk that turns out to be full ends the process without a word.

    Args:
        shape: of the array.
        dtype: of its values.
        folder: on whose disk it lies; None: where temporary files do.

    Raises:
        CheckFailedError: there is no room.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    place = tempfile.gettempdir() if folder is None else str(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            _take_room(file, size)
            return np.memmap(file, dtype, "r+", shape=tuple(shape))
    except OSError as error:
        if error.errno not in FULL:
            raise
        other = ", or name another folder in the environment variable TMPDIR" if folder is None else ""
        raise CheckFailedError(
            f"{place} has no room for {size / 1e6:,.0f} MB, which are needed on the way. Free some space{other}."
        ) from error


def _take_room(file: IO[bytes], size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, _PIECE):
        file.write(bytes(min(_PIECE, size - start)))
    file.flush()
