"""Training of a prior's normalizing flow by maximum likelihood, from plain arrays of latent codes."""

from __future__ import annotations

import json
import math
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.errors import CheckFailedError, UserError
from relumen.models.flow import MaskedAutoregressiveFlow, standard_normal_log_prob
from relumen.training.flow_config import FlowConfig
from relumen.whole import file_appears_whole

Float32 = NDArray[np.float32]

_SPLIT, _ORDER = 0, 1  # purposes that set seeds apart
_CHUNK = 1024  # codes whose likelihood is computed at a time
_STATE = "state.npz"


@dataclass(frozen=True)
class Epoch:
    """Mean log-likelihoods of raw codes after one pass, natural logarithm.

    Attributes:
        number: passes so far.
        training: over the pass, with the statistics of batches.
        held_out: of the held-out codes after it.
    """

    number: int
    training: float
    held_out: float


@dataclass(frozen=True)
class FlowHistory:
    """All passes of a training.

    Attributes:
        epochs: in their order.
        seconds: spent on them, all sittings together.
    """

    epochs: tuple[Epoch, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def best(self) -> Epoch:
        """The pass whose weights are kept: the first of greatest held-out likelihood."""
        return max(self.epochs, key=lambda epoch: epoch.held_out)

    def as_csv(self) -> str:
        """A line for each pass: its number, and both log-likelihoods."""
        rows = [f"{each.number},{each.training!r},{each.held_out!r}" for each in self.epochs]
        return "\n".join(["epoch,training,held_out", *rows]) + "\n"

    def stale(self, patience: int) -> bool:
        """Whether so many passes brought nothing better."""
        return bool(self.epochs) and len(self.epochs) - self.best.number >= patience


def train_flow(
    w: NDArray[Any],
    config: FlowConfig,
    *,
    draw: Callable[[int, int], NDArray[Any]] | None = None,
    folder: Path | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[MaskedAutoregressiveFlow, FlowHistory]:
    """Trains a flow on codes, and keeps the weights of the pass with the greatest held-out likelihood.

    A share of the codes is held out. They decide which pass is kept and when to stop, and are what the final
    statistics of batch normalisation are of: over the codes that it was trained on, a flow of RLS's size would take
    others to be too far from the origin (a mean squared norm of 550 to 585 instead of 512). So figures of a flow's
    quality are of codes that are not among ``w``. The answer is a function of the arguments; on one device it is the
    same to the bit, interrupted or not.

    Args:
        w: raw codes (n, d), as the mapping network gives them.
        config: how; its ``samples`` is for whoever draws the codes.
        draw: given the number of a pass, from 0, and how many, raw codes (m, d) that are trained on in place of those
            of ``w`` where ``config.fresh``; others than those of ``w``.
        folder: where the state is kept after each pass, and gone on from where there is one; None: nowhere.
        on_epoch: told each pass, for a progress bar.

    Returns:
        The flow and its history.

    Raises:
        ValueError: ``config.fresh`` without ``draw``.
        UserError: the codes are no finite (n, d), too few, or one of their dimensions is constant; or the folder holds
            the state of another training.
        CheckFailedError: the likelihood is no longer finite, or the state can't be written.
    """
    if config.fresh and draw is None:
        raise ValueError("config.fresh needs draw, which gives the codes of a pass. Received: draw=None")
    held_out, seen = _split(w, config)
    per_epoch = len(seen) // config.batch
    if not per_epoch:
        raise UserError(
            f"A batch is of {config.batch} codes, and only {len(seen)} are to be trained on. Draw more, or make the "
            "batch smaller."
        )
    flow = MaskedAutoregressiveFlow(
        w.shape[1], config.blocks, config.hidden, config.norm, config.slope, seed=config.seed
    )
    flow.adapt(seen)
    optimizer = keras.optimizers.AdamW(config.learning_rate.initial, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay([each for each in flow.trainable_variables if len(each.shape) < 2])
    optimizer.build(flow.trainable_variables)
    step = _compiled(flow, optimizer)
    mark = json.dumps([config.model_dump(mode="json"), zlib.crc32(np.ascontiguousarray(w).data)])
    state = None if folder is None else _State(folder / _STATE, mark, flow, optimizer)
    history, best = state.read() if state else (FlowHistory(), flow.get_weights())
    steps, began, earlier = config.length(per_epoch), time.monotonic(), history.seconds
    for number in range(len(history.epochs), math.ceil(steps / per_epoch)):
        if history.stale(config.patience):
            break
        codes = np.asarray(draw(number, len(seen)), np.float32) if config.fresh and draw else seen
        order = np.random.default_rng((config.seed, _ORDER, number)).permutation(len(seen))
        likelihoods = []
        for done in range(number * per_epoch, min(steps, (number + 1) * per_epoch)):
            optimizer.learning_rate = config.rate(done, per_epoch)
            start = (done % per_epoch) * config.batch
            likelihoods.append(float(step(tf.constant(codes[order[start : start + config.batch]]))))
        if config.norm == "batch":
            flow.adapt(held_out, batch_norm_only=True)
        epoch = Epoch(number + 1, float(np.mean(likelihoods)), float(np.mean(log_likelihoods(flow, held_out))))
        if not np.isfinite([epoch.training, epoch.held_out]).all():
            raise CheckFailedError(
                f"In epoch {epoch.number} the likelihood is no longer finite. Lower the learning rate, such as "
                "--set learning_rate.initial=1e-4."
            )
        history = FlowHistory((*history.epochs, epoch), earlier + time.monotonic() - began)
        if history.best is epoch:
            best = flow.get_weights()
        if state:
            state.write(history, best)
        on_epoch(epoch)
    flow.set_weights(best)
    return flow, history


def log_likelihoods(flow: MaskedAutoregressiveFlow, w: NDArray[Any]) -> Float32:
    """The log density p_F of each raw code (n, d), natural logarithm: (n,)."""
    z, log_det = transformed(flow, w)
    return np.asarray(standard_normal_log_prob(z) + log_det)


def transformed(flow: MaskedAutoregressiveFlow, w: NDArray[Any]) -> tuple[Float32, Float32]:
    """F(w) (n, d) of raw codes (n, d), and the log-determinants (n,), for any n."""
    network: Any = flow  # Keras's own annotation knows no verbose=0
    return network.predict(np.asarray(w, np.float32), batch_size=_CHUNK, verbose=0)


def _compiled(
    flow: MaskedAutoregressiveFlow, optimizer: keras.optimizers.Optimizer
) -> Callable[[tf.Tensor], tf.Tensor]:
    """One step on a batch of codes; gives their mean log-likelihood before it."""
    variables = flow.trainable_variables

    @tf.function(jit_compile=True)
    def step(codes: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(codes, training=True))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return -loss

    return step


def _split(w: NDArray[Any], config: FlowConfig) -> tuple[Float32, Float32]:
    """The held-out codes, and the others."""
    if w.ndim != 2 or not np.isfinite(w).all():
        raise UserError(f"Codes are finite numbers (n, d). Received: shape {w.shape}, finite: {np.isfinite(w).all()}")
    count = round(config.held_out * len(w))
    if not 0 < count < len(w):
        raise UserError(f"Of {len(w)} codes, {config.held_out:g} can't be held out. Draw more.")
    order = np.random.default_rng((config.seed, _SPLIT)).permutation(len(w))
    codes = np.asarray(w, np.float32)
    held_out, seen = codes[order[:count]], codes[order[count:]]
    constant = np.flatnonzero(np.ptp(seen, axis=0) == 0)
    if len(constant):
        raise UserError(
            f"{len(constant)} of {w.shape[1]} dimensions are the same in all codes, such as the one with index "
            f"{constant[0]}: there is no density. Is the mapping network trained?"
        )
    return held_out, seen


class _State:
    """What a training needs to go on after a pass: one file, written whole or not at all."""

    def __init__(
        self, path: Path, mark: str, flow: MaskedAutoregressiveFlow, optimizer: keras.optimizers.Optimizer
    ) -> None:
        self._path = path
        self._mark = mark
        self._flow = flow
        self._variables = [*flow.weights, *optimizer.variables]

    def read(self) -> tuple[FlowHistory, Sequence[NDArray[Any]]]:
        """The history and the best weights; the flow and its optimiser are set to where they were."""
        if not self._path.exists():
            return FlowHistory(), self._flow.get_weights()
        try:
            with np.load(self._path) as file:
                kept = dict(file)
            mark, seconds, rows = str(kept["mark"]), float(kept["seconds"]), kept["history"].tolist()
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{self._path} is damaged ({error}). Remove it, and train again from the start.") from error
        if mark != self._mark:
            raise UserError(
                f"{self._path} is of a training with other codes or another configuration. Finish that one with its "
                "own settings, or remove the file."
            )
        for i, variable in enumerate(self._variables):
            variable.assign(kept[f"now-{i}"])
        best = [kept[f"best-{i}"] for i in range(len(self._flow.weights))]
        return FlowHistory(tuple(Epoch(int(n), a, b) for n, a, b in rows), seconds), best

    def write(self, history: FlowHistory, best: Sequence[NDArray[Any]]) -> None:
        """Keeps everything in place of what was kept before."""
        arrays: dict[str, Any] = {
            f"now-{i}": keras.ops.convert_to_numpy(each) for i, each in enumerate(self._variables)
        }
        arrays |= {f"best-{i}": each for i, each in enumerate(best)}
        rows = np.array([astuple(epoch) for epoch in history.epochs])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with file_appears_whole(self._path) as partial:
                np.savez(partial, mark=np.array(self._mark), history=rows, seconds=np.array(history.seconds), **arrays)
        except (OSError, UserError, CheckFailedError) as error:
            raise CheckFailedError(f"{error} Train again: it goes on from the last pass that was kept.") from error
