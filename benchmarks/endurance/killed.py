"""Runs a command of relumen that ends without warning, right before it changes the disk at a certain place.

    python killed.py FOLDER CHANGE NUMBER COMMAND ...

It is killed before its NUMBER-th CHANGE in FOLDER, such as "os.rename model.keras"; with NUMBER 0 never. Every change
is told in the file changes in the current folder, a line each. Changes are what Python's audit events tell of files in
FOLDER (opened to be written, renamed, linked, made, removed), the exchange of two folders, which relumen asks the C
library for, and each statement by which SQLite writes, wherever its database is. What other languages write with no
word to Python is no change here, such as TensorFlow's checkpoints: only a kill by the clock can come into that.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
from collections.abc import Callable
from threading import RLock
from typing import Any

from relumen.cli import main

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {
    "os.rename": (1, 3), "os.link": (1, 3), "os.symlink": (1, 2), "os.mkdir": (0, 2), "os.remove": (0, 1),
    "os.rmdir": (0, 1), "os.chmod": (0, 2), "os.truncate": (0, None),
}  # fmt: skip
"""Where among an event's arguments the path is that changes, and the open folder that it is relative to."""
_STATEMENT = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE|CREATE|COMMIT)\b.*?(?= WHERE | VALUES |$)", re.S)
_VARIES = re.compile(
    r"[0-9a-f]{32}|(?<=-)[a-z0-9_]{8}(?=\.partial)|(?<=step-)\d+|(?<=from-)\d+|(?<=[de]-)\d{5}|\d+\.\d+"
)


def watch(folder: str, change: str, number: int) -> None:
    """Has this process killed before a change; for good, since no audit hook can be taken away."""
    told, lock, left = open("changes", "a", buffering=1), RLock(), number

    def comes(name: str) -> None:
        nonlocal left
        name = _VARIES.sub("*", name)
        with lock:
            print(name, file=told)
            if name == change:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        base: object = None
        if event == "ctypes.dlsym" and arguments[1] == "renameat2":
            comes("renameat2")  # is called next
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES and _inside(folder, path, base):
                comes(f"open {os.path.basename(os.fsdecode(path))}")  # type: ignore[arg-type]
        elif event in _CHANGES:
            at, below = _CHANGES[event]
            base = None if below is None else arguments[below]
            if _inside(folder, arguments[at], base):
                comes(f"{event} {os.path.basename(os.fsdecode(arguments[at]))}")  # type: ignore[arg-type]

    sys.addaudithook(hook)
    _trace(comes)


def _trace(comes: Callable[[str], None]) -> None:
    """Has each statement told by which a database is written, before it is; each commits by itself.

    An audit event tells of connections too early to trace them, so what opens them is replaced.
    """
    connect = sqlite3.connect

    def statement(text: str) -> None:
        if found := _STATEMENT.match(text):
            comes(f"SQLite {' '.join(found[0].split())[:80]}")

    def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401  passed on
        connection = connect(*arguments, **options)
        connection.set_trace_callback(statement)
        return connection

    sqlite3.connect = connected


def _inside(folder: str, path: object, base: object) -> bool:
    """Whether a path, which may be relative to an open folder, is in a folder."""
    if not isinstance(path, str | bytes | os.PathLike):
        return False  # an open file
    below = os.path.realpath(f"/proc/self/fd/{base}") if isinstance(base, int) and base >= 0 else ""
    return f"{os.path.abspath(os.path.join(below, os.fsdecode(path)))}/".startswith(f"{folder}/")


if __name__ == "__main__":
    watch(os.path.abspath(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    sys.argv[:] = ["relumen", *sys.argv[4:]]
    main()
