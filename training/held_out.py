"""The held-out images as inputs and targets, and the figures of a network on them.

Training reports these figures at its end, export for networks that it makes itself, and ``relumen evaluate`` goes
on from the same inputs: where inputs are made, all three see the same noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from relumen.metrics import psnr, ssim
from relumen.normalisation import Normalisation
from relumen.restore import Restorer, restore_plane
from relumen.run import Figures
from relumen.training.sources import Pair, Source
from relumen.upsampling import bicubic

Float32 = NDArray[np.float32]

NO_NOISE = "no added noise"
"""The condition of an input that was made smaller, and nothing else."""

_LEVELS = 3
_PURPOSE = 3  # sets this seed apart from those of the batches


def held_out(sources: Sequence[Source], seed: int) -> Iterator[tuple[Source, str, Float32, Float32]]:
    """Every held-out image under every condition, as (source, condition, low, high).

    Args:
        sources: the held-out images, in the order of the data folder.
        seed: of the training, or of the evaluation; the noise of an image depends on it and on its place.
    """
    for index, source in enumerate(sources):
        for condition, low, high in held_out_inputs(source, (seed, _PURPOSE, index)):
            yield source, condition, low, high


def held_out_inputs(source: Source, seed: Sequence[int]) -> list[tuple[str, Float32, Float32]]:
    """One image as (condition, low, high): as it is, or degraded at three levels of noise, the least noise first.

    Where the degradation has no noise, there is one level.

    Args:
        source: a pair, or a high-quality image. Of several blurs of a degradation the middle one is used.
        seed: of the noise; equal seeds give equal inputs.
    """
    if isinstance(source, Pair):
        return [(source.condition, source.low, source.high)]
    degradation = source.degradation
    if degradation.photons is None:
        return [(NO_NOISE, source.clean.image, source.high)]
    levels = np.geomspace(*degradation.photons, _LEVELS)[::-1]
    return [
        (
            f"{photons:.0f} photons",
            source.clean.noisy(photons, degradation.read_noise, np.random.default_rng((*seed, level))),
            source.high,
        )
        for level, photons in enumerate(levels)
    ]


def units(source: Source, low: Float32) -> tuple[float, float]:
    """Mean and standard deviation that an input is normalised by: its own, or for a patch its whole image's.

    Args:
        source: of the input.
        low: the input (y, x).
    """
    if isinstance(source, Pair) and source.whole is not None:
        return source.whole
    return float(low.mean()), float(low.std())


def restored(source: Source, low: Float32, restorer: Restorer) -> Float32:
    """What a network makes of an input (y, x), which enters in the same units as in training.

    Args:
        source: of the input.
        low: the input.
        restorer: the network.
    """
    if restorer.normalisation.measured:
        mean, deviation = units(source, low)
        stated = Normalisation(mean=mean, deviation=deviation + restorer.normalisation.eps)
        restorer = replace(restorer, normalisation=stated)
    return restore_plane(low[..., np.newaxis], restorer)[..., 0]


def held_out_figures(sources: Sequence[Source], restorer: Restorer, seed: int) -> tuple[Figures, ...]:
    """PSNR and SSIM of a network, and of bicubic interpolation, on whole held-out images.

    Args:
        sources: the held-out images.
        restorer: the network; its scale is that of the images.
        seed: see :func:`held_out`.
    """
    figures = []
    for source, condition, low, high in held_out(sources, seed):
        output = restored(source, low, restorer)
        plain = bicubic(low, restorer.scale)
        figures.append(
            Figures(
                image=source.name,
                condition=condition,
                psnr=psnr(high, output),
                ssim=ssim(high, output),
                bicubic_psnr=psnr(high, plain),
                bicubic_ssim=ssim(high, plain),
            )
        )
    return tuple(figures)
