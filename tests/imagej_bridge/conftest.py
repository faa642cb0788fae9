"""A server with a worker that stands in, in this process without sockets, and in one of its own with them."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for standin
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


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts servers without sockets, with changes to their settings."""
    from standin import StandIn

    from relumen.imagej_bridge.server.config import ServeConfig
    from relumen.imagej_bridge.server.serve import running

    with ExitStack() as stack:

        def start(make_worker: Callable[..., Any] = StandIn, **settings: Any) -> Served:
            config = ServeConfig(**{"folder": tmp_path / "server", "min_free_bytes": 0, **settings})
            app, board, worker = stack.enter_context(running(config, make_worker))
            return Served(
                config, app, board, worker, httpx.Client(transport=InProcess(app), base_url="http://localhost")
            )

        yield start


@pytest.fixture
def served(serving: Callable[..., Served]) -> Served:
    return serving()


@pytest.fixture
def listening(serving: Callable[..., Served]) -> Iterator[Callable[..., Served]]:
    """Starts servers of this process with sockets; their clients ask through them."""
    from relumen.imagej_bridge.server.serve import Server

    with ExitStack() as stack:

        def start(**settings: Any) -> Served:
            served = serving(**settings)
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            server = Server(served.app, served.board, served.worker, served.config)
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, server, "should_exit", True)
            until(lambda: server.started)
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            served.client = stack.enter_context(httpx.Client(base_url=address, timeout=DEADLINE_S))
            return served

        yield start


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


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts servers in processes of their own; all on one folder unless it is named."""
    (tmp_path / "server").mkdir()
    started: list[Process] = []

    def start(*settings: str, folder: Path = tmp_path / "server", **how: Any) -> Process:
        started.append(Process(folder, *settings, **how))
        return started[-1]

    yield start
    for each in started:
        each.end()
