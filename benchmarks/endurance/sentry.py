"""Watches a process while it takes a hostile input: what it runs, what it writes, and how much memory it takes.

Python tells of files, processes and pickles by its audit events. What other languages write is found by looking at a
folder before and after: everything but the places where results belong is to be as it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY_LIMIT = 1536 << 20
"""Bytes by which the resident memory may grow for one input, at its most."""

_RUNS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pty.spawn")
_LOADS = ("pickle.find_class", "marshal.loads", "marshal.load", "webbrowser.open", "ftplib.connect", "urllib.Request")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = {
    "os.rename": ((0, 2), (1, 3)), "os.link": ((0, 2), (1, 3)), "os.symlink": ((1, 2),), "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),), "os.rmdir": ((0, 1),), "os.chmod": ((0, 2),), "os.chown": ((0, 3),),
    "os.utime": ((0, 3),), "os.truncate": ((0, None),),
}  # fmt: skip
"""Where among an event's arguments the paths are, and the open folders that they are relative to."""
_CANARIES = ("this", "antigravity", "idlelib")
_DEVICES = ("/dev/null", "/dev/tty", "/proc/self/")


class Watch:
    """One folder with all that a process may and may not touch.

    root/outside/    what nobody may write to, with a file to be stolen
    root/sandbox/in/ the input; the current folder
    root/sandbox/out/ where results go, server/ a server's folder, and tmp/ for temporary files

    Args:
        root: made where there is none.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.outside = self.root / "outside"
        self.input, self.output, self.temporary, self.home, self.server = (
            self.root / "sandbox" / name for name in ("in", "out", "tmp", "home", "server")
        )
        for folder in (self.outside, self.input, self.output, self.temporary, self.home, self.server):
            folder.mkdir(parents=True, exist_ok=True)
        (self.outside / "secret.txt").write_text("secret " * 100)
        self._allowed = tuple(f"{folder}/" for folder in (self.output, self.temporary, self.server))
        self._armed = False
        self.events: list[str] = []
        self.grown = 0
        sys.addaudithook(self._hook)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Meanwhile whatever isn't allowed is noted in ``events``."""
        before, self.events = self._seen(), []
        _begin_of_peak()
        resident = _status("VmRSS")
        self._armed = True
        try:
            yield
        finally:
            self._armed = False
            self.grown = max(0, _status("VmHWM") - resident)
            if self.grown > MEMORY_LIMIT:
                self.events.append(f"memory: {self.grown >> 20} MiB more")
            after = self._seen()
            self.events += [f"changed: {path}" for path in sorted(set(before.items()) ^ set(after.items()))]

    def _seen(self) -> dict[str, tuple[int, int]]:
        """Size and time of each file, but for where results belong."""
        found = {}
        for folder in (self.outside, self.home, self.input, self.root / "sandbox", self.root, Path("/tmp")):
            for path in folder.iterdir() if folder in (self.root / "sandbox", self.root) else _files(folder):
                if folder == Path("/tmp") and "written" not in path.name:
                    continue
                stat = path.lstat()
                is_folder = path.is_dir() and not path.is_symlink()
                found[str(path)] = (0, 0) if is_folder else (stat.st_size, stat.st_mtime_ns)
        return found

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._armed:
            return
        if event.startswith(_RUNS) or (event in _LOADS and not _importing()):
            self.events.append(f"ran: {event} {str(arguments)[:200]}")
        elif event == "import" and str(arguments[0]).partition(".")[0] in _CANARIES:
            self.events.append(f"ran: import {arguments[0]}")
        elif event in ("socket.connect", "socket.getaddrinfo") and "127.0.0.1" not in str(arguments):
            self.events.append(f"asked the network: {str(arguments[-1])[:100]} {event}")
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES:
                self._written(event, path)
        elif event in _CHANGES:
            for place, base in _CHANGES[event]:
                self._written(event, arguments[place], -1 if base is None else arguments[base])

    def _written(self, event: str, path: object, base: object = -1) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # an open file
        below = f"/proc/self/fd/{base}" if isinstance(base, int) and base >= 0 else ""
        resolved = os.path.join(os.path.realpath(os.path.join(below, os.path.dirname(os.fsdecode(path)))), "")
        resolved = os.path.join(resolved, os.path.basename(os.fsdecode(path))) + "/"
        if os.path.islink(resolved[:-1]) and event == "open":
            resolved = os.path.realpath(resolved[:-1]) + "/"
        if not resolved.startswith((*self._allowed, *_DEVICES)):
            self.events.append(f"wrote outside: {event} {resolved}")


def _importing() -> bool:
    """Whether the event is Python's own reading of a module."""
    return sys._getframe(2).f_code.co_filename.startswith("<frozen importlib")


def _files(folder: Path) -> Iterator[Path]:
    if folder == Path("/tmp"):
        yield from folder.iterdir()
        return
    for path, folders, names in os.walk(folder):
        yield from (Path(path) / name for name in (*folders, *names))


def _begin_of_peak() -> None:
    """Has the system count the most resident memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) << 10
