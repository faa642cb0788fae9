"""The search: one step, compiled by XLA for a batch, and the loop over it on the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.degrade import ForwardOperator
from relumen.errors import CheckFailedError, UserError
from relumen.prior.folder import Prior
from relumen.prior.whitening import Whitening
from relumen.search.codes import Codes, Styles, Whitened
from relumen.search.config import SearchConfig
from relumen.search.objective import Objective

Float32 = NDArray[np.float32]

MEAN_OF = 10_000
"""Style vectors whose mean a search starts at (Gheisari and Genovesio, Sec. 4.1)."""
_WHITENED_BY = 100_000  # style vectors; PULSE draws a million
_STATISTICS, _STARTS = 41, 42  # purposes that set the seeds of codes apart


@dataclass(frozen=True)
class Progress:
    """A search on its way, after one of its steps.

    Attributes:
        iteration: the step, from 1.
        iterations: of the whole search.
        terms: of the objective by name, weighted, each (n,), at this step.
        images: the candidates (n, size, size, channels), 0..1 and perhaps beyond, at this step.
    """

    iteration: int
    iterations: int
    terms: Mapping[str, Float32]
    images: Float32


OnStep = Callable[[Progress], bool | None]
"""Called after each step; one that answers False ends the search, which then gives its best so far."""


@dataclass(frozen=True)
class Solutions:
    """The best that was found for each of n low-resolution images, by the objective. All of it is synthesised.

    Attributes:
        styles: w, (n, L, d).
        images: G_s(w), (n, size, size, channels), 0..1 and perhaps beyond.
        low: D of these, (n, m, m, channels).
        residual: mean absolute difference of it and what was given, over the measured channels, (n,), in units of 0..1.
        prior_distance: ||F(w_i)|| of each style vector, (n, L), sqrt(d) for a typical one; None without a flow.
        terms: of the objective by name, weighted, each (n,).
        iteration: the step that was best, from 1, (n,).
        history: the sum of the terms at each step, (steps, n).
        iterations: that were to be done; fewer were where the search was ended.
    """

    styles: Float32
    images: Float32
    low: Float32
    residual: Float32
    prior_distance: Float32 | None
    terms: Mapping[str, Float32]
    iteration: NDArray[np.int32]
    history: Float32
    iterations: int

    @property
    def ended(self) -> bool:
        """Whether the search was ended before its last step."""
        return len(self.history) < self.iterations

    def __len__(self) -> int:
        return len(self.styles)

    def one(self, index: int) -> Solutions:
        """The solution of one image, as a set of one."""
        at = slice(index, index + 1)
        return replace(
            self,
            styles=self.styles[at],
            images=self.images[at],
            low=self.low[at],
            residual=self.residual[at],
            prior_distance=None if self.prior_distance is None else self.prior_distance[at],
            terms={name: values[at] for name, values in self.terms.items()},
            iteration=self.iteration[at],
            history=self.history[:, at],
        )

    @classmethod
    def joined(cls, parts: Sequence[Solutions]) -> Solutions:
        """Those of several searches with one configuration; of histories, the steps that all have."""
        first = parts[0]
        steps = min(len(part.history) for part in parts)
        distances = [part.prior_distance for part in parts if part.prior_distance is not None]
        return Solutions(
            styles=np.concatenate([part.styles for part in parts]),
            images=np.concatenate([part.images for part in parts]),
            low=np.concatenate([part.low for part in parts]),
            residual=np.concatenate([part.residual for part in parts]),
            prior_distance=np.concatenate(distances) if distances else None,
            terms={name: np.concatenate([part.terms[name] for part in parts]) for name in first.terms},
            iteration=np.concatenate([part.iteration for part in parts]),
            history=np.concatenate([part.history[:steps] for part in parts], 1),
            iterations=first.iterations,
        )


class Searcher:
    """Searches a prior for images whose low-resolution images are given ones.

    The step is compiled once, for a batch of this size; fewer images are padded to it. Every image is searched by
    itself: what is found doesn't depend on which others are beside it, to float32's rounding.

    Args:
        prior: generator, and flow where a term needs it.
        operator: D, from the prior's size.
        config: what is minimised, and how.
        batch: images that are searched at once.
        codes: what is searched in place of the config's space: makes it of the shape (batch, L, d), for solutions that
            know of each other (:mod:`relumen.search.uncertainty`).

    Attributes:
        mean: of style vectors, (d,).

    Raises:
        UserError: the operator is of another size than the prior, a term needs a flow and there is none, or the batch
            is less than 1.
    """

    def __init__(
        self,
        prior: Prior,
        operator: ForwardOperator,
        config: SearchConfig,
        *,
        batch: int = 1,
        codes: Callable[[tuple[int, int, int]], Codes] | None = None,
    ) -> None:
        generator = prior.generator
        self._architecture = generator.architecture
        if operator.size != self._architecture.size:
            size = self._architecture.size
            raise UserError(
                f"{prior.path.name} makes images of {size} pixels. Received an operator of {operator.size}."
            )
        if batch < 1:
            raise UserError(f"A batch is 1 or more. Received: {batch}")
        self.prior = prior
        self.operator = operator
        self.config = config
        self.batch = batch
        self._synthesis = generator.synthesis
        w = prior.style_vectors(MEAN_OF, (0, _STATISTICS))[1]
        self.mean = w.mean(0)
        flow = prior.flow if config.needs_flow else None
        self._objective = Objective(config, self.mean, float(np.sqrt(w.var(0).sum())), flow)
        shape = (batch, self._architecture.style_inputs, self._architecture.w_dim)
        self._codes: Codes = self._plain(shape) if codes is None else codes(shape)
        self._noise = [
            keras.Variable(np.zeros((batch, size, size, 1), np.float32), name=f"noise_{size}")
            for size in self._architecture.noise_sizes[: config.noise_maps]
        ]
        self._noise_norms = [
            keras.Variable(np.ones((batch, 1, 1, 1), np.float32), trainable=False) for _ in self._noise
        ]
        self._optimiser = keras.optimizers.Adam(config.learning_rate)
        self._optimiser.build([*self._codes.variables, *self._noise])
        low = (batch, operator.low_size, operator.low_size, self._architecture.channels)
        high = (batch, operator.size, operator.size, self._architecture.channels)
        self._best = _Best(shape, high, low, (batch, len(self._objective.names)))
        self._step = tf.function(self._one_step, jit_compile=True, autograph=False)

    def _plain(self, shape: tuple[int, int, int]) -> Codes:
        if self.config.space == "styles":
            return Styles(shape, self.mean, self.config.ball)
        w = self.prior.style_vectors(_WHITENED_BY, (1, _STATISTICS))[1]
        return Whitened(shape, Whitening.of(w), sphere=self.config.sphere)

    def __call__(
        self,
        low: NDArray,
        *,
        seed: int | Sequence[int] = 0,
        measured: Sequence[bool] | None = None,
        start: Float32 | None = None,
        on_step: OnStep | None = None,
    ) -> Solutions:
        """The best image of the prior for each low-resolution image.

        Args:
            low: (n, m, m, channels), n at most the batch; 0 is the black, 1 the white of the images that the prior was
                trained on.
            seed: of what is drawn; one for all, of which each image has its own by its place, or one for each.
            measured: for each channel whether the images have it; what they hold of others does not matter. None: all.
            start: style vectors (n, L, d) to start at, in place of the config's.
            on_step: is told of each step, and can end the search.

        Raises:
            UserError: images of another shape, more than the batch, values that are not finite, or no channel that was
                measured.
        """
        low = np.asarray(low, np.float32)
        self._check(low)
        n, a = len(low), self._architecture
        if measured is not None and (len(measured) != a.channels or not any(measured)):
            raise UserError(f"measured is of {a.channels} channels, one of them true. Received: {list(measured)}")
        seeds = [(seed, i) for i in range(n)] if isinstance(seed, int) else [(each, 0) for each in seed]
        fill = [*range(n), *[n - 1] * (self.batch - n)]  # the last one again, up to the batch
        rng = [np.random.default_rng((*seeds[i], _STARTS)) for i in fill]
        self._begin(self._start(rng) if start is None else np.asarray(start, np.float32)[fill], rng)
        given = tf.constant(low[fill])
        seen = tf.constant(np.ones(a.channels) if measured is None else np.asarray(measured), tf.float32)
        d = self.operator
        matrices = [tf.constant(each, tf.float32) for each in (d.rows, d.columns, d.gain)]
        rate: Any = self._optimiser.learning_rate  # whose annotation is of a number too
        history = []
        for iteration in range(self.config.iterations):
            rate.assign(self.config.rate(iteration))
            terms, total, images = self._step(given, seen, *matrices)
            history.append(total.numpy()[:n])
            if on_step is not None:
                told = {name: values.numpy()[:n] for name, values in terms.items()}
                if on_step(Progress(iteration + 1, self.config.iterations, told, images.numpy()[:n])) is False:
                    break
        return self._found(low, seen.numpy().astype(bool), np.stack(history))

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the objective's terms."""
        return self._objective.names

    def warm_up(self) -> None:
        """Compiles the step, which takes a while, with nothing given."""
        m = self.operator.low_size
        self(np.zeros((1, m, m, self._architecture.channels), np.float32), on_step=lambda _: False)

    def _check(self, low: Float32) -> None:
        m, channels = self.operator.low_size, self._architecture.channels
        if low.shape[1:] != (m, m, channels) or not 1 <= len(low) <= self.batch:
            raise UserError(
                f"The search takes 1 to {self.batch} images of ({m}, {m}, {channels}), as the prior's "
                f"{self.operator.size} pixels are at {self.operator.factor}x. Received: {low.shape}"
            )
        if not np.isfinite(low).all():
            raise UserError("The image has values that are not finite (NaN or infinite). Replace them first.")

    def _start(self, rng: list[np.random.Generator]) -> Float32:
        """Style vectors (batch, L, d)."""
        a = self._architecture
        if self.config.start == "mean":
            return np.broadcast_to(self.mean, (self.batch, a.style_inputs, a.w_dim)).astype(np.float32)
        z = np.stack([each.standard_normal((a.style_inputs, a.z_dim), np.float32) for each in rng])
        w = self.prior.generator.mapping(z.reshape(-1, a.z_dim))
        return np.asarray(w).reshape(self.batch, a.style_inputs, a.w_dim)

    def _begin(self, start: Float32, rng: list[np.random.Generator]) -> None:
        """Everything as before the first step."""
        self._codes.begin(start, rng)
        for noise, norm in zip(self._noise, self._noise_norms, strict=True):
            drawn = np.stack([each.standard_normal(noise.shape[1:], np.float32) for each in rng])
            noise.assign(drawn)
            norm.assign(np.sqrt(np.square(drawn).sum((1, 2, 3), keepdims=True)))
        for variable in self._optimiser.variables:
            variable.assign(np.zeros(variable.shape))
        self._best.forget()

    def _one_step(self, given: Any, measured: Any, rows: Any, columns: Any, gain: Any) -> Any:  # noqa: ANN401
        """One step of Adam; gives the terms (batch,) each, what counts of each image (batch,), and the candidates."""
        variables = [*self._codes.variables, *self._noise]
        with tf.GradientTape() as tape:
            styles = self._codes.styles()
            images = (self._synthesis(styles, noise=self._maps()) + 1) / 2
            low = tf.einsum("kmy,byxc,kpx->bmpc", rows, images, columns) * gain[..., tf.newaxis]
            terms = self._objective(styles, self._codes.codes(), low, given, measured)
            each = tf.add_n(list(terms.values()))
            loss = tf.reduce_sum(each)
            if self._codes.together:
                loss += self._codes.penalty()
                each = tf.fill([self.batch], loss)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        done: Any = self._optimiser.iterations
        iteration = tf.cast(done.value, tf.int32) + 1
        self._best.keep(each, iteration, styles, images, low, tf.stack(list(terms.values()), 1))
        self._optimiser.apply(gradients, variables)
        self._codes.put_back()
        if self.config.sphere:
            for noise, norm in zip(self._noise, self._noise_norms, strict=True):
                length = tf.sqrt(tf.reduce_sum(tf.square(noise.value), (1, 2, 3), keepdims=True))
                noise.assign(noise.value * norm / length)
        return terms, each, images

    def _maps(self) -> Any:  # noqa: ANN401
        """The noise of each convolution: searched, or as stored with the generator."""
        if not self._noise:
            return "const"
        stored = [conv.noise for block in self._synthesis.blocks for conv in block.convs]
        return [*(each.value for each in self._noise), *stored[len(self._noise) :]]

    def _found(self, low: Float32, measured: NDArray[np.bool_], history: Float32) -> Solutions:
        best, n = self._best.read(), len(low)
        if not best.iteration[:n].all():
            raise CheckFailedError(
                "The search left what a number can hold. Take a lower learning rate: --set learning_rate=0.1"
            )
        styles = best.styles[:n]
        return Solutions(
            styles=styles,
            images=best.images[:n],
            low=best.low[:n],
            residual=np.abs(best.low[:n] - low)[..., measured].mean((1, 2, 3)),
            prior_distance=self._distance(styles),
            terms={name: values[:n] for name, values in zip(self._objective.names, best.terms.T, strict=True)},
            iteration=best.iteration[:n],
            history=history,
            iterations=self.config.iterations,
        )

    def _distance(self, styles: Float32) -> Float32 | None:
        if not self._has_flow:
            return None
        z, _ = self.prior.flow(styles.reshape(-1, styles.shape[-1]))
        return np.linalg.norm(np.asarray(z), axis=-1).reshape(styles.shape[:2])

    @cached_property
    def _has_flow(self) -> bool:
        return self.prior.has_flow


@dataclass(frozen=True)
class _Read:
    """What was best, as arrays."""

    iteration: NDArray[np.int32]
    styles: Float32
    images: Float32
    low: Float32
    terms: Float32


class _Best:
    """The best step of each image so far; kept on the device.

    Args:
        styles: their shape, (batch, L, d).
        images: theirs.
        low: theirs.
        terms: (batch, terms).
    """

    def __init__(
        self, styles: tuple[int, ...], images: tuple[int, ...], low: tuple[int, ...], terms: tuple[int, ...]
    ) -> None:
        batch = styles[:1]
        self._least = tf.Variable(tf.zeros(batch))
        self._iteration = tf.Variable(tf.zeros(batch, tf.int32))
        self._kept = [tf.Variable(tf.zeros(shape)) for shape in (styles, images, low, terms)]

    def forget(self) -> None:
        """No step was yet."""
        self._least.assign(tf.fill(self._least.shape, np.inf))
        self._iteration.assign(tf.zeros_like(self._iteration))

    def keep(self, values: Any, iteration: Any, *parts: Any) -> None:  # noqa: ANN401
        """Takes over the parts of the images whose value is less than ever."""
        better = values < self._least
        self._least.assign(tf.where(better, values, self._least))
        self._iteration.assign(tf.where(better, iteration, self._iteration))
        for kept, part in zip(self._kept, parts, strict=True):
            kept.assign(tf.where(tf.reshape(better, (-1, *[1] * (len(part.shape) - 1))), part, kept))

    def read(self) -> _Read:
        """What was best."""
        return _Read(self._iteration.numpy(), *(kept.numpy() for kept in self._kept))
