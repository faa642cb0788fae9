"""Several solutions for one low-resolution image: their mean, and how much they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.degrade import ForwardOperator
from relumen.errors import UserError
from relumen.prior.folder import Prior
from relumen.search.config import SearchConfig, UncertaintyConfig
from relumen.search.loop import Searcher
from relumen.search.states import OnStep, Search, Solutions

Float32 = NDArray[np.float32]
_STARTS = 43  # sets the seed of the starts apart


def make_searcher(
    prior: Prior,
    operator: ForwardOperator,
    config: SearchConfig,
    uncertainty: UncertaintyConfig,
    count: int,
    batch: int,
) -> Searcher:
    """What finds ``count`` solutions of each image.

    Args:
        prior: generator, and flow where a term needs it.
        operator: D.
        config: what is minimised, and how.
        uncertainty: how several solutions have to do with each other.
        count: of solutions.
        batch: searches at once, where they know nothing of each other; else all of an image are.

    Raises:
        UserError: codes that aren't style vectors (PULSE) with a form that needs them, or as
            :class:`~relumen.search.loop.Searcher`.
    """
    make = _TOGETHER.get(uncertainty.form)
    if count == 1 or make is None:
        return Searcher(prior, operator, config, batch=batch)
    check_form(config, uncertainty)
    return Searcher(prior, operator, config, batch=count, codes=lambda shape: make(shape, uncertainty))


def are_together(uncertainty: UncertaintyConfig, count: int) -> bool:
    """Whether ``count`` solutions are one search, or as many that know nothing of each other."""
    return count > 1 and uncertainty.form in _TOGETHER


def check_form(config: SearchConfig, uncertainty: UncertaintyConfig) -> None:
    """Whether several solutions can be found so.

    Raises:
        UserError: codes that aren't style vectors (PULSE) with a form that needs them.
    """
    if uncertainty.form in _TOGETHER and (config.space != "styles" or config.ball is not None):
        raise UserError(
            f"Solutions of the form {uncertainty.form!r} are of free style vectors. With these settings (PULSE's, "
            "or RLS's authors') choose restarts."
        )


def searches(prior: Prior, uncertainty: UncertaintyConfig, count: int, low: NDArray[Any], seed: int) -> list[Search]:
    """The searches of a low-resolution image (m, m, channels), one for each of its solutions."""
    if count == 1:
        return [Search(low, (seed, 0))]
    mean, _ = prior.style_moments
    w = prior.style_vectors(count, (seed, _STARTS))[1]
    w = mean + uncertainty.start_spread * (w - mean)
    starts = np.repeat(w[:, np.newaxis], prior.generator.architecture.style_inputs, axis=1)  # one for all layers
    return [Search(low, (seed + index, 0), start) for index, start in enumerate(starts.astype(np.float32))]


class Several:
    """Finds a number of solutions for one image at a time.

    Args:
        prior: generator, and flow where a term needs it.
        operator: D.
        config: what is minimised, and how.
        uncertainty: how the solutions have to do with each other.
        count: of solutions, 2 or more.
        batch: of 'restarts', how many are searched at once; the other forms search all at once.

    Raises:
        UserError: fewer than two solutions, or as :func:`make_searcher`.
    """

    def __init__(
        self,
        prior: Prior,
        operator: ForwardOperator,
        config: SearchConfig,
        uncertainty: UncertaintyConfig,
        count: int,
        *,
        batch: int | None = None,
    ) -> None:
        if count < 2:
            raise UserError(f"Several solutions are 2 or more. Received: {count}")
        self.count = count
        self.uncertainty = uncertainty
        self._searcher = make_searcher(prior, operator, config, uncertainty, count, min(count, batch or count))

    def __call__(
        self, low: NDArray[Any], *, seed: int = 0, measured: Sequence[bool] | None = None, on_step: OnStep | None = None
    ) -> Solutions:
        """The solutions of a low-resolution image (m, m, channels), 0..1; arguments and errors as of the searcher's.

        A search that was ended by ``on_step`` gives what it has; of restarts that is those that were begun.
        """
        each = searches(self._searcher.prior, self.uncertainty, self.count, low, seed)
        found: list[Solutions] = []
        for first in range(0, self.count, self._searcher.batch):
            part = each[first : first + self._searcher.batch]
            found.append(self._searcher.run(part, measured=measured, on_step=on_step))
            if found[-1].ended:
                break
        return Solutions.joined(found)


class Joint:
    """Codes w_1..w_n with the normal distribution that they shall fit, as the paper writes it.

    Minimised, beside the objective of each code: - sum_i log N(w_i; mu, sigma) - log p(sigma), where sigma has an
    inverse gamma distribution. Every coordinate of every layer has its mu and sigma, and what is added is the sum over
    coordinates, weighted (the paper leaves both open). The density of the codes is added where an evidence lower
    bound has it subtracted: nothing keeps the codes apart but their starts. :class:`Variational` subtracts it.

    Args:
        shape: (n, L, d).
        uncertainty: constants of the inverse gamma distribution.

    References:
        Gheisari and Genovesio, Sec. 4.5.
    """

    together = True

    def __init__(self, shape: tuple[int, int, int], uncertainty: UncertaintyConfig) -> None:
        self._settings = uncertainty
        self._w = keras.Variable(np.zeros(shape, np.float32), name="styles")
        self._mu = keras.Variable(np.zeros(shape[1:], np.float32), name="mu")
        self._log_sigma = keras.Variable(np.zeros(shape[1:], np.float32), name="log_sigma")
        self.variables = self.state = [self._w, self._mu, self._log_sigma]

    def begin(self, start: Float32, rng: list[np.random.Generator]) -> None:
        """The codes at the start, the distribution as they are there."""
        self._w.assign(start)
        self._mu.assign(start.mean(0))
        self._log_sigma.assign(np.log(start.std(0) + 1e-3))

    def codes(self) -> Any:  # noqa: ANN401
        """The style vectors."""
        return self._w.value

    def styles(self) -> Any:  # noqa: ANN401
        """The style vectors."""
        return self._w.value

    def penalty(self) -> Any:  # noqa: ANN401
        """- sum_i log N(w_i; mu, sigma) - log p(sigma), over all coordinates, weighted."""
        log_sigma = self._log_sigma.value
        n = self._w.shape[0]
        squares = tf.reduce_sum(tf.square(self._w.value - self._mu.value), 0)
        log_density = -n * log_sigma - n / 2 * math.log(2 * math.pi) - squares / 2 * tf.exp(-2 * log_sigma)
        return -self._settings.weight * tf.reduce_sum(log_density + log_inverse_gamma(log_sigma, self._settings))

    def put_back(self) -> None:
        """Nothing."""


class Variational:
    """Codes w_i = mu + sigma eps_i of a normal distribution that shall be wide: the evidence lower bound.

    Minimised, beside the objective of each code: sum_i log N(w_i; mu, sigma) - log p(sigma). The eps_i are drawn once.
    Coordinates and constants are as of :class:`Joint`.

    Args:
        shape: (n, L, d).
        uncertainty: constants of the inverse gamma distribution.

    References:
        Marinescu et al., Bayesian Image Reconstruction using Deep Generative Models, 2020, Sec. 2.4.
    """

    together = True

    def __init__(self, shape: tuple[int, int, int], uncertainty: UncertaintyConfig) -> None:
        self._settings = uncertainty
        self._mu = keras.Variable(np.zeros(shape[1:], np.float32), name="mu")
        self._log_sigma = keras.Variable(np.zeros(shape[1:], np.float32), name="log_sigma")
        self._draws = keras.Variable(np.zeros(shape, np.float32), trainable=False, name="draws")
        self.variables = [self._mu, self._log_sigma]
        self.state = [*self.variables, self._draws]

    def begin(self, start: Float32, rng: list[np.random.Generator]) -> None:
        """The distribution as the starts have it, and the draws."""
        self._mu.assign(start.mean(0))
        self._log_sigma.assign(np.log(start.std(0) + 1e-3))
        self._draws.assign(np.stack([each.standard_normal(start.shape[1:], np.float32) for each in rng]))

    def codes(self) -> Any:  # noqa: ANN401
        """The style vectors."""
        return self._mu.value + tf.exp(self._log_sigma.value) * self._draws.value

    def styles(self) -> Any:  # noqa: ANN401
        """The style vectors."""
        return self.codes()

    def penalty(self) -> Any:  # noqa: ANN401
        """sum_i log N(w_i; mu, sigma) - log p(sigma) but for a constant, over all coordinates, weighted."""
        log_sigma = self._log_sigma.value
        n = self._draws.shape[0]
        return self._settings.weight * tf.reduce_sum(-n * log_sigma - log_inverse_gamma(log_sigma, self._settings))

    def put_back(self) -> None:
        """Nothing."""


def log_inverse_gamma(log_sigma: Any, uncertainty: UncertaintyConfig) -> Any:  # noqa: ANN401
    """The log density of an inverse gamma distribution at sigma, of any shape."""
    alpha, beta = uncertainty.alpha, uncertainty.beta
    constant = alpha * math.log(beta) - math.lgamma(alpha)
    return constant - (alpha + 1) * log_sigma - beta * tf.exp(-log_sigma)


_TOGETHER = {"paper": Joint, "elbo": Variational}
