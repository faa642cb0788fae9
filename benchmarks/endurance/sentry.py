"""Watches a process while it takes a hostile input: what it runs, writes and reads, and how much memory it takes.

What Python does is told by its audit events: processes and code that are run, pickled names that are looked up,
connections, files that are opened to be written anywhere but where results belong, and any file below outside/ or
/etc/passwd that is opened at all. What other languages do is seen in these places alone: reads by inotify in the
folders outside/, but not in folders inside them; writes by comparing before and after all of outside/, the home and the
input, the names in the folders above them up to the root's own parent, and what is called "written" in /tmp and in /.
Elsewhere a read or write, and any connection, by other languages would not be noticed.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

from opened import Opened

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
_CANARIES = ("this", "antigravity")
_ASKS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")
_DEVICES = ("/dev/null", "/dev/tty", "/proc/self/")
_SECRETS = ("/etc/passwd/",)
_WORKERS = "worker-"  # as hostile.py calls the roots of all
_TOLD_BY_NAME = (Path("/tmp"), Path("/"))


class Watch:
    """One folder with all that a process may and may not touch.

    root/outside/, root/sandbox/outside/    what nobody may write to or read, with files to be stolen
    root/sandbox/in/    the input; the current folder
    root/sandbox/out/   where results go, server/ a server's folder, and tmp/ for temporary files

    Args:
        root: made where there is none.
        secrets: a folder of the files to be stolen.

    Attributes:
        port: of this machine to which the process may connect; 0: to none.
        events: what was done that isn't allowed.
        grown: bytes by which the resident memory grew.
    """

    def __init__(self, root: Path, secrets: Path) -> None:
        self.root = root.resolve()
        self.input, self.output, self.temporary, self.home, self.server = (
            self.root / "sandbox" / name for name in ("in", "out", "tmp", "home", "server")
        )
        self.outside = self.root / "outside"
        self._outside = (self.outside, self.root / "sandbox" / "outside")
        for folder in (self.input, self.output, self.temporary, self.home, self.server):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in self._outside:
            shutil.copytree(secrets, folder, dirs_exist_ok=True)
        self._opened = Opened(self._outside)
        self._allowed = tuple(f"{folder}/" for folder in (self.output, self.temporary, self.server))
        self._forbidden = (*(f"{folder}/" for folder in self._outside), *_SECRETS)
        self._armed = False
        self.port = 0
        self.events: list[str] = []
        self.grown = 0
        sys.addaudithook(self._hook)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Meanwhile whatever isn't allowed is noted in ``events``."""
        before, self.events = self._seen(), []
        self._opened.since()  # the look itself
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
            self.events += [f"opened: {path}" for path in self._opened.since()]
            after = self._seen()
            self.events += [f"changed: {path}" for path in sorted(set(before.items()) ^ set(after.items()))]

    def _seen(self) -> dict[str, tuple[int, int]]:
        """Size and time of each file, but for where results belong."""
        paths = [path for folder in (*self._outside, self.home, self.input) for path in _files(folder)]
        paths += [*(self.root / "sandbox").iterdir(), *self.root.iterdir()]
        paths += [path for path in self.root.parent.iterdir() if not path.name.startswith((_WORKERS, "corpus"))]
        paths += [path for folder in _TOLD_BY_NAME for path in folder.iterdir() if "written" in path.name]
        found = {}
        for path in paths:
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
        elif event in _ASKS and not self._is_own(event, arguments):
            told = [each for each in arguments if not isinstance(each, socket)]
            self.events.append(f"asked the network: {event} {str(told)[:100]}")
        elif event == "open":
            path, _, flags = arguments
            self._touched(event, path, writes=isinstance(flags, int) and bool(flags & _WRITES))
        elif event in _CHANGES:
            for place, base in _CHANGES[event]:
                self._touched(event, arguments[place], -1 if base is None else arguments[base])

    def _is_own(self, event: str, arguments: tuple[object, ...]) -> bool:
        """Whether the server in this process is asked."""
        asked = arguments[:2] if event == "socket.getaddrinfo" else arguments[-1]
        return self.port > 0 and asked == ("127.0.0.1", self.port)

    def _touched(self, event: str, path: object, base: object = -1, *, writes: bool = True) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # an open file
        below = f"/proc/self/fd/{base}" if isinstance(base, int) and base >= 0 else ""
        resolved = os.path.join(os.path.realpath(os.path.join(below, os.path.dirname(os.fsdecode(path)))), "")
        resolved = os.path.join(resolved, os.path.basename(os.fsdecode(path))) + "/"
        if os.path.islink(resolved[:-1]) and event == "open":
            resolved = os.path.realpath(resolved[:-1]) + "/"
        if resolved.startswith(self._forbidden):
            self.events.append(f"{'wrote' if writes else 'read'} outside: {event} {resolved}")
        elif writes and not resolved.startswith((*self._allowed, *_DEVICES)):
            self.events.append(f"wrote elsewhere: {event} {resolved}")


def _importing() -> bool:
    """Whether the event is Python's own reading of a module."""
    return sys._getframe(2).f_code.co_filename.startswith("<frozen importlib")


def _files(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        yield from (Path(path) / name for name in (*folders, *names))


def _begin_of_peak() -> None:
    """Has the system count the most resident memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) << 10
