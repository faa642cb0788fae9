"""A server in a process of its own, for the scripts beside this file."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

RAW = {"Content-Type": "application/octet-stream"}
LONGEST_S = 600
"""How long anything may take that a script waits for, seconds."""

RELUMEN = (sys.executable, "-c", "from relumen.cli import main; main()")
"""The command line, as installed or as the import path has it."""


def upload(query: Mapping[str, object], image: np.ndarray) -> dict[str, Any]:
    """What ``httpx`` takes to post an image (y, x) or (channels, y, x) with a job's parameters."""
    told = {"shape": ",".join(map(str, image.shape)), "axes": "CYX"[-image.ndim :]}
    return {"params": {**query, **told}, "content": image.tobytes(), "headers": RAW}


class NotStartedError(Exception):
    """The server ended before it listened.

    Args:
        code: its exit code.
        complaints: the last of what it wrote.
    """

    def __init__(self, code: int, complaints: str) -> None:
        super().__init__(f"It ended with {code}: {complaints}")
        self.code = code


class Server:
    """``relumen serve`` as a process.

    Args:
        folder: where it keeps its jobs; what it complains of is added to a file beside it.
        options: of the command.
        program: that runs relumen's commands.
        kill_after_s: it is killed after so many seconds, wherever it is.

    Attributes:
        address: where it listens.
        pid: of its process.

    Raises:
        NotStartedError: see there.
    """

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        program: Sequence[str] = RELUMEN,
        kill_after_s: float | None = None,
    ) -> None:
        self.complaints = folder.with_name(f"{folder.name}.stderr")
        command = [*program, "serve", "--port", "0", "--folder", str(folder), *options]
        with self.complaints.open("ab") as stderr:
            self._process = subprocess.Popen(
                command, cwd=folder.parent, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        self.pid = self._process.pid
        if kill_after_s is not None:
            timer = threading.Timer(kill_after_s, self._process.kill)
            timer.daemon = True
            timer.start()
        assert self._process.stdout is not None
        found = (re.search(r"Listening at (http://[^ ]+)", line) for line in self._process.stdout)
        address = next((match.group(1) for match in found if match), None)
        if address is None:
            self._process.communicate()
            raise NotStartedError(self._process.returncode, self.complaints.read_text()[-2000:])
        self.address = address

    def wait_until_ready(self) -> None:
        """Until all is compiled that is to be."""
        end = time.monotonic() + LONGEST_S
        while httpx.get(f"{self.address}/v1/health", timeout=LONGEST_S).status_code != 200:
            if time.monotonic() > end:
                raise TimeoutError("The server did not become ready.")
            time.sleep(0.5)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def wait(self, seconds: float = LONGEST_S) -> int:
        """Waits for its end; gives its exit code.

        Raises:
            subprocess.TimeoutExpired: it didn't end.
        """
        self._process.communicate(timeout=seconds)
        return self._process.returncode

    def stop(self) -> int:
        """Ends it in good order; gives its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()
