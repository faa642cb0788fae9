"""Stand-ins for data of several defects: pairs that are made of good images by stated degradations.

Real defects come from a microscope. These show how a method does where the truth is known, and nothing about a
microscope of one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relumen.data import fields, image_path, records
from relumen.degrade import Clean, unresolved, without_planes
from relumen.errors import UserError
from relumen.image_writing import write_image
from relumen.images import Image, read_image
from relumen.training.data import EMPTY, spread
from relumen.training.defects import write_manifest

Float32 = NDArray[np.float32]

HELD_OUT = ("kc167/POS218", "translocation/A-12", "ht29", "widefield/fitc")
"""Fields that no model which comes with relumen was trained on."""
_READ_NOISE = 2.0
_OFFSET, _GAIN = 10000.0, 10000.0  # of the camera that writes 16 bits: noise of a dark pixel must not end at 0
_HELD_OUT_SIDE = 256
_HELD_OUT_PATCHES = 4  # of an image, at most


@dataclass(frozen=True)
class Strengths:
    """How strong each defect is; of a range, every pair draws its own.

    Attributes:
        photons: at an image's brightest, from and to.
        planes: rows from one that is left to the next, at the least and at most; the blur along y before is a quarter.
        coarse: pixels that became one, at the least and at most; the blur before is three eighths of it.
    """

    photons: tuple[float, float]
    planes: tuple[int, int]
    coarse: tuple[int, int]

    def noise(self, image: Float32, rng: np.random.Generator) -> Float32:
        """An image (y, x), whose values are 0 to about 1, with noise."""
        photons = float(np.exp(rng.uniform(*np.log(self.photons))))
        return Clean(image).with_noise(np.maximum(image, 0), photons, _READ_NOISE, rng)

    def missing_planes(self, image: Float32, rng: np.random.Generator) -> Float32:
        """The same with most of its rows missing."""
        step = int(rng.integers(self.planes[0], self.planes[1] + 1))
        return without_planes(image, step, step / 4)

    def low_resolution(self, image: Float32, rng: np.random.Generator) -> Float32:
        """The same without fine detail; of the factors in the range those that divide the image."""
        low, high = self.coarse
        factors = [each for each in range(low, high + 1) if all(size % each == 0 for size in image.shape)]
        factor = int(rng.choice(factors))
        return unresolved(image, factor, 3 * factor / 8)

    def describe(self) -> dict[str, str]:
        """Each defect by its name, in words."""
        return {
            "noise": f"Poisson noise of {_range(self.photons)} photons at the brightest, read-out noise of "
            f"{_READ_NOISE:g} electrons",
            "missing-planes": f"one row of {_range(self.planes)} alone, after a blur along y of a quarter as many "
            "pixels, with linear interpolation",
            "low-resolution": f"blur of three eighths, and binning of {_range(self.coarse)} pixels, enlarged again by "
            "cubic convolution",
        }

    def make(self, defect: str, image: Float32, rng: np.random.Generator) -> Float32:
        """An image with a defect, by its name."""
        return {"noise": self.noise, "missing-planes": self.missing_planes, "low-resolution": self.low_resolution}[
            defect
        ](image, rng)


STRONG = Strengths(photons=(10.0, 60.0), planes=(12, 12), coarse=(8, 8))
"""One strength each, which the comparisons are made on."""
VARIED = Strengths(photons=(10.0, 300.0), planes=(4, 12), coarse=(2, 8))
"""A range of each, for a restorer that shall take what comes."""


def make_stand_ins(
    folder: Path,
    *,
    side: int = 80,
    count: int | None = None,
    strengths: Strengths = STRONG,
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
        strengths: of the defects.
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
    words = strengths.describe()
    totals: dict[str, tuple[int, int]] = dict.fromkeys(words, (0, 0))
    for number, (name, out) in enumerate(images):
        kept = [patch for i, patch in enumerate(patches[name]) if out or (name, i) in chosen]
        if kept:
            for defect in words:
                rng = np.random.default_rng((seed, 1, number))
                place = folder / defect / "validation" if out else folder / defect
                file = f"{name.replace('/', '-').removesuffix('.tif')}.tif"
                _write(place / "low" / file, [strengths.make(defect, patch, rng) for patch in kept])
                _write(place / "high" / file, kept)
                train, test = totals[defect]
                totals[defect] = (train, test + len(kept)) if out else (train + len(kept), test)
        on_image(number + 1, len(images))
    about = {
        "note": "Stand-ins, made by relumen data stand-ins of images that come with relumen: their defects are stated "
        "degradations, not a microscope's.",
        "defects": words,
        "held out": sorted(held),
        "images": [vars(records()[name]) for name, _ in images],
    }
    write_manifest(folder, about)
    return totals


def held_out_patches() -> Iterator[Float32]:
    """The patches (y, x) that stand in ``validation/``, without a defect: 0 to about 1."""
    held = fields(HELD_OUT)
    for name, record in records("fluorescence").items():
        if record.field in held:
            yield from _patches(name, _HELD_OUT_SIDE, held_out=True)


def _range(values: tuple[float, float]) -> str:
    low, high = values
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


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
    yield from spread(shown, _HELD_OUT_PATCHES) if held_out else shown


def _write(path: Path, patches: Sequence[Float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.clip(np.rint(np.stack(patches) * _GAIN + _OFFSET), 0, 65535).astype(np.uint16)
    write_image(path, Image(pixels, "TYX"))
