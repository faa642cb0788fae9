"""The C library's allocator, told what suits a process that works for long."""

from __future__ import annotations

import ctypes
import platform

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def share_one_heap() -> None:
    """Has all threads take memory from one heap; to be called before they are many.

    glibc by itself keeps up to eight heaps for each core, and what is freed in one is not used by another: where jobs
    run in threads that come and go, the process grows for hundreds of jobs. Nothing happens with other C libraries.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
