"""Stand-ins for data of several defects: pairs that are made of good images by stated degradations.

Real defects come from a microscope. These show how a method does where the truth is known, and nothing about a
microscope of one's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relumen.data import fields, image_path, records
from relumen.degrade import Clean, unresolved, without_planes
from relumen.errors import UserError
from relumen.image_writing import write_image
from relumen.images import Image, read_image
from relumen.training.data import EMPTY

Float32 = NDArray[np.float32]

HELD_OUT = ("kc167/POS218", "translocation/A-12", "ht29", "widefield/fitc")
"""Fields that no model which comes with relumen was trained on."""
PHOTONS = (10.0, 60.0)
_READ_NOISE = 2.0
_PLANES, _AXIAL_BLUR = 12, 3.0
_COARSE, _BLUR = 8, 3.0
_OFFSET, _GAIN = 500.0, 10000.0  # of the camera that writes 16 bits
_HELD_OUT_SIDE = 256
_HELD_OUT_PATCHES = 4  # of an image, at most

_Defect = Callable[[Float32, np.random.Generator], Float32]


def _noise(image: Float32, rng: np.random.Generator) -> Float32:
    photons = float(np.exp(rng.uniform(*np.log(PHOTONS))))
    return Clean(np.maximum(image, 0)).with_noise(np.maximum(image, 0), photons, _READ_NOISE, rng)


DEFECTS: dict[str, tuple[str, _Defect]] = {
    "noise": (
        f"Poisson noise of {PHOTONS[0]:g} to {PHOTONS[1]:g} photons at the brightest, read-out noise of "
        f"{_READ_NOISE:g} electrons",
        _noise,
    ),
    "missing-planes": (
        f"every {_PLANES}th row alone, after a blur along y (sigma {_AXIAL_BLUR:g} px), with linear interpolation",
        lambda image, rng: without_planes(image, _PLANES, _AXIAL_BLUR),
    ),
    "low-resolution": (
        f"blur (sigma {_BLUR:g} px), {_COARSE}x binning, and enlarged again by cubic convolution",
        lambda image, rng: unresolved(image, _COARSE, _BLUR),
    ),
}
"""Each stand-in: in words, and how it is made of an image (y, x) whose values are 0 to about 1."""


def make_stand_ins(
    folder: Path,
    *,
    side: int = 80,
    count: int | None = None,
    seed: int = 0,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, tuple[int, int]]:
    """Writes a data folder with a subfolder of pairs for each stand-in, of the shipped fluorescence images.

    Every pair is a patch with structure, the same for each defect. All of an image are one stack; those of
    :data:`HELD_OUT` stand in ``validation/``. Intensities are those of a 16-bit camera.

    Args:
        folder: to make.
        side: height and width of a pair, a multiple of 8.
        count: of the pairs of each defect, spread over all images; None: as many as there are.
        seed: of the noise, and of the choice.
        on_image: told (images done, images in all).

    Returns:
        Pairs to train on, and held out, of each defect.

    Raises:
        UserError: the folder holds something, or there are not so many pairs.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} holds something already. Name another folder, or remove it.")
    if side % 8 or not 32 <= side <= _HELD_OUT_SIDE:
        raise UserError(f"Pairs measure a multiple of 8, from 32 to {_HELD_OUT_SIDE} pixels. Received: {side}")
    held = fields(HELD_OUT)
    images = [(name, record.field in held) for name, record in records("fluorescence").items()]
    patches = {name: list(_patches(name, _HELD_OUT_SIDE if out else side, out)) for name, out in images}
    there = [(name, i) for name, out in images if not out for i in range(len(patches[name]))]
    if count is not None and count > len(there):
        raise UserError(f"The shipped images have {len(there)} patches of {side} pixels with structure, not {count}.")
    chosen = set(there)
    if count is not None:
        order = np.random.default_rng((seed, 0)).permutation(len(there))[:count]
        chosen = {there[i] for i in order}
    totals: dict[str, tuple[int, int]] = dict.fromkeys(DEFECTS, (0, 0))
    for number, (name, out) in enumerate(images):
        kept = [patch for i, patch in enumerate(patches[name]) if out or (name, i) in chosen]
        if kept:
            for defect, (_, make) in DEFECTS.items():
                rng = np.random.default_rng((seed, 1, number))
                place = folder / defect / "validation" if out else folder / defect
                file = f"{name.replace('/', '-').removesuffix('.tif')}.tif"
                _write(place / "low" / file, [make(patch, rng) for patch in kept])
                _write(place / "high" / file, kept)
                train, test = totals[defect]
                totals[defect] = (train, test + len(kept)) if out else (train + len(kept), test)
        on_image(number + 1, len(images))
    about = {
        "note": "Stand-ins, made by relumen data stand-ins of images that come with relumen: their defects are stated "
        "degradations, not a microscope's.",
        "defects": {defect: words for defect, (words, _) in DEFECTS.items()},
        "held out": sorted(held),
        "images": [vars(records()[name]) for name, _ in images],
    }
    (folder / "manifest.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return totals


def _patches(name: str, side: int, held_out: bool) -> Iterator[Float32]:
    """Patches of an image that show a structure, in units of its own range: 0.1st to 99.9th percentile."""
    pixels = read_image(image_path(name)).pixels.astype(np.float32)
    low, high = np.percentile(pixels, (0.1, 99.9))
    image = (pixels - low) / (high - low)
    places = [
        image[y : y + side, x : x + side]
        for y in range(0, image.shape[0] - side + 1, side)
        for x in range(0, image.shape[1] - side + 1, side)
    ]
    shown = [patch for patch in places if patch.std() >= EMPTY * image.std()]
    yield from shown[:: -(-len(shown) // _HELD_OUT_PATCHES)] if held_out else shown


def _write(path: Path, patches: Sequence[Float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.clip(np.rint(np.stack(patches) * _GAIN + _OFFSET), 0, 65535).astype(np.uint16)
    write_image(path, Image(pixels, "TYX"))
