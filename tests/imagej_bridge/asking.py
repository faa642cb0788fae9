"""Those who ask a server: in this process without sockets, and one in a process of its own."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tifffile

HERE = Path(__file__).parent
DEADLINE_S = 60
TIFF = {"Content-Type": "image/tiff"}
RAW = {"Content-Type": "application/octet-stream"}
TEXT = {"Accept": "text/plain"}


def until(what: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Asks again and again until the answer is true, and gives it."""
    end = time.monotonic() + deadline_s
    while not (answer := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return answer


def tiff_bytes(pixels: np.ndarray | None = None, **how: Any) -> bytes:
    buffer = io.BytesIO()
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) if pixels is None else pixels
    tifffile.imwrite(buffer, pixels, **{"imagej": True, **how})
    return buffer.getvalue()


def read_tiff(answer: httpx.Response) -> tuple[np.ndarray, dict[str, Any]]:
    """The pixels of an answer, and what ImageJ knows of them."""
    with tifffile.TiffFile(io.BytesIO(answer.content)) as tiff:
        return tiff.asarray(), tiff.imagej_metadata


class InProcess(httpx.BaseTransport):
    """Asks an application without a socket, each time from a loop of its own."""

    def __init__(self, app: Any) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()  # in one piece, also where the headers promise many
        request = httpx.Request(request.method, request.url, headers=request.headers, stream=httpx.ByteStream(body))

        async def ask() -> httpx.Response:
            answer = await self._transport.handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(ask())


class Served:
    """A server without sockets, and one who asks it."""

    def __init__(self, config: Any, app: Any, board: Any, worker: Any, client: httpx.Client) -> None:
        self.config, self.app, self.board, self.worker, self.client = config, app, board, worker, client
        self.store = worker.store

    def search(self, body: bytes | None = None, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
        query = {"prior": "tiny", "factor": 2, **query}
        content = tiff_bytes() if body is None else body
        return self.client.post("/v1/searches", params=query, content=content, headers=TIFF | (headers or {}))

    def state(self, id: str) -> str:
        return self.client.get(f"/v1/jobs/{id}").json()["state"]

    def ended(self, id: str) -> dict[str, Any]:
        until(lambda: self.state(id) not in ("waiting", "running"))
        return self.client.get(f"/v1/jobs/{id}").json()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile the worker takes no step."""
        self.worker.hold.touch()
        yield
        self.worker.hold.unlink()


class Process:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *settings: str, command: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*command, sys.executable, str(HERE / "standin.py"), str(folder), *settings],
            stdout=subprocess.PIPE,
            stderr=(folder.parent / f"{folder.name}.stderr").open("ab"),
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if line.startswith("Stop with"):
                break
        assert self.lines, self.complaints()
        found = re.search(r"http://[^ ]+", self.lines[0])
        assert found, self.lines
        self.address = found.group()

    def complaints(self) -> str:
        return (self.folder.parent / f"{self.folder.name}.stderr").read_text()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()

    def terminate(self, how: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(how)

    def wait(self) -> int:
        self._process.communicate(timeout=DEADLINE_S)
        return self._process.returncode

    def end(self) -> None:
        if self._process.poll() is None:
            self.kill()
