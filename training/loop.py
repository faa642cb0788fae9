"""The one training loop: prefetch, curves, pictures, checkpoints and resume for every system."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import write_image, write_picture
from relumen.images import Image
from relumen.run import About, RunFolder
from relumen.whole import file_appears_whole

Batch = tuple[NDArray[Any], ...]
_AHEAD = 4  # batches prepared while the device works


class System(Protocol):
    """What a system says of its own; the loop does the rest."""

    @property
    def network(self) -> keras.Model:
        """The network that is exported in the end."""
        ...

    @property
    def total_steps(self) -> int:
        """Steps of all phases."""
        ...

    @property
    def milestones(self) -> Mapping[int, str]:
        """Numbers of steps after which the network is kept for good, with the names to keep it by."""
        ...

    @property
    def state(self) -> Mapping[str, Any]:
        """Networks and optimisers, by name: all that a checkpoint must hold."""
        ...

    @property
    def sample(self) -> Image:
        """A held-out input, kept with the run."""
        ...

    def batch(self, step: int) -> Batch:
        """The batch of a step: a pure function of the step."""
        ...

    def train_step(self, step: int, batch: Batch) -> Mapping[str, tf.Tensor]:
        """One step; gives its loss terms by name."""
        ...

    def validate(self) -> tuple[Mapping[str, float], NDArray[np.uint8]]:
        """Figures on the held-out images, and a picture (y, x) or (y, x, 3), such as of input, output and target."""
        ...

    def about(self, *, steps: int, seconds: float, finished: bool) -> About:
        """What the run folder says of the network."""
        ...


def make_deterministic(seed: int) -> None:
    """Seeds everything and makes TensorFlow's operations repeat to the bit on the same device."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    # Grappler's remapper can't fuse LeakyReLU's gradient, and logs an error for each graph that has one.
    tf.config.optimizer.set_experimental_options({"remapping": False})


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers made in it compute in this Keras dtype policy, such as "mixed_bfloat16"."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def train(
    system: System,
    run: RunFolder,
    *,
    log_every: int,
    check_every: int,
    on_step: Callable[[int, Mapping[str, float]], None] = lambda step, losses: None,
    say: Callable[[str], None] = print,
) -> None:
    """Trains until all steps are done, going on from the run's last checkpoint where there is one.

    A run that was killed and started again has the same history, to the bit, as one that was not: every batch is
    a function of its step, and rows after the checkpoint are dropped and made again.

    Args:
        system: what is trained.
        run: where everything is kept.
        log_every: steps between two rows of history.csv, each the mean over those steps.
        check_every: steps between two checkpoints; a multiple of ``log_every``, or a resumed history differs.
        on_step: told the number of steps done and the last losses, for a progress bar.
        say: told what the user should know.

    Raises:
        UserError: the last checkpoint is damaged, or of another configuration.
        CheckFailedError: a loss is no longer finite, or the disk or the device's memory is full.
    """
    step_done, seconds = tf.Variable(tf.constant(0, tf.int64)), tf.Variable(tf.constant(0.0, tf.float64))
    checkpoint = tf.train.Checkpoint(step=step_done, seconds=seconds, **tracked(system.state))
    manager = tf.train.CheckpointManager(checkpoint, str(run.checkpoints), max_to_keep=2)
    if manager.latest_checkpoint:
        with unfit_told(manager.latest_checkpoint, run):
            checkpoint.restore(manager.latest_checkpoint).assert_consumed()
        say(f"Going on from step {int(step_done)} of {system.total_steps}.")
    else:
        write_image(run.sample_file, system.sample)
    start, earlier = int(step_done), float(seconds)
    began = time.monotonic()
    write_row, write_figures = _table(run.history_file, start), _table(run.validation_file, start)
    with _tensorboard(run.tensorboard, start) as board:
        window: list[Mapping[str, tf.Tensor]] = []
        for step, batch in _prefetched(system, start):
            with _memory_told(run, "a training step"):
                window.append(system.train_step(step, batch))
            done = step + 1
            finished = done == system.total_steps
            if done % log_every == 0 or finished:
                losses = _means(window)
                window = []
                with _full_disk_told(run):
                    write_row(done, losses)
                    for name, value in losses.items():
                        tf.summary.scalar(f"train/{name}", value, step=done)
                if not all(np.isfinite(value) for value in losses.values()):
                    raise CheckFailedError(
                        f"At step {done} a loss is no longer finite: {losses}. The last good checkpoint is kept. "
                        f"Lower the learning rate in a new run; {run.config_file} tells what it is called."
                    )
                on_step(done, losses)
            if done in system.milestones:
                network = system.network
                with _full_disk_told(run):
                    _save(network, run.milestone_file(system.milestones[done]))
            if done % check_every == 0 or finished:
                elapsed = earlier + time.monotonic() - began
                with _memory_told(run, "what is told of the network at a checkpoint"):
                    figures, picture = system.validate()
                    about = system.about(steps=done, seconds=elapsed, finished=finished)
                    network = system.network
                with _full_disk_told(run):
                    write_figures(done, figures)
                    for name, value in figures.items():
                        tf.summary.scalar(f"validation/{name}", value, step=done)
                    tf.summary.image("validation", picture.reshape(1, *picture.shape[:2], -1), step=done)
                    run.pictures.mkdir(exist_ok=True)
                    write_picture(run.pictures / f"step-{done:07d}.png", picture)
                    board.flush()
                    _save(network, run.model_file)
                    run.write_about(about)
                    step_done.assign(done)
                    seconds.assign(elapsed)
                    manager.save(checkpoint_number=done)
                say(f"step {done}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()))


def checkpoint_of(run: RunFolder) -> str | None:
    """The path of a run's last checkpoint, as TensorFlow takes it; None: it has none."""
    return tf.train.latest_checkpoint(str(run.checkpoints))


def tracked(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint holds of networks, optimisers and variables, by name.

    Networks and optimisers are lists of all their variables: TensorFlow overlooks layers that a network has in a list,
    and what layers that draw, such as dropout, have drawn so far.
    """
    kinds = (keras.Model, keras.optimizers.Optimizer)
    return {
        name: [variable.value for variable in part.variables] if isinstance(part, kinds) else part
        for name, part in state.items()
    }


@contextmanager
def unfit_told(checkpoint: str, run: RunFolder) -> Iterator[None]:
    """In it a checkpoint of a run is read.

    Raises:
        UserError: it can't be, since it is damaged, or holds other networks than the run's configuration tells of.
    """
    try:
        yield
    except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:  # TensorFlow raises any of these
        raise UserError(
            f"{checkpoint} is damaged, or does not hold what {run.config_file} tells of. Put back what was changed, or "
            "train anew in another folder."
        ) from error


def _means(window: list[Mapping[str, tf.Tensor]]) -> dict[str, float]:
    """The mean of each loss term over the steps that have it; a new phase brings new terms."""
    names = dict.fromkeys(name for terms in window for name in terms)
    return {name: float(np.mean([terms[name] for terms in window if name in terms])) for name in names}


def _prefetched(system: System, start: int) -> Iterator[tuple[int, Batch]]:
    """Steps with their batches, some of which are prepared while the device works."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: list[Future[Batch]] = []
        for step in range(start, system.total_steps):
            while len(waiting) < _AHEAD and step + len(waiting) < system.total_steps:
                waiting.append(pool.submit(system.batch, step + len(waiting)))
            yield step, waiting.pop(0).result()


def _table(path: Path, start: int) -> Callable[[int, Mapping[str, float]], None]:
    """A CSV of numbers by step without the rows after ``start``; gives a function that adds one."""
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["step"].isdigit() and int(row["step"]) <= start]
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(rows[0]) if rows else []

    def add(step: int, losses: Mapping[str, float]) -> None:
        row = {"step": str(step), **{name: repr(value) for name, value in losses.items()}}
        rows.append(row)
        if set(row) <= set(columns):
            _append(path, columns, row)
        else:  # a new phase brings new terms
            columns.extend(name for name in row if name not in columns)
            _rewrite(path, columns, rows)

    _rewrite(path, columns, rows)
    return add


def _append(path: Path, columns: list[str], row: dict[str, str]) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, columns, restval="").writerow(row)


def _rewrite(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with file_appears_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        if columns:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)


@contextmanager
def _tensorboard(folder: Path, start: int) -> Iterator[tf.summary.SummaryWriter]:
    writer = tf.summary.create_file_writer(str(folder), filename_suffix=f".from-{start}")
    with writer.as_default():
        yield writer
    writer.close()


@contextmanager
def _memory_told(run: RunFolder, doing: str) -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise CheckFailedError(
            f"The device has too little memory for {doing}. Make the batch smaller in a new run, such as --set "
            f"batch=4, or the network; {run.config_file} tells what its sizes are called."
        ) from error


@contextmanager
def _full_disk_told(run: RunFolder) -> Iterator[None]:
    try:
        yield
    except (OSError, UserError, CheckFailedError, tf.errors.OpError) as error:  # the last: TensorFlow's file system
        raise CheckFailedError(
            f"{str(error).rstrip('.')}. The last checkpoint in {run.path} is whole: free some space, and go on with "
            f"`relumen train {run.config()['system']} --resume {run.path}`."
        ) from error


def _save(network: keras.Model, path: Path) -> None:
    with file_appears_whole(path) as partial:
        network.save(partial)
