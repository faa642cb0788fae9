"""Augmentations that the discriminator sees images through, and how strong they are: what makes ADA adaptive.

Every image, real or generated, passes the same random transformations, each with probability p, so that a generator
that imitates transformed real images imitates the real ones, as long as p is well below 1 (Karras et al., Training
Generative Adversarial Networks with Limited Data, NeurIPS 2020, Sec. 2.2, 3, Appendix B). Here images have any number
of channels: where the paper turns hues, each channel has a brightness and a gain of its own.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)  # low-pass filter of the wavelet "sym6" (Daubechies 1992), by which the paper's images are doubled and halved
_LEAD = 5.5 - sum(k * tap for k, tap in enumerate(_SYM6)) / sum(_SYM6)  # pixels: the filter isn't symmetric
_SHIFT, _SCALE, _FRACTION = 0.125, 0.2, 0.125  # Appendix B: greatest shift; deviations of log2 scale and fine shift
_BRIGHTNESS, _GAIN = 0.2, 0.5  # deviations of the brightness and of the gain's log2
_DARK = -1.0  # a gain leaves it as it is


def augmented(
    images: tf.Tensor, strength: tf.Tensor, seed: tf.Tensor, *, geometric: bool = True, intensity: bool = True
) -> tf.Tensor:
    """Images through random transformations, differentiable twice.

    Args:
        images: (batch, size, size, channels), -1..1, of known size.
        strength: probability p of each transformation, a scalar 0..1; at 0 images stay as they are.
        seed: two integers; equal seeds give equal transformations.
        geometric: flips, quarter turns, shifts, scales, rotations and stretches, mirrored beyond the border.
        intensity: brightness and gain of each channel.
    """

    def changed() -> tf.Tensor:
        answer = images
        if geometric:
            answer = _resampled(answer, _matrices(tf.shape(images)[0], int(images.shape[1] or 0), strength, seed))
        return _developed(answer, strength, seed) if intensity else answer

    return tf.cond(strength > 0, changed, lambda: images)


def adjusted(strength: float, sign: float, *, target: float, images: int, kimg: float) -> float:
    """The strength p after a stretch of training: up where the discriminator overfits, down where it doesn't.

    Args:
        strength: p before.
        sign: r_t over the stretch, the mean of sign(D(real)), -1..1 (Sec. 3.1).
        target: what r_t should be.
        images: real images in the stretch.
        kimg: thousands of images in which p may go from 0 to 1.

    >>> adjusted(0.1, 0.9, target=0.6, images=1000, kimg=100)
    0.11
    """
    return min(1.0, max(0.0, round(strength + math.copysign(images / (1000 * kimg), sign - target), 12)))


def _matrices(batch: Any, size: int, strength: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:  # noqa: ANN401  a tensor
    """From a place in the augmented image to that in the image: (batch, 2, 3), pixels from the middle (Appendix B).

    The operations are in the paper's order; each is drawn with probability p, rotations twice with one that makes p.
    """
    draws = _Draws(batch, seed)
    turn = draws.happens(strength) * tf.floor(draws.uniform() * 4) * (math.pi / 2)
    flip = 1 - 2 * draws.happens(strength) * tf.floor(draws.uniform() * 2)
    scale = _exp2(draws.happens(strength) * draws.normal() * _SCALE)
    stretch = _exp2(draws.happens(strength) * draws.normal() * _SCALE)
    either = 1 - tf.sqrt(1 - strength)  # of two rotations: together they happen with probability p
    first, second = (draws.happens(either) * (2 * draws.uniform() - 1) * math.pi for _ in range(2))
    whole = [tf.round((2 * draws.uniform() - 1) * _SHIFT * size) for _ in range(2)]
    fine = [draws.normal() * _FRACTION * size for _ in range(2)]
    shifts, fractions = draws.happens(strength), draws.happens(strength)
    zero, one = tf.zeros_like(turn), tf.ones_like(turn)
    matrix = _affine(one, zero, zero, flip)
    for each in (
        _rotation(turn),
        _affine(one, zero, zero, one, *(shifts * each for each in whole)),
        _affine(1 / scale, zero, zero, 1 / scale),
        _rotation(first),
        _affine(1 / stretch, zero, zero, stretch),
        _rotation(second),
        _affine(one, zero, zero, one, *(fractions * each for each in fine)),
    ):
        matrix = matrix @ each
    return matrix[:, :2]


class _Draws:
    """Random numbers (batch,) from one seed, other ones at each call."""

    def __init__(self, batch: Any, seed: tf.Tensor) -> None:  # noqa: ANN401  a tensor
        self._shape = tf.reshape(batch, (1,))
        self._seed = seed
        self._calls = 0

    def uniform(self) -> tf.Tensor:
        """From 0 to 1."""
        return tf.random.stateless_uniform(self._shape, self._next())

    def normal(self) -> tf.Tensor:
        """Of mean 0 and deviation 1."""
        return tf.random.stateless_normal(self._shape, self._next())

    def happens(self, chance: tf.Tensor) -> tf.Tensor:
        """1 with this chance, else 0."""
        return tf.cast(self.uniform() < chance, tf.float32)

    def _next(self) -> tf.Tensor:
        self._calls += 1
        return self._seed + tf.constant([0, self._calls], self._seed.dtype)


def _affine(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor, y: Any = 0.0, x: Any = 0.0) -> tf.Tensor:  # noqa: ANN401
    """Matrices (batch, 3, 3) of (y, x) -> (a y + b x + y0, c y + d x + x0)."""
    zero, one = tf.zeros_like(a), tf.ones_like(a)
    rows = [[a, b, zero + y], [c, d, zero + x], [zero, zero, one]]
    return tf.stack([tf.stack(row, -1) for row in rows], 1)


def _rotation(angle: tf.Tensor) -> tf.Tensor:
    return _affine(tf.cos(angle), -tf.sin(angle), tf.sin(angle), tf.cos(angle))


def _resampled(images: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Images (batch, size, size, channels) read at other places: doubled, interpolated bilinearly, and halved again."""
    size = int(images.shape[1] or 0)
    up, down = _doubling(size), _halving(size)
    fine = tf.einsum("ij,njkc,lk->nilc", up, images, up)
    middle = (2 * size - 1) / 2
    reach = (down.shape[1] - 1) / 2
    line = tf.range(down.shape[1], dtype=tf.float32) - reach - _LEAD
    y, x = tf.meshgrid(line, line, indexing="ij")
    shift = 2 * matrices[:, :, 2]  # fine pixels
    sources = tf.einsum("nij,jp->nip", matrices[:, :, :2], tf.stack([tf.reshape(y, [-1]), tf.reshape(x, [-1])]))
    sources = sources + shift[:, :, tf.newaxis] + middle + _LEAD
    seen = tf.reshape(
        _bilinear(fine, sources[:, 0], sources[:, 1]), (-1, *[down.shape[1]] * 2, int(images.shape[3] or 0))
    )
    return tf.einsum("ij,njkc,lk->nilc", down, seen, down)


def _bilinear(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Images (batch, size, size, channels) at places (batch, places), mirrored beyond the border."""
    size = int(images.shape[1] or 0)
    flat = tf.reshape(images, (-1, size * size, int(images.shape[3] or 0)))
    top, left = tf.floor(y), tf.floor(x)
    answer: Any = 0.0
    for dy in (0, 1):
        for dx in (0, 1):
            weight = tf.abs(1 - dy - (y - top)) * tf.abs(1 - dx - (x - left))
            place = _mirrored(top + dy, size) * size + _mirrored(left + dx, size)
            answer = answer + weight[..., tf.newaxis] * tf.gather(flat, place, batch_dims=1)
    return answer


def _mirrored(index: tf.Tensor, size: int) -> tf.Tensor:
    """Whole numbers, reflected into 0..size - 1 with the border pixel repeated."""
    index = tf.math.floormod(tf.cast(index, tf.int32), 2 * size)
    return tf.minimum(index, 2 * size - 1 - index)


@cache
def _doubling(size: int) -> NDArray[np.float32]:
    """Matrix (2 size, size) that doubles a line by the wavelet's filter, mirrored beyond the border."""
    matrix = np.zeros((2 * size, size))
    taps = np.array(_SYM6) * math.sqrt(2)
    for row in range(2 * size):
        for k, tap in enumerate(taps):
            fine = row + k - 6  # the filter's middle lies between taps 5 and 6
            if fine % 2 == 0:
                matrix[row, np.minimum((fine // 2) % (2 * size), 2 * size - 1 - (fine // 2) % (2 * size))] += tap
    return matrix.astype(np.float32)


@cache
def _halving(size: int) -> NDArray[np.float32]:
    """Matrix (size, 2 size + 10) that halves a line by the same filter, turned round, so that no shift is left."""
    matrix = np.zeros((size, 2 * size + 10))
    taps = np.array(_SYM6)[::-1] / math.sqrt(2)
    for row in range(size):
        matrix[row, 2 * row : 2 * row + len(taps)] = taps
    return matrix.astype(np.float32)


def _developed(images: tf.Tensor, strength: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Brightness and gain of each channel of its own."""
    shape = tf.stack([tf.shape(images)[0], 1, 1, int(images.shape[3] or 0)])

    def drawn(call: int, deviation: float) -> tf.Tensor:
        seeds = [seed + tf.constant([1, call + i], seed.dtype) for i in (0, 1)]
        happens = tf.random.stateless_uniform(shape, seeds[0]) < strength
        return tf.cast(happens, tf.float32) * tf.random.stateless_normal(shape, seeds[1]) * deviation

    return (images + drawn(0, _BRIGHTNESS) - _DARK) * _exp2(drawn(2, _GAIN)) + _DARK


def _exp2(x: tf.Tensor) -> tf.Tensor:
    return tf.exp(math.log(2) * x)
