"""What an evaluation found: figures of every image, their means, and images for the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relumen.evaluation.published import Paper, Published

Float32 = NDArray[np.float32]
MEAN = "mean"
"""What stands in the place of a channel for the mean over all channels."""
_FIGURES = ("psnr", "ssim", "psnr_fitted", "ssim_fitted", "psnr_rescaled", "ssim_rescaled")


@dataclass(frozen=True)
class Method:
    """What is evaluated: bicubic interpolation, the input as it is, or a network.

    Attributes:
        name: in tables and figures.
        published: the published row of the same training, where there is one.
        learnt: whether it is a network.
    """

    name: str
    published: Published | None = None
    learnt: bool = False


@dataclass(frozen=True)
class Score:
    """Quality of one method: on one image, or the mean of several.

    Attributes:
        condition: of the input, such as its noise.
        channel: of the image; empty where the images have none, MEAN for the mean over channels.
        image: its name, or how many.
        method: its name.
        psnr: dB, over the 0.1st to 99.9th percentile of the target, as are the others.
        ssim: up to 1.
        psnr_fitted: after the affine fit to the target.
        ssim_fitted: after the affine fit to the target.
        psnr_rescaled: where it is wanted, of target and image as :func:`~relumen.metrics.rescaled` makes them.
        ssim_rescaled: likewise.
    """

    condition: str
    channel: str
    image: str
    method: str
    psnr: float
    ssim: float
    psnr_fitted: float
    ssim_fitted: float
    psnr_rescaled: float | None = None
    ssim_rescaled: float | None = None

    @property
    def raw(self) -> str:
        """As the paper prints it."""
        return f"{self.psnr:.2f} / {self.ssim:.3f}"

    @property
    def fitted(self) -> str:
        """As the paper would print it after the fit."""
        return f"{self.psnr_fitted:.2f} / {self.ssim_fitted:.3f}"


@dataclass(frozen=True)
class Sample:
    """One image for a figure.

    Attributes:
        scores: of each method on it, in the order of the methods.
        images: the output (y, x) of each method.
        target: what they should be.
        target_name: how the figure calls it.
    """

    scores: tuple[Score, ...]
    images: tuple[Float32, ...]
    target: Float32
    target_name: str


@dataclass(frozen=True)
class Evaluation:
    """All figures of one evaluation.

    Attributes:
        paper: what was published for the system.
        methods: what no network did first, then the networks as they were named, with what else stands beside them.
        scores: of each image and method.
        samples: some images of each condition and channel.
        notes: what a reader must know, in sentences.
        papers_data: whether the images are the paper's, and the channels those of the published rows.
    """

    paper: Paper
    methods: tuple[Method, ...]
    scores: tuple[Score, ...]
    samples: tuple[Sample, ...]
    notes: tuple[str, ...]
    papers_data: bool = False

    @property
    def conditions(self) -> list[str]:
        """In the order of the data."""
        return list(dict.fromkeys(score.condition for score in self.scores))

    @property
    def channels(self) -> list[str]:
        """In the order of the data."""
        return list(dict.fromkeys(score.channel for score in self.scores))

    def means(self, condition: str, method: str) -> list[Score]:
        """The mean of each channel, then, where there are several, the mean of these."""
        channels = [
            mean([s for s in self.scores if (s.condition, s.channel, s.method) == (condition, channel, method)])
            for channel in self.channels
        ]
        found = [score for score in channels if score is not None]
        whole = mean(found)
        if whole is None or len(found) < 2:
            return found
        return [*found, replace(whole, channel=MEAN, image=str(sum(int(score.image) for score in found)))]


def mean(scores: Sequence[Score]) -> Score | None:
    """Mean figures of several images, whose number is its image; None of none."""
    if not scores:
        return None
    first = scores[0]
    names = [name for name in _FIGURES if getattr(first, name) is not None]
    figures = np.mean([[getattr(score, name) for name in names] for score in scores], axis=0)
    return replace(first, image=str(len(scores)), **dict(zip(names, map(float, figures), strict=True)))
