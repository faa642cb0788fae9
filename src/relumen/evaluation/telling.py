"""Tells which defect an image has: a check on made defects, simple enough to be stated in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen.normalisation import EPS

if TYPE_CHECKING:
    import keras

Float32 = NDArray[np.float32]

LAYERS = ("block1_conv1", "block1_conv2", "block2_conv1")
SHRINKAGE = 0.1
"""Share of the identity in the covariance: there are more features than images."""
_FLOOR = 1e-4  # of the features, which are 0 at least, before their logarithm


class Teller:
    """Linear discriminant analysis of what low-level features of an image are in the mean, and go together.

    An image is seen in units of its own mean and standard deviation, by the channels of the microscopy feature
    network's first three convolutions: the logarithms of their means, standard deviations, and Gram matrices. A
    defect's images are taken to spread about their mean alike, and an image has the defect whose mean is nearest in
    units of that spread.

    References:
        Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, Sec. 4.3.
        Gatys et al., A Neural Algorithm of Artistic Style, 2015: Gram matrices as texture.

    Args:
        examples: real images (y, x) of each defect, all of one size.

    Raises:
        ValueError: there are fewer than two defects, or no example of one.
    """

    def __init__(self, examples: Mapping[str, Sequence[Float32]]) -> None:
        if len(examples) < 2 or not all(examples.values()):
            raise ValueError(f"Two defects at least are told apart, each by examples. Received: {list(examples)}")
        self.defects = tuple(examples)
        features = [_features(images) for images in examples.values()]
        within = np.concatenate([each - each.mean(0) for each in features])
        self._spread = within.std(0) + 1e-6
        means = np.stack([each.mean(0) for each in features]) / self._spread
        self._weights = by_inverse_covariance(within / self._spread, means.T)
        self._offsets = -0.5 * np.sum(means.T * self._weights, axis=0)

    def tell(self, images: Sequence[Float32]) -> list[str]:
        """The defect of each image (y, x); all are of one size."""
        if not images:
            return []
        scores = _features(images) / self._spread @ self._weights + self._offsets
        return [self.defects[i] for i in np.argmax(scores, axis=1)]


def by_inverse_covariance(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of the shrunken covariance of rows, times columns, by the few directions in which there are rows."""
    _, sizes, directions = np.linalg.svd(rows / np.sqrt(len(rows)), full_matrices=False)
    factors = 1 / ((1 - SHRINKAGE) * sizes**2 + SHRINKAGE) - 1 / SHRINKAGE
    return columns / SHRINKAGE + directions.T @ (factors[:, np.newaxis] * (directions @ columns))


def _features(images: Sequence[Float32]) -> NDArray[np.float64]:
    """One row for each image."""
    inputs = np.stack([(image - image.mean()) / (image.std() + EPS) for image in images])[..., np.newaxis]
    network: Any = _network()  # Keras's own annotation knows no verbose=0
    parts = network.predict(inputs.astype(np.float32), batch_size=32, verbose=0)
    rows = []
    for maps in parts:
        flat = maps.reshape(len(images), -1, maps.shape[-1]).astype(np.float64)
        upper = np.triu_indices(maps.shape[-1])
        gram = np.einsum("npi,npj->nij", flat, flat, optimize=True) / flat.shape[1]
        rows += [flat.mean(1), flat.std(1), gram[:, upper[0], upper[1]]]
    return np.log(np.concatenate(rows, axis=1) + _FLOOR)


@cache
def _network() -> keras.Model:
    from relumen import features

    return features.at_layers(features.perceptual("microscopy"), LAYERS)
