"""The terms of a search's objective, each of its image alone: (batch,)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.models.flow import standard_normal_log_prob
from relumen.search.config import Cross, Likelihood, SearchConfig

if TYPE_CHECKING:
    from relumen.models.flow import MaskedAutoregressiveFlow

_SMALL = 1e-9  # under a root, whose slope at 0 is infinite


@dataclass(frozen=True)
class Objective:
    """What a search minimises: the sum of its terms.

    Attributes:
        config: which terms; their weights are told with each call, so that others need no other compiled step.
        mean: of style vectors, (d,).
        spread: their root mean squared distance from it.
        flow: the normalizing flow F; None where no term needs it.
    """

    config: SearchConfig
    mean: NDArray[np.float32]
    spread: float
    flow: MaskedAutoregressiveFlow | None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the terms, in order."""
        return tuple(self.config.weights)

    def __call__(
        self,
        styles: Any,  # noqa: ANN401
        codes: Any,  # noqa: ANN401
        low: Any,  # noqa: ANN401
        given: Any,  # noqa: ANN401
        measured: Any,  # noqa: ANN401
        weights: Any = None,  # noqa: ANN401
    ) -> Mapping[str, Any]:
        """The terms by name, weighted, each (batch,).

        Args:
            styles: w, (batch, L, d).
            codes: what is searched: the style vectors, or these whitened, (batch, L, d).
            low: D of the candidates, (batch, m, m, channels), values 0..1.
            given: the low-resolution images, alike.
            measured: 1 for each channel that was measured, 0 for others: (channels,).
            weights: of the terms, in order; None: the config's.
        """
        config = self.config
        terms = {"likelihood": misfit(low, given, measured, config.likelihood)}
        if config.needs_flow:
            assert self.flow is not None  # the searcher asks the prior for it
            z, log_det = self.flow(tf.reshape(styles, (-1, styles.shape[-1])))
            log_density = standard_normal_log_prob(z) + log_det
            if config.density:
                terms["density"] = -_over_layers(log_density, styles)
            if config.shell:
                away = tf.norm(z, axis=-1) - math.sqrt(styles.shape[-1])
                terms["shell"] = _over_layers(tf.square(away), styles)
        if config.cross is not None:
            terms["cross"] = unlikeness(codes, config.cross)
        if config.gaussian:
            away = (styles - self.mean) / self.spread
            terms["gaussian"] = tf.reduce_mean(tf.square(away), (1, 2))
        weights = list(config.weights.values()) if weights is None else tf.unstack(weights)
        return {name: weight * terms[name] for name, weight in zip(self.names, weights, strict=True)}


def misfit(low: Any, given: Any, measured: Any, likelihood: Likelihood) -> Any:  # noqa: ANN401
    """||y - D(G_s(w))|| of the channels that were measured (Gheisari and Genovesio, Sec. 3.1.3), unweighted."""
    difference = (given - low) * measured
    each = tf.abs(difference) if likelihood.norm == "l1" else tf.square(difference)
    answer = tf.reduce_sum(each, (1, 2, 3))
    if likelihood.reduce == "mean":
        pixels = low.shape[1] * low.shape[2]
        answer = answer / (pixels * tf.reduce_sum(measured))
    return tf.maximum(answer, likelihood.floor)


def unlikeness(codes: Any, cross: Cross) -> Any:  # noqa: ANN401
    """How far an image's codes (batch, L, d) are from each other, over all pairs; unweighted.

    Each pair counts once, or twice where the published code has it so (cosine).

    References:
        Gheisari and Genovesio, Sec. 3.1.1: -P_cross, squared.
        Menon et al., PULSE, CVPR 2020, Sec. 3.2: the geodesic cross loss, here with its public code's constants.
        Marinescu et al., Bayesian Image Reconstruction using Deep Generative Models, 2020, Sec. 2.3: cosine.
    """
    layers, dimension = codes.shape[1:]
    squares = tf.reduce_sum(tf.square(codes), -1)
    products = tf.matmul(codes, codes, transpose_b=True)
    if cross.form == "cosine":
        lengths = tf.sqrt(squares + _SMALL)
        cosines = products / (lengths[:, :, tf.newaxis] * lengths[:, tf.newaxis, :])
        return tf.reduce_sum(tf.abs(1 - cosines), (1, 2))
    if cross.form == "squared":  # sum over i < j of ||w_i - w_j||^2 is L times that of squared distances to the middle
        middle = tf.reduce_mean(codes, 1, keepdims=True)
        return layers * tf.reduce_sum(tf.square(codes - middle), (1, 2))
    first, second = (index.tolist() for index in np.triu_indices(layers, 1))
    a, b = tf.gather(codes, first, axis=1), tf.gather(codes, second, axis=1)
    apart = tf.sqrt(tf.reduce_sum(tf.square(a - b), -1) + _SMALL)
    if cross.form == "distance":
        return tf.reduce_mean(apart, 1)
    together = tf.sqrt(tf.reduce_sum(tf.square(a + b), -1) + _SMALL)
    angles = 2 * tf.atan2(apart, together)
    return 2 * tf.reduce_sum(tf.square(angles), 1) * dimension / layers**2 / 8


def _over_layers(values: Any, styles: Any) -> Any:  # noqa: ANN401
    """The mean over the layers of each image: (batch * L,) -> (batch,)."""
    return tf.reduce_mean(tf.reshape(values, (-1, styles.shape[1])), 1)
