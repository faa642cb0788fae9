"""Several solutions for one low-resolution image: their mean, and how much they differ."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from pydantic import Field

from relumen.configs import Frozen
from relumen.degrade import ForwardOperator
from relumen.errors import UserError
from relumen.prior.folder import Prior
from relumen.search import FORM
from relumen.search.config import SearchConfig
from relumen.search.loop import OnStep, Searcher, Solutions

Float32 = NDArray[np.float32]
Form = Literal["paper", "elbo", "restarts"]
_STARTS = 43  # sets the seed of the starts apart


class UncertaintyConfig(Frozen):
    """How several solutions of one image are found."""

    form: Form = Field(
        default=FORM,
        description="'paper': codes that are searched together, with a normal distribution that they shall fit "
        "(Gheisari and Genovesio, Sec. 4.5). 'elbo': codes that are drawn from a normal distribution, which is "
        "searched and shall be wide. 'restarts': searches that know nothing of each other, from random starts.",
    )
    spread: float | None = Field(
        default=None,
        ge=0,
        description="How far random starts are from the mean style vector, as a share of a random style vector's way; "
        "None: 1 for restarts, else 0.2 (RLS's authors' code).",
    )
    alpha: float = Field(default=0.1, gt=0, description="Shape of the inverse gamma distribution of sigma (BRGM).")
    beta: float = Field(default=0.95, gt=0, description="Scale of the inverse gamma distribution of sigma (BRGM).")

    weight: float = Field(
        default=0.02,
        gt=0,
        description="Factor of what ties the codes to their distribution, which is a sum over the coordinates of all "
        "style vectors. For the paper's objective it is lambda_l, the scale of the noise of a low-resolution pixel "
        "(0..1), which the paper leaves out, as if it were 1.",
    )

    @property
    def start_spread(self) -> float:
        """How far random starts are from the mean, with the default filled in."""
        return self.spread if self.spread is not None else 1.0 if self.form == "restarts" else 0.2


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
        UserError: fewer than two solutions, codes that aren't style vectors (PULSE) with a form that needs them, or as
            :class:`~relumen.search.loop.Searcher`.
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
        if uncertainty.form != "restarts" and (config.space != "styles" or config.ball is not None):
            raise UserError(
                f"Solutions of the form {uncertainty.form!r} are of free style vectors. With these settings (PULSE's, "
                "or RLS's authors') choose restarts: --uncertainty restarts"
            )
        self.count = count
        self.uncertainty = uncertainty
        self.config = config
        self._prior = prior
        makes = {"paper": Joint, "elbo": Variational}
        make = makes.get(uncertainty.form)
        self._searcher = Searcher(
            prior,
            operator,
            config,
            batch=min(count, batch or count) if make is None else count,
            codes=None if make is None else lambda shape: make(shape, uncertainty),
        )

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the objective's terms."""
        return self._searcher.terms

    def __call__(
        self, low: NDArray, *, seed: int = 0, measured: list[bool] | None = None, on_step: OnStep | None = None
    ) -> Solutions:
        """The solutions of a low-resolution image (m, m, channels), 0..1; arguments and errors as of the searcher's.

        A search that was ended by ``on_step`` gives what it has; of restarts that is those that were begun.
        """
        starts = self._starts(seed)
        lows = np.broadcast_to(low, (self.count, *np.shape(low)))
        found: list[Solutions] = []
        for first in range(0, self.count, self._searcher.batch):
            part = slice(first, first + self._searcher.batch)
            seeds = [seed + index for index in range(self.count)[part]]
            found.append(self._searcher(lows[part], seed=seeds, measured=measured, start=starts[part], on_step=on_step))
            if found[-1].ended:
                break
        return Solutions.joined(found)

    def _starts(self, seed: int) -> Float32:
        """Style vectors (count, L, d), one for all layers of a solution."""
        a = self._prior.generator.architecture
        w = self._prior.style_vectors(self.count, (seed, _STARTS))[1]
        w = self._searcher.mean + self.uncertainty.start_spread * (w - self._searcher.mean)
        return np.repeat(w[:, np.newaxis], a.style_inputs, axis=1).astype(np.float32)


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
        self.variables = [self._w, self._mu, self._log_sigma]

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
