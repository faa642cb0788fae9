"""The worker: searches in lanes, each a batch of equal searches at a time, and restorations one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from threading import Condition, Lock, Thread

from relumen.configs import Frozen
from relumen.errors import CheckFailedError
from relumen.images import read_image
from relumen.search.priors import Priors

from .batches import Batch, Unit
from .board import Board, Live
from .config import ServeConfig
from .engine import GPU_BATCH, Engine, Lane, Moment, warm_up_task
from .errors import DiskFullError, TooLargeError
from .packages import Packages
from .parameters import RestorationParameters, SearchParameters
from .reasons import check_result, fail, logger, took_too_long
from .restoring import Restorations
from .searching import SearchJob, check_size
from .store import JobRecord, JobStore
from .worker import Entry

_MOMENT_S = 0.5  # between two looks at what changed meanwhile
_RETRY_S = 5.0  # between two tries to write where the disk is full
_MOST_BEGUN = 8  # searches that take turns: each holds its image in memory


class Work:
    """Does the jobs of a store; see :class:`.Worker`.

    Args:
        config: of the server.
        store: whose jobs are done.
        board: is told.
        priors: that can be searched.
        packages: that can restore.
        open_lanes: makes what searches; may take a while.
        device: what it computes on, in words.
    """

    def __init__(
        self,
        config: ServeConfig,
        store: JobStore,
        board: Board,
        priors: Priors,
        packages: Packages,
        open_lanes: Callable[[], Sequence[Lane]],
        device: str,
    ) -> None:
        self._config = config
        self._store = store
        self._board = board
        self._priors = priors
        self._packages = packages
        self._open_lanes = open_lanes
        self._device = device
        self._lanes: Sequence[Lane] = ()
        self._changed = Condition()
        self._jobs: list[SearchJob] = []  # begun
        self._turns = count(1)
        self._beginning = Lock()
        self._stopping = False
        self._ready = False
        self._threads: list[Thread] = []
        self._restorations = Restorations(config, store, board, packages)

    @property
    def ready(self) -> bool:
        """Whether all is compiled that is to be."""
        return self._ready

    def start(self) -> None:
        """Starts the threads."""
        self._thread(self._open, "open")

    def check(self, kind: str, parameters: Frozen, image: Path) -> None:
        """See :meth:`.Worker.check`."""
        if isinstance(parameters, RestorationParameters):
            self._restorations.check(parameters, image)
        elif isinstance(parameters, SearchParameters):
            self._check_search(parameters, image)
        else:
            raise TypeError(f"No job is of {type(parameters).__name__}")

    def wake(self) -> None:
        """A job was added."""
        with self._changed:
            self._changed.notify_all()
        self._restorations.wake()

    def cancelled(self, id: str) -> None:
        """A job was cancelled."""
        with self._changed:
            for job in self._jobs:
                if job.id == id:
                    job.dropped = True
        self._restorations.cancelled(id)

    def stop(self, timeout_s: float) -> None:
        """See :meth:`.Worker.stop`."""
        until = time.monotonic() + timeout_s
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._restorations.stop(timeout_s)
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        for job in self._jobs:
            with suppress(CheckFailedError):  # it waits again anyway when the server starts
                self._store.requeue(job.id)
        for lane in self._lanes:
            lane.close()

    def describe(self) -> Mapping[str, str | int | float | bool]:
        """What clients may know."""
        return {
            "device": self._device,
            "lanes": len(self._lanes),
            "batch": max((lane.batch for lane in self._lanes), default=0),
        }

    def priors(self) -> Sequence[Entry]:
        """The priors that can be searched."""
        found = []
        for name in self._priors.names:
            entry = asdict(self._priors.describe(name))
            stains, factors = entry.pop("stains"), entry.pop("factors")
            entry |= {"channels": len(stains), "stains": ",".join(stains), "factors": ",".join(map(str, factors))}
            found.append(entry)
        return found

    def packages(self) -> Sequence[Entry]:
        """The packages that can restore."""
        return self._packages.entries

    def package_zip(self, name: str) -> Path:
        """See :meth:`.Worker.package_zip`."""
        return self._packages.zipped(name)

    def _check_search(self, parameters: SearchParameters, path: Path) -> None:
        limits, image = self._config, read_image(path)
        prior = self._priors.open(parameters.prior)
        request = parameters.request(prior.path)
        iterations = request.config.iterations
        if iterations > limits.max_iterations:
            raise TooLargeError(
                f"This server does at most {limits.max_iterations} iterations. Received: {iterations}. Take fewer."
            )
        if parameters.solutions > limits.max_solutions:
            raise TooLargeError(
                f"This server finds at most {limits.max_solutions} solutions. Received: {parameters.solutions}. "
                "Take fewer."
            )
        request.check(image, prior)
        check_result(
            check_size(parameters, image, prior.generator.architecture.channels),
            limits.max_result_pixels,
            "Take a selection, fewer slices, fewer solutions or a smaller factor.",
        )

    def _open(self) -> None:
        self._lanes = self._open_lanes()
        self._ready = True
        for lane in self._lanes:
            self._thread(lambda lane=lane: self._search(lane), "search")
        self._restorations.start()

    def _thread(self, work: Callable[[], None], name: str) -> None:
        thread = Thread(target=work, name=f"relumen-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _search(self, lane: Lane) -> None:
        """What one lane does, again and again."""
        while not self._stopping:
            try:
                self._search_once(lane)
            except Exception:  # of the store, where the disk is full: the lane outlives it
                logger.exception("A lane paused")
                with self._changed:
                    self._changed.wait(_RETRY_S)

    def _search_once(self, lane: Lane) -> None:
        self._begin_enough()
        with self._changed:
            units = self._take(lane.batch)
            if not units and not self._stopping:
                self._changed.wait(_RETRY_S)
        if units:
            self._do(lane, units)
        self._finish_done()

    def _begin_enough(self) -> None:
        """Begins searches in the order of their coming, until all lanes can be filled.

        While those that are begun go on, the next one is begun: no image waits for a stack of a thousand windows.
        """
        with self._beginning:
            while not self._stopping:
                with self._changed:
                    begun = [job for job in self._jobs if not job.dropped and not job.done]
                    full = sum(len(job.pending) for job in begun) >= sum(lane.batch for lane in self._lanes)
                    next_is_begun = len(begun) >= _MOST_BEGUN or not all(job.taken for job in begun)
                if full and next_is_begun:
                    return
                record = next((job for job in self._store.waiting() if job.kind == "search"), None)
                if record is None:
                    return
                try:
                    self._begin(record)
                except DiskFullError as error:  # those that are begun go on meanwhile
                    self._store.requeue(record.id)
                    self._board.post(record.id, Live(message=f"waits for room: {error}"))
                    return

    def _begin(self, record: JobRecord) -> None:
        if not self._store.begin(record.id):
            return  # cancelled meanwhile
        self._board.post(record.id, Live(message="looking at the image"))
        try:
            job = self._opened(record)
        except DiskFullError:
            raise
        except Exception as error:
            fail(self._store, record.id, error)
            return
        with self._changed:
            self._jobs.append(job)
            job.turn = next(self._turns)
            job.dropped = self._store.get(record.id).state != "running"  # cancelled meanwhile

    def _opened(self, record: JobRecord) -> SearchJob:
        parameters = SearchParameters(**record.parameters)
        folder = self._store.checkpoint_folder(record.id)
        return SearchJob(record.id, parameters, self._store.input_path(record.id), folder, self._priors)

    def _take(self, size: int) -> list[Unit]:
        """Pending units that can be searched at once, of the job whose turn it is first; the lock is held."""
        chosen: list[Unit] = []
        in_turn = sorted((job for job in self._jobs if not job.dropped), key=lambda job: job.turn)
        pending = ((job, number) for job in in_turn for number in job.pending)
        for job, number in pending:
            unit = Unit(job, number, job.state(number))
            if not chosen or chosen[0].goes_with(unit):
                chosen.append(unit)
            if len(chosen) == size:
                break
        for unit in chosen:
            unit.job.pending.remove(unit.number)
            unit.job.taken, unit.job.turn = True, next(self._turns)
        return chosen

    def _do(self, lane: Lane, units: list[Unit]) -> None:
        """Searches units to their end, as far as anyone waits for them."""
        jobs = list({unit.job.id: unit.job for unit in units}.values())
        try:
            self._advance(lane, Batch.of(units))
        except Exception as error:
            if len(jobs) == 1:
                fail(self._store, jobs[0].id, error)
                jobs[0].dropped = True  # once it is stored: else it would run for ever
            for job in jobs:  # each is searched by itself from now on: most are not at fault
                job.alone = True
        finally:
            with self._changed:
                for unit in units:
                    if not unit.found:
                        unit.job.pending.append(unit.number)
                self._changed.notify_all()

    def _advance(self, lane: Lane, batch: Batch) -> None:
        for job in batch.jobs:
            if not job.seconds:
                self._board.post(job.id, Live(message="begins (the first search of its kind is compiled first)"))
        kept = now = time.monotonic()
        while batch.leave_out_dropped():
            before = now
            moment = lane.advance(batch.task, batch.searches, batch.state, _MOMENT_S)
            now = time.monotonic()
            batch.state = moment.state
            self._tell(batch, moment)
            if moment.found is not None:
                batch.keep_found(moment.found)
                self._progressed(batch)
            elif self._stopping or now - kept > self._config.checkpoint_s:
                kept = now
                with suppress(CheckFailedError):  # a full disk costs repeated work after a crash, no more
                    batch.keep_state(moment.state)
                    self._progressed(batch)
            self._charge(batch, now - before)
            if moment.found is not None or self._stopping:
                return

    def _progressed(self, batch: Batch) -> None:
        with suppress(CheckFailedError):  # of a full disk
            for job in batch.jobs:
                self._store.progressed(job.id)

    def _charge(self, batch: Batch, seconds: float) -> None:
        """Counts the time of each job's search, and fails those that take too long."""
        for job in batch.jobs:
            job.seconds += seconds
            if job.seconds > self._config.max_seconds and not job.done:
                self._store.fail(job.id, took_too_long(self._config.max_seconds))
                job.dropped = True

    def _tell(self, batch: Batch, moment: Moment) -> None:
        for job in batch.jobs:
            at = [i for i, unit in enumerate(batch.units) if unit.job is job]
            self._board.post(job.id, job.live(moment, at[0], len(at)))
            preview = job.preview(moment, at[0], self._config.preview_every)
            if preview is not None:
                self._board.preview(job.id, preview)

    def _finish_done(self) -> None:
        """Writes the results of all jobs that are done, and forgets those that nobody waits for."""
        with self._changed:
            done = [job for job in self._jobs if job.done and not job.dropped]
            self._jobs[:] = [job for job in self._jobs if not (job.done or job.dropped)]
        for job in done:
            try:
                self._store.finish(job.id, job.write_result)
            except DiskFullError as error:
                self._board.post(job.id, replace(self._board.read(job.id)[0], message=f"waits for room: {error}"))
                with self._changed:
                    self._jobs.append(job)  # is tried again
            except Exception as error:
                fail(self._store, job.id, error)


def leave_gpus_alone() -> None:
    """Leaves all memory of GPUs to the replicas."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def make_worker(config: ServeConfig, store: JobStore, board: Board) -> Work:
    """The worker of a server, as its configuration wants it.

    Raises:
        UserError: a prior that can't be opened, or Ray is wanted and isn't installed.
        CheckFailedError: Ray doesn't start.
    """
    priors, packages = Priors(config.priors), Packages(config.folder / "packages")
    warm = [warm_up_task(priors, name) for name in config.warm or priors.names[:1]]
    if config.replicas:
        from .remote import check_ray, open_replicas

        check_ray()
        leave_gpus_alone()
        lanes = open_replicas(config, warm)  # in the main thread, as Ray wants it, and where a failure is told
        return Work(config, store, board, priors, packages, lambda: lanes, f"{config.replicas} replicas of Ray")
    from relumen.device import describe_device, gpu_names

    def open_lanes() -> list[Lane]:
        engine = Engine(priors, config.batch or (GPU_BATCH if gpu_names() else 1))
        for task in warm:
            try:
                engine.warm_up(task)
            except Exception:  # searches of this prior will fail too, and say why
                logger.exception("The search of %s could not be compiled", task.prior)
        return [engine]

    return Work(config, store, board, priors, packages, open_lanes, describe_device().removeprefix("Device: "))
