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

_WHITENED_BY = 100_000  # style vectors; PULSE draws a million
_STATISTICS, _STARTS = 41, 42  # purposes that set the seeds of codes apart


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        low: the low-resolution image (m, m, channels); 0 is the black, 1 the white of the prior's images.
        seed: of what is drawn.
        start: style vectors (L, d) to start at; None: the config's start.
    """

    low: NDArray
    seed: tuple[int, ...]
    start: Float32 | None = None


@dataclass(frozen=True)
class SearchState:
    """Where searches stand after a step; gone on with, they find to the bit what they would have found in one go.

    Attributes:
        history: the sum of the terms at each step that was done, (steps, n).
        values: of the searcher's variables, each (n, ...) where the searches know nothing of each other.
    """

    history: Float32
    values: tuple[NDArray, ...]

    @property
    def iteration(self) -> int:
        """Steps that were done."""
        return len(self.history)

    def one(self, index: int) -> SearchState:
        """Of one search, where they know nothing of each other."""
        at = slice(index, index + 1)
        return SearchState(self.history[:, at], tuple(each[at] for each in self.values))

    @classmethod
    def joined(cls, parts: Sequence[SearchState]) -> SearchState:
        """Of several searches that have done equally many steps."""
        values = zip(*(part.values for part in parts), strict=True)
        return cls(np.concatenate([part.history for part in parts], 1), tuple(np.concatenate(each) for each in values))


@dataclass(frozen=True)
class Progress:
    """A search on its way, after one of its steps.

    Attributes:
        iteration: the step, from 1.
        iterations: of the whole search.
        terms: of the objective by name, weighted, each (n,), at this step.
        images: the candidates (n, size, size, channels), 0..1 and perhaps beyond, at this step.
        residual: mean absolute difference at low resolution, over the measured channels, (n,), in units of 0..1.
        state: gives what the search can be gone on with from here.
    """

    iteration: int
    iterations: int
    terms: Mapping[str, Float32]
    images: Float32
    residual: Float32
    state: Callable[[], SearchState]


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
        self.mean, spread = prior.style_moments
        flow = prior.flow if config.needs_flow else None
        self._objective = Objective(config, self.mean, spread, flow)
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
            UserError: as :meth:`run`.
        """
        seeds = [(seed, i) for i in range(len(low))] if isinstance(seed, int) else [(each, 0) for each in seed]
        each = [Search(low[i], seeds[i], None if start is None else start[i]) for i in range(len(low))]
        return self.run(each, measured=measured, on_step=on_step)

    def run(
        self,
        searches: Sequence[Search],
        *,
        measured: Sequence[bool] | None = None,
        operator: ForwardOperator | None = None,
        config: SearchConfig | None = None,
        resume: SearchState | None = None,
        on_step: OnStep | None = None,
    ) -> Solutions:
        """The best image of the prior for each search.

        Args:
            searches: at most the batch; all of it where they have to do with each other.
            measured: for each channel whether the images have it; what they hold of others does not matter. None: all.
            operator: D in place of the searcher's own, where the compiled step allows (:meth:`allows`).
            config: likewise.
            resume: goes on from here.
            on_step: is told of each step, and can end the search.

        Raises:
            UserError: images of another shape, more than the batch, values that are not finite, no channel that was
                measured, or an operator or a config that asks for another compiled step.
        """
        d, config = operator or self.operator, config or self.config
        if not self.allows(d, config):
            raise UserError("This operator or configuration needs a searcher of its own.")
        shapes = {np.shape(each.low) for each in searches}
        if len(shapes) > 1:
            raise UserError(f"Images of one batch have one shape. Received: {shapes}")
        low = np.asarray([each.low for each in searches], np.float32)
        self._check(low)
        n, channels = len(low), self._architecture.channels
        if measured is not None and (len(measured) != channels or not any(measured)):
            raise UserError(f"measured is of {channels} channels, one of them true. Received: {list(measured)}")
        seen = np.ones(channels, bool) if measured is None else np.asarray(measured)
        fill = [*range(n), *[n - 1] * (self.batch - n)]  # the last one again, up to the batch
        if resume is None:
            self._begin([searches[i] for i in fill], config)
        else:
            self._go_on(resume, fill)
        history = [] if resume is None else list(resume.history)
        told = [tf.constant(each, tf.float32) for each in (low[fill], seen, d.rows, d.columns, d.gain)]
        weights = tf.constant(list(config.weights.values()), tf.float32)
        rate: Any = self._optimiser.learning_rate  # whose annotation is of a number too
        for iteration in range(len(history), config.iterations):
            rate.assign(config.rate(iteration))
            terms, total, images, residual = self._step(*told, weights)
            history.append(total.numpy()[:n])
            if on_step is None:
                continue
            progress = Progress(
                iteration + 1,
                config.iterations,
                {name: values.numpy()[:n] for name, values in terms.items()},
                images.numpy()[:n],
                residual.numpy()[:n],
                lambda: self._state(np.stack(history), n),
            )
            if on_step(progress) is False:
                break
        return self._found(low, seen, np.stack(history), config)

    def allows(self, operator: ForwardOperator, config: SearchConfig) -> bool:
        """Whether the compiled step can search by another operator and configuration too."""
        own = self.operator
        shapes = (operator.rows.shape, operator.columns.shape) == (own.rows.shape, own.columns.shape)
        return shapes and config.structure == self.config.structure

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

    def _start(self, rng: list[np.random.Generator], config: SearchConfig) -> Float32:
        """Style vectors (batch, L, d)."""
        a = self._architecture
        if config.start == "mean":
            return np.broadcast_to(self.mean, (self.batch, a.style_inputs, a.w_dim)).astype(np.float32)
        z = np.stack([each.standard_normal((a.style_inputs, a.z_dim), np.float32) for each in rng])
        w = self.prior.generator.mapping(z.reshape(-1, a.z_dim))
        return np.asarray(w).reshape(self.batch, a.style_inputs, a.w_dim)

    def _begin(self, searches: Sequence[Search], config: SearchConfig) -> None:
        """Everything as before the first step."""
        rng = [np.random.default_rng((*each.seed, _STARTS)) for each in searches]
        given = [each.start for each in searches if each.start is not None]
        start = np.asarray(given, np.float32) if len(given) == len(searches) else self._start(rng, config)
        self._codes.begin(start, rng)
        for noise, norm in zip(self._noise, self._noise_norms, strict=True):
            drawn = np.stack([each.standard_normal(noise.shape[1:], np.float32) for each in rng])
            noise.assign(drawn)
            norm.assign(np.sqrt(np.square(drawn).sum((1, 2, 3), keepdims=True)))
        for variable in self._optimiser.variables:
            variable.assign(np.zeros(variable.shape))
        self._best.forget()

    def _go_on(self, state: SearchState, fill: Sequence[int]) -> None:
        """Everything as it was after a step."""
        steps: Any = self._optimiser.iterations  # whose annotation is too narrow
        steps.assign(state.iteration)
        for variable, values in zip(self._variables, state.values, strict=True):
            variable.assign(values if self.together else values[fill])

    def _state(self, history: Float32, n: int) -> SearchState:
        values = [np.asarray(variable) for variable in self._variables]
        return SearchState(history, tuple(values if self.together else (each[:n] for each in values)))

    @property
    def _variables(self) -> list[Any]:
        """All that a step changes or a beginning draws, but for the number of steps and their rate."""
        counted = (self._optimiser.iterations, self._optimiser.learning_rate)
        slots = [each for each in self._optimiser.variables if all(each is not known for known in counted)]
        return [*self._codes.state, *self._noise, *self._noise_norms, *slots, *self._best.variables]

    @property
    def together(self) -> bool:
        """Whether the searches of a batch have to do with each other."""
        return self._codes.together

    def _one_step(self, given: Any, measured: Any, rows: Any, columns: Any, gain: Any, weights: Any) -> Any:  # noqa: ANN401
        """One step of Adam: the terms and what counts of each image, the candidates, and how far they are off."""
        variables = [*self._codes.variables, *self._noise]
        with tf.GradientTape() as tape:
            styles = self._codes.styles()
            images = (self._synthesis(styles, noise=self._maps()) + 1) / 2
            low = tf.einsum("kmy,byxc,kpx->bmpc", rows, images, columns) * gain[..., tf.newaxis]
            terms = self._objective(styles, self._codes.codes(), low, given, measured, weights)
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
        off = tf.reduce_sum(tf.abs(low - given) * measured, -1) / tf.reduce_sum(measured)
        return terms, each, images, tf.reduce_mean(off, (1, 2))

    def _maps(self) -> Any:  # noqa: ANN401
        """The noise of each convolution: searched, or as stored with the generator."""
        if not self._noise:
            return "const"
        stored = [conv.noise for block in self._synthesis.blocks for conv in block.convs]
        return [*(each.value for each in self._noise), *stored[len(self._noise) :]]

    def _found(self, low: Float32, measured: NDArray[np.bool_], history: Float32, config: SearchConfig) -> Solutions:
        best, n = self._best.read(), len(low)
        if not best.iteration[:n].all():
            raise CheckFailedError(
                "The search left what a number can hold. Take smaller weights, or a lower learning rate "
                "(--set learning_rate=0.1)."
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
            iterations=config.iterations,
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

    @property
    def variables(self) -> list[tf.Variable]:
        """All that is kept, each (batch, ...)."""
        return [self._least, self._iteration, *self._kept]

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
