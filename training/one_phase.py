"""Systems whose networks are trained together, at one learning rate, from the first step to the last."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from relumen.training.loop import Batch
from relumen.training.replicas import Terms
from relumen.training.settings import Schedule


class OnePhase(ABC):
    """Length, learning rate and step of such a system, as the training loop sees them.

    Attributes:
        schedule: length and learning rate.
        optimizers: of all networks.
        compiled: one step on parts of a batch; see :meth:`~relumen.training.replicas.Replicas.step`.
    """

    schedule: Schedule
    optimizers: Sequence[keras.optimizers.Optimizer]
    compiled: Callable[..., Terms]

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Steps of one pass over all patches."""

    @property
    def total_steps(self) -> int:
        """Steps of the training."""
        return self.schedule.length(self.steps_per_epoch)

    @property
    def milestones(self) -> Mapping[int, str]:
        """None: there is one phase."""
        return {}

    def train_step(self, step: int, batch: Batch) -> Mapping[str, tf.Tensor]:
        """One step of all networks."""
        rate = self.schedule.rate(step, self.steps_per_epoch)
        for optimizer in self.optimizers:
            optimizer.learning_rate = rate
        return self.compiled(*(tf.constant(part) for part in batch))
