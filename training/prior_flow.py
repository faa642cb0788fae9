"""The codes that a prior's flow is trained on, drawn from its mapping network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relumen.models.flow import MaskedAutoregressiveFlow
from relumen.training.flow import Epoch, FlowHistory, train_flow
from relumen.training.flow_config import FlowConfig
from relumen.training.loop import make_deterministic

StyleVectors = Callable[[int, tuple[int, ...]], NDArray[np.float32]]
"""Gives so many style vectors w (n, d) of random codes; equal seeds give equal ones."""

_SEEN, _FRESH = 21, 22  # purposes that set the seeds of codes apart


def train_flow_on(
    style_vectors: StyleVectors,
    config: FlowConfig,
    *,
    folder: Path | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> tuple[MaskedAutoregressiveFlow, FlowHistory]:
    """Trains a flow on style vectors, ``config.samples`` of them, or so many for each pass where they are fresh.

    Args:
        style_vectors: the prior's.
        config: how.
        folder: where an interrupted training is kept, and gone on from; None: nowhere.
        on_epoch: told each pass.

    Returns:
        The flow and its history.

    Raises:
        UserError: too few codes, or the folder holds a training with other settings.
        CheckFailedError: the likelihood is no longer finite, or the disk is full.
    """
    make_deterministic(config.seed)
    return train_flow(
        style_vectors(config.samples, (config.seed, _SEEN)),
        config,
        draw=lambda number, count: style_vectors(count, (config.seed, _FRESH, number)),
        folder=folder,
        on_epoch=on_epoch,
    )
