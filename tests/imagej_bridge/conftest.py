"""A server with a worker that stands in: in this process, without sockets or with them, and in one of its own."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside this file

from asking import DEADLINE_S, InProcess, Process, Served, until  # noqa: E402


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
