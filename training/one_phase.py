"""Systems whose networks are trained together, at one learning rate, from the first step to the last."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import keras
import tensorflow as tf

from relumen.training.adversary import Adversary
from relumen.training.loop import Batch
from relumen.training.replicas import Terms
from relumen.training.settings import Schedule


class OnePhase(ABC):
    """Length, learning rate and step of such a system, as the training loop sees them.

    Attributes:
        schedule: length and learning rate.
        compiled: one step on parts of a batch; see :meth:`~relumen.training.replicas.Replicas.step`.
    """

    schedule: Schedule
    compiled: Callable[..., Terms]

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Steps of one pass over all patches."""

    @property
    @abstractmethod
    def optimizers(self) -> Sequence[keras.optimizers.Optimizer]:
        """Of all networks."""

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


A = TypeVar("A", bound=Adversary | None)


class Duel(OnePhase, Generic[A]):
    """A generator, and the adversary that it learns beside; where its loss has no adversarial term there is none."""

    _generator: keras.Model
    _optimizer: keras.optimizers.Optimizer
    _adversary: A

    @property
    def optimizers(self) -> Sequence[keras.optimizers.Optimizer]:
        """The generator's, and the adversary's."""
        adversary = self._adversary
        return [self._optimizer, *([adversary.optimizer] if isinstance(adversary, Adversary) else [])]

    @property
    def state(self) -> Mapping[str, Any]:
        """Both networks and their optimisers."""
        adversary = self._adversary.state if isinstance(self._adversary, Adversary) else {}
        return {"generator": self._generator, "optimizer": self._optimizer, **adversary}
