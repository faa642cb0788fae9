"""The server as a whole: everything but the sockets, and the process that serves until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from relumen.errors import CheckFailedError, UserError

from .app import make_app
from .board import Board
from .config import ServeConfig
from .errors import NoSuchJobError
from .store import ENDED, JobStore
from .worker import Worker, WorkerFactory

_SWEEP_S = 30
_LAST_ANSWERS_S = 5
_log = logging.getLogger(__name__)


@contextmanager
def running(config: ServeConfig, make_worker: WorkerFactory) -> Iterator[tuple[FastAPI, Board, Worker]]:
    """A server without sockets: its application, ready to be asked, while its worker works.

    At the end no job is accepted, event streams end, and what runs is put back with its checkpoint.

    Args:
        config: of it.
        make_worker: makes the worker, which is started.

    Raises:
        UserError: another server uses the folder, or it can't be used.
    """
    store, board = JobStore(config.folder, queue=config.queue, expire_s=config.expire_s), Board()
    over = threading.Event()
    sweeper = threading.Thread(target=_sweep, args=(store, board, over), name="relumen-sweeper", daemon=True)
    try:
        worker = make_worker(config, store, board)
        app = make_app(config, store, board, worker)
        worker.start()
        try:
            sweeper.start()
            yield app, board, worker
        finally:
            board.close()
            worker.stop(config.drain_s)
            over.set()
            sweeper.join()
    finally:
        store.close()


def serve(config: ServeConfig, make_worker: WorkerFactory, say: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT; then takes no more jobs, lets the worker put back what runs, and comes back.

    Args:
        config: what to serve, and where.
        make_worker: makes the worker.
        say: told where the server listens.

    Raises:
        UserError: the address is taken or isn't this machine's, or as :func:`running`.
    """
    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # of strangers' files
    with _listening(config) as listener, running(config, make_worker) as (app, board, worker):
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        say(f"Listening at {address} ({address}/docs); {'with' if config.token else 'without'} a token.")
        say(f"Jobs are kept in {config.folder}, results for {config.expire_s / 3600:g} hours.")
        say(f"Priors: {', '.join(str(each['name']) for each in worker.priors()) or 'none'}.")
        say("Stop with Ctrl+C or SIGTERM: jobs that run are put back, and go on from their checkpoints next time.")
        Server(app, board, worker, config).run([listener])
    say("Stopped.")


class Server(uvicorn.Server):
    """uvicorn, which answers questions while the worker stops, so that clients hear why no job is taken."""

    def __init__(self, app: FastAPI, board: Board, worker: Worker, config: ServeConfig) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_ANSWERS_S,
            )
        )
        self._board = board
        self._worker = worker
        self._drain_s = config.drain_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Task[None] | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Until the stop is over."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes a signal; in its handler no lock can be waited for."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_stop, sig)

    def _begin_stop(self, sig: int) -> None:
        if self._stop is None:
            self._stop = asyncio.ensure_future(self._drain())
        elif sig == signal.SIGINT:  # a second Ctrl+C
            self.force_exit = self.should_exit = True

    async def _drain(self) -> None:
        self._board.close()
        try:
            await asyncio.to_thread(self._worker.stop, self._drain_s)
        finally:
            self.should_exit = True


@contextmanager
def _listening(config: ServeConfig) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listener = socket.create_server((config.host.strip("[]"), config.port), family=family, backlog=2048)
    except OSError as error:
        raise UserError(
            f"The server can't listen at {config.host}, port {config.port} ({error.strerror}). Another one may run; "
            "name another port with --port, or 0 for any."
        ) from error
    with listener:
        yield listener


def _sweep(store: JobStore, board: Board, over: threading.Event) -> None:
    while not over.wait(_SWEEP_S):
        try:
            sweep(store, board, time.time())
        except CheckFailedError as error:  # a full disk; next time then
            _log.warning("%s", error)
        except Exception:  # the thread outlives it
            _log.exception("Old jobs could not be removed")


def sweep(store: JobStore, board: Board, now: float) -> None:
    """Removes what was kept for its time, on the disk and in memory."""
    store.expire(now)
    for id in board.known():
        try:
            job = store.get(id)
        except NoSuchJobError:
            board.forget(id)
        else:
            if job.state in ENDED and (job.ended or 0) < now - _SWEEP_S:
                board.forget(id)
