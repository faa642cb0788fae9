"""Tells which files of some folders any program opens: Linux's inotify, by the C library."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_OPENED, _IS_FOLDER, _OVERFLOWN = 0x20, 0x40000000, 0x4000
_HEAD = struct.Struct("iIII")


class Opened:
    """Folders in which each opening of a file is noted, in whatever language, and of the folders themselves.

    Args:
        folders: are there; folders inside them are not watched.

    Raises:
        OSError: the system has no inotify to give.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._handle = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._folders = {library.inotify_add_watch(self._handle, os.fsencode(each), _OPENED): each for each in folders}
        if self._handle < 0 or -1 in self._folders:
            raise OSError(ctypes.get_errno(), "inotify can't be had")

    def since(self) -> list[str]:
        """The paths that were opened since this was asked last, each once."""
        found: dict[str, None] = {}
        while True:
            try:
                data = os.read(self._handle, 1 << 16)
            except BlockingIOError:
                return list(found)
            while data:
                watch, mask, _, length = _HEAD.unpack_from(data)
                name = data[_HEAD.size : _HEAD.size + length].rstrip(b"\0")
                data = data[_HEAD.size + length :]
                if mask & _OVERFLOWN:
                    found["more than the system keeps"] = None
                elif mask & _OPENED:
                    path = os.path.join(self._folders[watch], os.fsdecode(name))
                    found[f"{path.rstrip('/')}/" if mask & _IS_FOLDER else path] = None
