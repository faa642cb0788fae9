"""Restoration jobs: one after the other, in a thread of their own, so that no long search stands before them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from threading import Condition, Thread

from relumen.errors import CheckFailedError, UserError
from relumen.images import read_image
from relumen.restore import Restorer, open_model, restore_file

from .board import Board, Live
from .config import ServeConfig
from .errors import DiskFullError
from .packages import Packages
from .parameters import RestorationParameters
from .reasons import check_result, fail, logger, took_too_long
from .store import JobRecord, JobStore

_LOOK_S = 5.0


class _LeftError(Exception):
    """Nobody waits for the job any longer, or the server stops."""


class Restorations:
    """Does the restorations of a store.

    Args:
        config: of the server.
        store: whose jobs are done.
        board: is told.
        packages: that restore.
    """

    def __init__(self, config: ServeConfig, store: JobStore, board: Board, packages: Packages) -> None:
        self._config = config
        self._store = store
        self._board = board
        self._packages = packages
        self._changed = Condition()
        self._stopping = False
        self._running = ""  # the job's id
        self._left = False  # by whoever waited for it
        self._without_room: set[str] = set()  # ids of jobs that wait for the disk; others go before them
        self._networks: dict[str, Restorer] = {}
        self._open = ExitStack()
        self._thread = Thread(target=self._work, name="relumen-restore", daemon=True)

    def start(self) -> None:
        """Starts its thread."""
        self._thread.start()

    def wake(self) -> None:
        """A job was added."""
        with self._changed:
            self._changed.notify_all()

    def cancelled(self, id: str) -> None:
        """A job was cancelled."""
        with self._changed:
            self._left |= id == self._running

    def stop(self, timeout_s: float) -> None:
        """Ends after the present tile; the job begins anew when the server is back."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._open.close()

    def check(self, parameters: RestorationParameters, path: Path) -> None:
        """Whether an image fits a package, as far as its sizes tell.

        Raises:
            UserError: it doesn't, or there is no such package.
        """
        image = read_image(path)
        entry = self._packages.entry(parameters.package)
        channels, factor = int(entry["channels"]), int(entry["factor"])
        if channels not in (1, image.channels):
            raise UserError(f"{parameters.package} takes images of {channels} channels. This one has {image.channels}.")
        pixels = image.pixels.size * factor**2
        check_result(pixels, self._config.max_result_pixels, "Take a selection, or fewer slices.")

    def _work(self) -> None:
        while not self._stopping:
            try:
                idle = not self._work_once()
            except Exception:  # of the store, where the disk is full: the thread outlives it
                logger.exception("Restorations paused")
                idle = True
            with self._changed:
                if idle and not self._stopping:
                    self._changed.wait(_LOOK_S)

    def _work_once(self) -> bool:
        """Does the next restoration; False where there is none, or no room for any."""
        waiting = [job for job in self._store.waiting() if job.kind == "restoration"]
        record = next((job for job in waiting if job.id not in self._without_room), None)
        if record is None:
            self._without_room.clear()
            return False
        with self._changed:  # before it begins: no cancel of it is missed
            self._running, self._left = record.id, False
        if self._store.begin(record.id):
            self._do(record)
        return True

    def _do(self, record: JobRecord) -> None:
        try:
            parameters = RestorationParameters(**record.parameters)
            self._store.finish(record.id, lambda path: self._restore(record.id, parameters, path))
        except _LeftError:
            if self._stopping:
                self._store.requeue(record.id)
        except DiskFullError as error:
            self._store.requeue(record.id)
            self._without_room.add(record.id)
            self._board.post(record.id, Live(message=f"waits for room: {error}"))
            logger.warning("Job %s waits for room: %s", record.id, error)
        except Exception as error:
            fail(self._store, record.id, error)

    def _restore(self, id: str, parameters: RestorationParameters, target: Path) -> None:
        until = time.monotonic() + self._config.max_seconds
        said: list[str] = []

        def on_tile(done: int, total: int) -> None:
            if self._stopping or self._left:
                raise _LeftError
            if time.monotonic() > until:
                raise CheckFailedError(took_too_long(self._config.max_seconds))
            message = "; ".join([f"tile {done} of {total}", *said])
            self._board.post(id, Live(window=done, windows=total, message=message))

        def say(text: str) -> None:
            if text.startswith("Warning: "):
                said.append(text.removeprefix("Warning: "))

        source = self._store.input_path(id)
        restorer = self._network(parameters.package).with_tiles(parameters.tile)
        restore_file(source, restorer, target, on_tile=on_tile, say=say)

    def _network(self, package: str) -> Restorer:
        """A package's network, which is loaded once.

        TensorFlow's are garbage that Python finds late: loaded for each job, they would fill the memory in between.
        """
        if package not in self._networks:
            self._networks[package] = self._open.enter_context(open_model(self._packages.path(package)))
        return self._networks[package]
