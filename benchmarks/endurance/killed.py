"""Runs a command of relumen that ends without warning, right before it changes the disk at a certain place.

    python killed.py FOLDER CHANGE NUMBER COMMAND ...

It is killed before its NUMBER-th CHANGE in FOLDER, such as "os.rename model.keras"; with NUMBER 0 never. Every change
is told in the file changes in the current folder, a line each.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from threading import RLock

from relumen.cli import main

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_VARIES = re.compile(r"[0-9a-f]{32}|(?<=-)[a-z0-9_]{8}(?=\.partial)|(?<=step-)\d+|(?<=from-)\d+|(?<=e-)\d{5}")


def watch(folder: str, change: str, number: int) -> None:
    """Has this process killed before a change; for good, since no audit hook can be taken away."""
    told, lock, left = open("changes", "a", buffering=1), RLock(), number

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITES:
                return
        elif event in ("os.rename", "os.link", "os.symlink"):
            path = arguments[1]
        elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate"):
            path = arguments[0]
        else:
            return
        if not isinstance(path, str | os.PathLike) or not os.path.abspath(path).startswith(folder):
            return
        name = f"{event} {_VARIES.sub('*', os.path.basename(path))}"
        with lock:
            print(name, file=told)
            if name == change:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    watch(os.path.abspath(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    sys.argv[:] = ["relumen", *sys.argv[4:]]
    main()
