"""From the intensities of a user's image to the range of a prior's images, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import ForwardOperator
from relumen.errors import UserError
from relumen.prior.folder import Prior

Float32 = NDArray[np.float32]

_MATCHED = (2.0, 98.0)  # percentiles


@dataclass(frozen=True)
class Channels:
    """Which channel of an image each channel of a prior is.

    Attributes:
        stains: names of the prior's channels.
        source: index of the image's channel of each, or None where it was not measured.
        available: channels of the images.
    """

    stains: tuple[str, ...]
    source: tuple[int | None, ...]
    available: int

    @property
    def measured(self) -> list[bool]:
        """For each of the prior's channels whether the image has it."""
        return [index is not None for index in self.source]

    @property
    def nuclei(self) -> int | None:
        """Which of the prior's channels shows nuclei; None where none does, or it was not measured."""
        dna = self.stains.index("DNA") if "DNA" in self.stains else None
        return None if dna is None or self.source[dna] is None else dna

    def describe(self) -> str:
        """In words, counted from 1 as Fiji does."""
        parts = [
            f"{stain} not measured: made up" if index is None else f"{stain} from channel {index + 1}"
            for stain, index in zip(self.stains, self.source, strict=True)
        ]
        return ", ".join(parts)


def match_channels(prior: Prior, available: int, named: Sequence[str] = ()) -> Channels:
    """Which channel is which.

    Args:
        prior: whose channels are wanted.
        available: channels of the images.
        named: "STAIN=NUMBER" for each of the prior's stains, counted from 1 as Fiji does, or "STAIN=none" for one that
            was not measured. Nothing: the image's channels are the prior's, in order.

    Raises:
        UserError: another number of channels and no names, a stain that the prior lacks or that is left out, a channel
            that the image lacks, or none that was measured.
    """
    stains = prior.stains
    count = len(stains)
    words = f"{prior.path.name} shows {', '.join(stains)}"
    if not named:
        if available != count:
            raise UserError(
                f"{words}, and the image has {available} channels. Say which is which, such as "
                + " ".join(f"{stain}={i + 1}" for i, stain in enumerate(stains))
                + " (--channel for each on the command line, channels in Fiji)."
            )
        return Channels(stains, tuple(range(count)), available)
    chosen: dict[str, int | None] = {}
    for each in named:
        stain, _, number = each.partition("=")
        if stain not in stains:
            raise UserError(f"{words}. Received: {each}")
        if number != "none" and not (number.isdecimal() and 1 <= int(number) <= available):
            raise UserError(f"The image has the channels 1 to {available}; or say {stain}=none. Received: {each}")
        chosen[stain] = None if number == "none" else int(number) - 1
    if missing := [stain for stain in stains if stain not in chosen]:
        raise UserError(f"{words}. Say where {missing[0]} is: {missing[0]}=NUMBER, or {missing[0]}=none.")
    if all(index is None for index in chosen.values()):
        raise UserError("No channel is left to search by. Give one of them a number.")
    return Channels(stains, tuple(chosen[stain] for stain in stains), available)


@dataclass(frozen=True)
class Intensities:
    """What black and white of a prior's images are in an image's units.

    Attributes:
        black: of each of the prior's channels, (channels,).
        white: likewise.
        description: how they were found, in words.
    """

    black: Float32
    white: Float32
    description: str

    def to_prior(self, pixels: NDArray[Any]) -> Float32:
        """Intensities (..., channels) with black as 0 and white as 1; what lies beyond stays beyond."""
        return ((pixels - self.black) / (self.white - self.black)).astype(np.float32)

    def undone(self, pixels: NDArray[Any]) -> Float32:
        """Values of the prior's images (..., channels) in the image's units."""
        return (pixels * (self.white - self.black) + self.black).astype(np.float32)

    def spread_undone(self, deviations: NDArray[Any]) -> Float32:
        """Standard deviations alike, which know no black."""
        return (deviations * (self.white - self.black)).astype(np.float32)

    def describe(self, stains: Sequence[str]) -> str:
        """In words and numbers."""
        ranges = [f"{s} {b:g} to {w:g}" for s, b, w in zip(stains, self.black, self.white, strict=True)]
        return f"{self.description}: {', '.join(ranges)}"


def whole_type(dtype: np.dtype, channels: int) -> Intensities:
    """Black is 0 and white the largest number of an integer type.

    Raises:
        UserError: of another type.
    """
    if dtype.kind != "u":
        raise UserError(
            f"Only types without sign have a white of their own. Received: {dtype}. State the intensity as LOW:HIGH."
        )
    white = np.full(channels, np.iinfo(dtype).max, np.float32)
    return Intensities(np.zeros(channels, np.float32), white, f"the whole range of {dtype}")


def stated(texts: Sequence[str], channels: int) -> Intensities:
    """Black and white of "LOW:HIGH", one for all channels or one for each of the prior's.

    Raises:
        UserError: they don't read so, or are not in order.
    """
    number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
    found = [re.fullmatch(f"({number}):({number})", text) for text in texts]
    pairs = [(float(each[1]), float(each[2])) for each in found if each is not None]
    if len(pairs) < len(texts) or any(not low < high < math.inf for low, high in pairs):
        raise UserError(f"An intensity is auto, type or LOW:HIGH, such as 100:4095. Received: {', '.join(texts)}")
    if len(pairs) not in (1, channels):
        raise UserError(f"Give one LOW:HIGH, or one for each of {channels} channels. Received: {len(pairs)}")
    black, white = np.array(pairs * (channels // len(pairs)), np.float32).T
    return Intensities(black, white, "as stated")


def matched(prior: Prior, operator: ForwardOperator, pixels: NDArray[Any], channels: Channels) -> Intensities:
    """Black and white by which the images' low and high percentiles are those that the prior's images have.

    The prior's are of random samples, at low resolution.

    Args:
        prior: whose range is meant.
        operator: D.
        pixels: of all images that shall share one range, (pixels, channels of the prior).
        channels: those that weren't measured become 0 to 1.

    Raises:
        UserError: a channel is flat.
    """
    low = operator(prior.typical_images)
    wanted = np.percentile(low.reshape(-1, low.shape[-1]), _MATCHED, axis=0)
    found = np.percentile(pixels, _MATCHED, axis=0)
    black, white = np.zeros(len(channels.stains)), np.ones(len(channels.stains))
    for i, stain in enumerate(channels.stains):
        if channels.source[i] is None:
            continue
        if not found[1, i] > found[0, i]:
            raise UserError(
                f"The channel of {stain} is flat ({found[0, i]:g} throughout), so its range can't be told. "
                "State the intensity as LOW:HIGH."
            )
        scale = (found[1, i] - found[0, i]) / (wanted[1, i] - wanted[0, i])
        black[i] = found[0, i] - scale * wanted[0, i]
        white[i] = black[i] + scale
    percentiles = " and ".join(f"{each:g}" for each in _MATCHED)
    description = f"percentiles {percentiles} of the images set to those of the prior's"
    return Intensities(black.astype(np.float32), white.astype(np.float32), description)
