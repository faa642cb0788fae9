"""The images of a training: real pairs, and high-quality images whose partners are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import Clean, Degradation, crop_to_multiple
from relumen.errors import UserError
from relumen.images import Image
from relumen.training.items import AS_GIVEN, ImageFile, Item, Patch

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Pair:
    """A real pair: (y, x) intensities, the target ``scale`` times as large.

    Attributes:
        name: of the image.
        low: the input.
        high: the target.
        channel: which of several channels it is, "" where there is one.
        condition: how the input was taken, such as "avg1".
        whole: mean and standard deviation of the input's whole image, where this is a part of it.
    """

    name: str
    low: Float32
    high: Float32
    channel: str = ""
    condition: str = AS_GIVEN
    whole: tuple[float, float] | None = None

    @cached_property
    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation that the input is normalised by."""
        return self.whole or (float(self.low.mean()), float(self.low.std()))


@dataclass(frozen=True)
class Degradable:
    """A high-quality image whose low-quality partner is made anew for each patch.

    Attributes:
        name: of the image.
        cleans: what is left of it before noise, by each blur of the degradation.
        high: (y, x) intensities.
        degradation: from which each patch draws.
        channel: which of several channels it is, "" where there is one.
        condition: how the image was taken.
    """

    name: str
    cleans: tuple[Clean, ...]
    high: Float32
    degradation: Degradation
    channel: str = ""
    condition: str = AS_GIVEN

    @property
    def clean(self) -> Clean:
        """The image at its middle blur, before noise."""
        return self.cleans[len(self.cleans) // 2]

    @property
    def low(self) -> Float32:
        """The noise-free low-resolution image (y, x) at its middle blur, in its own units."""
        return self.clean.signal


Source = Pair | Degradable
Part = Callable[[tuple[int, int]], tuple[slice, slice]]
"""Which part of an input of some (height, width) is used."""


def read_sources(
    items: Sequence[Item], scale: int, degradation: Degradation | None, part: Part | None = None, offsets: int = 1
) -> tuple[tuple[Source, ...], list[float | None]]:
    """Reads images and their partners; a target that several inputs share is read, and kept, once.

    Args:
        items: with all inputs of a target together.
        scale: magnification.
        degradation: of the images that have no partner.
        part: of each image, where not the whole is used; it then counts as the image.
        offsets: positions of the pixel grid of made inputs, along each axis; each gives sources of its own.

    Returns:
        Every plane and channel, and the pixel size of each input in micrometres, where it is known.

    Raises:
        UserError: an image can't be read, doesn't fit its partner, or holds pixels that are no numbers.
    """
    sources: list[Source] = []
    sizes = []
    for _, together in groupby(items, key=lambda item: str(item.high)):
        high = None
        for item in together:
            high = high or _Picture.read(item.high)
            low = None if item.low is None else _Picture.read(item.low)
            sources += _sources(item, low, high, scale, degradation, part or _whole, offsets)
            sizes.append(_pixel_size(low, high, scale))
    return tuple(sources), sizes


def _sources(
    item: Item,
    low: _Picture | None,
    high: _Picture,
    scale: int,
    degradation: Degradation | None,
    part: Part,
    offsets: int,
) -> Sequence[Source]:
    if low is None:
        if degradation is None:
            raise UserError(f"{item.high} has no partner, and no degradation is stated.")
        shifts = [scale * i // offsets for i in range(offsets)]
        return [
            _degradable(item, plane, scale, degradation, part, (down, right))
            for plane in high.planes
            for down in shifts
            for right in shifts
        ]
    shapes = [[plane.pixels.shape for plane in picture.planes] for picture in (low, high)]
    if shapes[1] != [(scale * height, scale * width) for height, width in shapes[0]]:
        raise UserError(
            f"{item.high} must be {scale} times as large as {item.low} in y and x, with as many planes. "
            f"Received: {_sizes(shapes[1])} for {_sizes(shapes[0])}."
            + (_SAME_SIZE.format(scale=scale) if shapes[0] == shapes[1] else "")
        )
    return [
        Pair(
            item.name + plane.suffix,
            plane.pixels[part(plane.pixels.shape)],
            target.pixels[_scaled(part(plane.pixels.shape), scale)],
            item.channel or plane.channel,
            item.condition,
            item.low.statistics[plane.number] if isinstance(item.low, Patch) else None,
        )
        for plane, target in zip(low.planes, high.planes, strict=True)
    ]


def _degradable(
    item: Item, plane: _Plane, scale: int, degradation: Degradation, part: Part, shift: tuple[int, int]
) -> Degradable:
    """A part of a plane whose first pixel of the input begins ``shift`` pixels down and to the right."""
    height, width = plane.pixels.shape
    y, x = _scaled(part((height // scale, width // scale)), scale)
    down, right = shift
    high = crop_to_multiple(plane.pixels[y.start + down : y.stop, x.start + right : x.stop], scale)
    name = item.name + plane.suffix
    return Degradable(name, degradation.cleans(high), high, degradation, item.channel or plane.channel)


def _pixel_size(low: _Picture | None, high: _Picture, scale: int) -> float | None:
    """Of the input, micrometres: its own, or by its target's, where one tells it."""
    own, target = (each and each.image.pixel_size and each.image.pixel_size.micrometres for each in (low, high))
    return own or (target and target * scale)


def _whole(shape: tuple[int, int]) -> tuple[slice, slice]:
    return slice(0, shape[0]), slice(0, shape[1])


def _scaled(part: tuple[slice, slice], scale: int) -> tuple[slice, slice]:
    """The same part of an image that is ``scale`` times as large."""
    y, x = part
    return slice(scale * y.start, scale * y.stop), slice(scale * x.start, scale * x.stop)


_SAME_SIZE = (
    " Pairs of one size are for denoising alone; to magnify, inputs must be smaller: bin them {scale} x {scale}, or "
    "train on the targets as high-quality images alone, with --degrade."
)


class _Plane(NamedTuple):
    """One (y, x) plane of an image: what tells it from the others, the name and number of its channel, its pixels."""

    suffix: str
    channel: str
    number: int
    pixels: Float32


@dataclass(frozen=True)
class _Picture:
    """An image, and every plane and channel of it."""

    image: Image
    planes: tuple[_Plane, ...]

    @classmethod
    def read(cls, stored: ImageFile | Patch) -> _Picture:
        image = stored.read()
        planes = []
        for position in image.positions():
            for index in range(image.channels):
                channel = f"C{index}" if image.channels > 1 else ""
                suffix = "-".join([*(f"{axis}{i}" for axis, i in position.items()), *([channel] if channel else [])])
                pixels = np.ascontiguousarray(image.plane(position, index), np.float32)
                if not np.isfinite(pixels).all():
                    raise UserError(f"{stored} holds pixels that are no finite numbers (NaN or infinite).")
                planes.append(_Plane(f" {suffix}" if suffix else "", channel, index, pixels))
        return cls(image, tuple(planes))


def _sizes(shapes: Sequence[tuple[int, ...]]) -> str:
    """Such as "2 planes of 512 x 512"."""
    height, width = shapes[0]
    return f"{len(shapes)} plane{'s' if len(shapes) > 1 else ''} of {height} x {width}"
