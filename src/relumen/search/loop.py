"""The search: one step, compiled by XLA for a batch, and the loop over it on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.degrade import ForwardOperator
from relumen.errors import CheckFailedError, UserError
from relumen.normalisation import check_finite
from relumen.prior.folder import Prior
from relumen.prior.whitening import Whitening
from relumen.search.best import Best
from relumen.search.codes import Codes, Styles, Whitened
from relumen.search.config import SearchConfig
from relumen.search.objective import Objective
from relumen.search.states import OnStep, Progress, Search, SearchState, Solutions

Float32 = NDArray[np.float32]

_WHITENED_BY = 100_000  # style vectors; PULSE draws a million
_STATISTICS, _STARTS = 41, 42  # purposes that set the seeds of codes apart


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
        self._best = Best(shape, high, low, (batch, len(self._objective.names)))
        self._step = tf.function(self._one_step, jit_compile=True, autograph=False)

    def _plain(self, shape: tuple[int, int, int]) -> Codes:
        if self.config.space == "styles":
            return Styles(shape, self.mean, self.config.ball)
        w = self.prior.style_vectors(_WHITENED_BY, (1, _STATISTICS))[1]
        return Whitened(shape, Whitening.of(w), sphere=self.config.sphere)

    def __call__(
        self,
        low: NDArray[Any],
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
        check_finite(low)

    def _start(self, searches: Sequence[Search], rng: list[np.random.Generator], config: SearchConfig) -> Float32:
        """Style vectors (batch, L, d): of each search its own, or the config's."""
        a = self._architecture
        if config.start == "mean":
            w = np.broadcast_to(self.mean, (self.batch, a.style_inputs, a.w_dim)).astype(np.float32)
        else:
            z = np.zeros((self.batch, a.style_inputs, a.z_dim), np.float32)
            for codes, each, draw in zip(z, searches, rng, strict=True):
                if each.start is None:
                    codes[:] = draw.standard_normal(codes.shape, np.float32)
            w = np.array(self.prior.generator.mapping(z.reshape(-1, a.z_dim))).reshape(self.batch, -1, a.w_dim)
        for styles, each in zip(w, searches, strict=True):
            if each.start is not None:
                styles[:] = each.start
        return w

    def _begin(self, searches: Sequence[Search], config: SearchConfig) -> None:
        """Everything as before the first step."""
        rng = [np.random.default_rng((*each.seed, _STARTS)) for each in searches]
        self._codes.begin(self._start(searches, rng, config), rng)
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
