"""Images that a prior makes of random codes, as a picture or as a stack; labelled as synthesised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relumen.image_writing import write_image, write_picture
from relumen.images import Image
from relumen.pictures import grid

if TYPE_CHECKING:
    from relumen.prior.folder import Prior

SUFFIXES = (".png", ".tif", ".tiff", ".npy")
_COLUMNS = 8
_CHUNK = 25  # images at a time


def samples(prior: Prior, count: int, seed: int, truncation: float = 1.0) -> NDArray[np.float32]:
    """Images (count, size, size, channels), 0..1, of random codes.

    Args:
        prior: whose generator makes them.
        count: of images.
        seed: equal seeds give equal images.
        truncation: how far each w is from the mean w, as a share.
    """
    z = np.random.default_rng(seed).standard_normal((count, prior.generator.architecture.z_dim)).astype(np.float32)
    made = [np.asarray(prior.generator(z[i : i + _CHUNK], truncation=truncation)) for i in range(0, count, _CHUNK)]
    return np.clip((np.concatenate(made) + 1) / 2, 0, 1).astype(np.float32)


def write_samples(prior: Prior, path: Path, *, count: int, seed: int, truncation: float = 1.0) -> None:
    """Writes :func:`samples`: a .png in colour, or a stack (T, C, Y, X) of 8 bits in which nothing was stretched.

    Raises:
        UserError: the folder isn't there, or can't be written to.
        CheckFailedError: the disk is full.
    """
    images = samples(prior, count, seed, truncation)
    if path.suffix.lower() == ".png":
        write_picture(path, grid(images, min(_COLUMNS, count)))
        return
    pixels = np.rint(np.moveaxis(images, -1, 1) * 255).astype(np.uint8)
    about = (
        f"synthesised by {prior.path.name}, a generator; no microscope took it (seed {seed}, truncation {truncation:g})"
    )
    write_image(path, Image(pixels, "TCYX", metadata={"Info": about}))
