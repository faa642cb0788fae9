"""One batch, shared by all the devices of a machine, or of several machines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from relumen.errors import UserError

Terms = Mapping[str, tf.Tensor]


class Replicas:
    """The devices that train together, each on its share of every batch; mostly there is one.

    Gradients are summed over the devices (tf.distribute.MirroredStrategy), so a step is that of the whole batch on
    one device, but for batch normalisation, whose statistics are those of each device's share.

    Where TF_CONFIG names several workers, all their devices share the batch (MultiWorkerMirroredStrategy). Each worker
    runs the same command and keeps a run folder of its own, equal to the others'.

    Args:
        devices: such as ("GPU:0", "GPU:1"); None: all GPUs, or the CPU where there is none.

    Raises:
        UserError: a device that this machine lacks.
    """

    def __init__(self, devices: Sequence[str] | None = None) -> None:
        self._strategy = _several_workers() or _several_devices(devices)

    @property
    def count(self) -> int:
        """Devices that share a batch."""
        return 1 if self._strategy is None else self._strategy.num_replicas_in_sync

    def check_batch(self, batch: int, *, group: int = 1, least: int = 1) -> None:
        """Makes sure that every device gets as large a share of a batch.

        Args:
            batch: images of a step.
            group: images whose statistics are taken together: a share is a multiple of it, or smaller.
            least: images that a share has at least.

        Raises:
            UserError: it can't be shared so.
        """
        share = batch // self.count
        if batch % self.count or share < least or share % min(group, max(share, 1)):
            needed = f", in multiples of {group}," if group > 1 else ""
            raise UserError(
                f"A batch of {batch} can't be shared evenly{needed} by {self.count} devices: set batch, or devices."
            )

    def scope(self) -> AbstractContextManager[object]:
        """Networks and optimisers made in it live on all devices."""
        return (self._strategy or tf.distribute.get_strategy()).scope()

    def step(self, function: Callable[..., Terms]) -> Callable[..., Terms]:
        """Compiles a training step.

        Args:
            function: takes parts of a batch as tensors (share, ...), trains networks by :meth:`descend`, and gives
                scalar terms that are means over its share.

        Returns:
            A function of the whole batch; its terms are means over all of it.
        """
        if self._strategy is None:
            return tf.function(function, autograph=False)
        strategy, count = self._strategy, self.count

        def replica(*batch: tf.Tensor) -> Terms:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            return function(*(part[number::count] for part in batch))

        def all_replicas(*batch: tf.Tensor) -> Terms:
            terms = strategy.run(replica, args=batch)
            return {name: strategy.reduce("MEAN", value, axis=None) for name, value in terms.items()}

        return tf.function(all_replicas, autograph=False)

    def descend(
        self, optimizer: keras.optimizers.Optimizer, tape: tf.GradientTape, loss: tf.Tensor, network: keras.Model
    ) -> None:
        """One step of a network down the gradient of a loss that is a mean over a device's share of the batch."""
        weights = network.trainable_variables
        gradients: Any = tape.gradient(loss, weights)
        # Parts that a loss doesn't reach stay as they are, such as coarser images where nothing is asked of them.
        gradients = [
            tf.zeros(weight.shape, weight.dtype) if each is None else each
            for weight, each in zip(weights, gradients, strict=True)
        ]
        if self.count > 1:  # the optimiser sums the gradients of all devices
            gradients = [each / self.count for each in gradients]
        optimizer.apply(gradients, weights)


def _several_workers() -> tf.distribute.Strategy | None:
    cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
    if sum(len(addresses) for addresses in cluster.values()) < 2:
        return None
    return tf.distribute.MultiWorkerMirroredStrategy()  # before anything else, which would start the runtime


def _several_devices(devices: Sequence[str] | None) -> tf.distribute.Strategy | None:
    there = sorted(device.name.removeprefix("/device:") for device in tf.config.list_logical_devices())
    if unknown := sorted(set(devices or ()) - set(there)):
        raise UserError(f"This machine has no device {', '.join(unknown)}. It has {', '.join(there)}.")
    chosen = sorted(set(devices or [name for name in there if name.startswith("GPU")]))
    return tf.distribute.MirroredStrategy(chosen) if len(chosen) > 1 else None


def mean_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The mean of a value over the devices; its gradient reaches all of them."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)
