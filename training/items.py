"""Images of a data folder before they are read: where each lies, and what is known of it from its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from relumen.errors import UserError
from relumen.images import Image, read_image

AS_GIVEN = "as given"
"""The condition of a real input of which nothing more is known."""

_NAMED = 5  # names that a message shows


@dataclass(frozen=True)
class ImageFile:
    """An image that is a file.

    Attributes:
        path: of the file.
        z_score: mean and deviation by which floating-point pixels were normalised; reading undoes it.
        frames: where the file is a stack of frames, those that are averaged.
    """

    path: Path
    z_score: tuple[float, float] | None = None
    frames: tuple[int, ...] = ()

    def read(self) -> Image:
        """The image.

        Raises:
            UserError: it can't be read.
        """
        image = read_image(self.path)
        if self.frames:
            if image.pixels.ndim != 3 or len(image.pixels) <= max(self.frames):
                raise UserError(
                    f"{self.path} must be a stack of more than {max(self.frames)} frames. "
                    f"Received: shape {image.pixels.shape}"
                )
            return replace(
                image, pixels=np.asarray(image.pixels)[list(self.frames)].mean(0, dtype=np.float32), axes="YX"
            )
        if self.z_score is None or image.pixels.dtype.kind != "f":
            return image
        mean, deviation = self.z_score
        return replace(image, pixels=np.asarray(image.pixels) * np.float32(deviation) + np.float32(mean))

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Patch:
    """An image that is one entry of an array.

    Attributes:
        place: file, array and index, for messages.
        image: the entry.
        statistics: mean and standard deviation of the whole array, by channel.
    """

    place: str
    image: Image
    statistics: tuple[tuple[float, float], ...]

    def read(self) -> Image:
        """The image."""
        return self.image

    def __str__(self) -> str:
        return self.place


@dataclass(frozen=True)
class Item:
    """One image and its partner, not read yet.

    Attributes:
        name: of the image.
        low: the input; None where it is to be made.
        high: the target, or the high-quality image.
        field: the field of view; images of one field are held out together.
        channel: which of several channels it is, where its name tells; "" otherwise.
        condition: how the input was taken, such as "avg1".
    """

    name: str
    low: ImageFile | Patch | None
    high: ImageFile | Patch
    field: str
    channel: str = ""
    condition: str = AS_GIVEN


def unpaired(inputs: str, targets: Path, names: Sequence[str]) -> str:
    """The sentence about images without a partner."""
    return f"Pairs have equal names in {inputs} and {targets}. Without a partner: {shortened(names)}"


def shortened(names: Sequence[str]) -> str:
    """The first few of many names."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
