"""Images with axes and pixel size, and how they are read from TIFF (ImageJ, OME, plain), PNG, npy and OME-Zarr.

Reading maps the file into memory where it can, and leaves the chunks of OME-Zarr on the disk until they are asked for;
see :mod:`relumen.image_writing` for writing.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.chunked import Pixels
from relumen.claims import explained_bytes
from relumen.errors import CheckFailedError, UserError
from relumen.spool import spooled
from relumen.tiff_claims import check_tiff

AXES = "TZCYX"
FILES = (".tif", ".tiff", ".png", ".npy")
"""Suffixes of images that are one file."""
ZARR = ".zarr"
"""The suffix of images that are a folder."""
SUFFIXES = (*FILES, ZARR)
MICROMETRES: dict[str, float] = dict.fromkeys(
    ("um", "µm", "\u03bcm", "micron", "microns", "micrometer", "micrometre"), 1.0
)
"""Lengths, by the names that files give them."""
MICROMETRES |= {"nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3, "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3}
MICROMETRES |= {"cm": 1e4, "centimeter": 1e4, "centimetre": 1e4, "angstrom": 1e-4, "meter": 1e6, "metre": 1e6}
_ZARR_FILES = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
_READABLE = (np.uint8, np.uint16, np.int16, np.uint32, np.int32, np.float16, np.float32, np.float64, np.bool_)
_MOST_PACKED = 2000
"""Most bytes of pixels for each byte of a TIFF: DEFLATE shrinks a thousandfold at most, others more."""
_TIFFFILE_DAMAGE = ("corrupt", "invalid page offset")
_MODES = ("color", "composite", "grayscale")
_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})")
_KEPT_IMAGEJ_METADATA: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("mode", "Info"), (str,)),
    "Labels": (list, str),  # of one plane
    "LUTs": (list, np.ndarray),  # of one channel
    "Ranges": (tuple,),
    **dict.fromkeys(("min", "max", "finterval", "fps"), (int, float)),
    "loop": (bool,),
}
"""Entries that outlive a restoration, with what they are; in a damaged file they may be anything."""


@dataclass(frozen=True)
class PixelSize:
    """The size of a pixel.

    Attributes:
        y: height in ``unit``.
        x: width in ``unit``.
        z: distance of two slices in ``unit``, where known.
        unit: as the file names it; "um" stands for micrometre.
    """

    y: float
    x: float
    z: float | None = None
    unit: str = "um"

    @property
    def micrometres(self) -> float | None:
        """Mean of height and width in micrometres, or None where the unit is not a length."""
        factor = MICROMETRES.get(self.unit.strip().lower())
        return None if factor is None else factor * (self.y + self.x) / 2

    def divided(self, scale: int) -> PixelSize:
        """The pixel size after a magnification by ``scale`` in y and x; z stays."""
        return replace(self, y=self.y / scale, x=self.x / scale)

    def multiplied(self, factor: int) -> PixelSize:
        """The pixel size after a reduction by ``factor`` in y and x; z stays."""
        return replace(self, y=self.y * factor, x=self.x * factor)


@dataclass(frozen=True)
class Image:
    """An image with named axes.

    Attributes:
        pixels: the values, perhaps a memory map, or in chunks that are read when they are asked for.
        axes: one letter an axis: a part of "TZCYX" in that order, the last two always "YX".
        pixel_size: where it is known.
        metadata: ImageJ's own entries that outlive a restoration (Info, labels, display ranges, colours).

    Raises:
        UserError: axes that don't fit the pixels, or pixels that are no numbers.
    """

    pixels: Pixels
    axes: str
    pixel_size: PixelSize | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_axes(self.axes)
        if self.pixels.ndim != len(self.axes):
            raise UserError(f"Axes {self.axes} do not fit pixels of shape {self.pixels.shape}.")
        if self.pixels.dtype.type not in _READABLE:
            raise UserError(f"Pixels must be 8, 16 or 32 bit numbers. Received: {self.pixels.dtype}")
        if 0 in self.pixels.shape:
            raise UserError(f"The image has no pixels. Received: shape {self.pixels.shape}")

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each axis."""
        return dict(zip(self.axes, self.pixels.shape, strict=True))

    @property
    def channels(self) -> int:
        """Number of channels (1 where there is no channel axis)."""
        return self.sizes.get("C", 1)

    def describe(self) -> str:
        """Axes, type and pixel size in words, so that a wrong guess is seen."""
        sizes = " x ".join(f"{axis} {size}" for axis, size in self.sizes.items())
        size = self.pixel_size
        known = "pixel size unknown" if size is None else f"pixels of {size.y:g} x {size.x:g} {size.unit}"
        return f"{sizes}, {self.pixels.dtype.name}, {known}"

    def positions(self) -> Iterator[dict[str, int]]:
        """Every (T, Z) position that the image has, as {axis: index}."""
        names = [axis for axis in self.axes if axis in "TZ"]
        for indices in product(*(range(self.sizes[axis]) for axis in names)):
            yield dict(zip(names, indices, strict=True))

    def plane(self, position: Mapping[str, int], channel: int) -> Pixels:
        """One (y, x) plane, as a view; of one in chunks, nothing is read yet."""
        at = {**position, "C": channel}
        return self.pixels[tuple(at[axis] for axis in self.axes[:-2])]


def check_axes(axes: str) -> None:
    """Axes must be a part of TZCYX, in that order, ending in YX.

    Raises:
        UserError: they are not.
    """
    if not axes.endswith("YX") or "".join(a for a in AXES if a in axes) != axes:
        raise UserError(f"Axes must be a part of TZCYX, in that order, ending in YX. Received: {axes!r}")


def read_image(path: Path, axes: str | None = None) -> Image:
    """Reads an image; large files are mapped, not loaded.

    Args:
        path: a .tif, .tiff, .png or .npy file, or the folder of an OME-Zarr image.
        axes: overrides the axes that the file tells or lets guess, such as "TYX".

    Raises:
        UserError: the file isn't there, is of another format, is damaged, or has other axes.
        CheckFailedError: it is decoded into a temporary file, and the disk has no room for that.
    """
    axes = axes and axes.upper()
    readers = {".tif": _read_tiff, ".tiff": _read_tiff, ".png": _read_png, ".npy": _read_npy}
    if is_zarr(path):
        reader = _read_zarr
    elif path.is_file():
        reader = readers.get(path.suffix.lower())
    elif path.is_dir() and path.suffix.lower() == ZARR:
        raise UserError(f"{path} is no OME-Zarr: there is none of {', '.join(_ZARR_FILES)} in it. Copy it again.")
    else:
        raise UserError(f"There is no image at {path}.")
    if reader is None:
        packed = " Unpack it first." if path.suffix.lower() in (".zip", ".ozx") else " Save it as TIFF in Fiji first."
        raise UserError(f"Images are TIFF, PNG, npy or OME-Zarr. Received: {path.name}.{packed}")
    try:
        image = reader(path, axes)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except CheckFailedError:
        raise
    except Exception as error:  # decoders raise whatever they like on a damaged file
        raise UserError(f"{path} can't be read; it may be damaged or cut short ({error}).") from error
    return image


def is_zarr(path: Path) -> bool:
    """Whether a folder is a group or an array of Zarr, whatever its name."""
    return path.is_dir() and any((path / name).is_file() for name in _ZARR_FILES)


def list_images(folder: Path) -> list[Path]:
    """The images of a folder, sorted by name.

    Raises:
        UserError: it is no folder, or there is no image in it.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder at {folder}.")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not found:
        raise UserError(f"There is no image ({', '.join(SUFFIXES)}) in {folder}.")
    return found


def _read_tiff(path: Path, axes: str | None) -> Image:
    import tifffile

    check_tiff(path)
    with _logged("tifffile") as messages, tifffile.TiffFile(path) as tiff:
        series = _only_series(tiff)
        _check_claim(path, series)
        pixels = _mapped(series)
        found = axes or series.axes
        size, metadata = _tiff_pixel_size(tiff), {}
        if tiff.imagej_metadata:
            entries = tiff.imagej_metadata.items()
            metadata = {k: v for k, v in entries if isinstance(v, _KEPT_IMAGEJ_METADATA.get(k, ()))}
            if metadata.get("mode") not in _MODES:
                metadata.pop("mode", None)
        pixels, found = _in_order(pixels, found)
    if damage := [message for message in messages if any(words in message for words in _TIFFFILE_DAMAGE)]:
        raise UserError(f"it is damaged or cut short ({damage[0]}). Copy or save it again.")
    return Image(pixels, found, size, metadata)


def _only_series(tiff: Any) -> Any:  # noqa: ANN401  of tifffile
    """The image of a TIFF, whose others are smaller: previews, or a slide's label.

    Raises:
        UserError: it holds several images, such as the positions of an acquisition.
    """
    first, *others = tiff.series
    if any(tiff.is_ome or each.size >= first.size for each in others):
        raise UserError(
            f"it holds {1 + len(others)} images, of which one would be read. Save each as a TIFF of its own: in Fiji, "
            "Plugins > Bio-Formats > Bio-Formats Importer opens those that you choose."
        )
    return first


def _mapped(series: Any) -> NDArray:  # noqa: ANN401  of tifffile
    """The pixels as they lie in the file, or decoded into another."""
    if series.dataoffset is not None and series.keyframe.is_memmappable:
        return series.asarray(out="memmap")
    return series.asarray(out=spooled(series.shape, series.dtype))


def _check_claim(path: Path, series: Any) -> None:  # noqa: ANN401  of tifffile
    """Refuses a TIFF that says to hold far more than it does: what is missing would be filled with nothing.

    Raises:
        UserError: see there.
    """
    size, claimed = path.stat().st_size, series.nbytes
    if claimed > explained_bytes(size, _MOST_PACKED):
        raise UserError(
            f"it says to hold {claimed / 1e6:,.0f} MB of pixels, and has {size / 1e6:,.1f} MB. It is damaged or cut "
            "short: copy or save it again."
        )


@contextmanager
def _logged(name: str) -> Iterator[list[str]]:
    """Keeps a library's messages from the terminal; tifffile logs damage, and goes on with what is left."""
    logger, messages = logging.getLogger(name), []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _in_order(pixels: NDArray, axes: str) -> tuple[NDArray, str]:
    """Brings a TIFF's axes into the order TZCYX: unknown planes become Z, as ImageJ shows them, samples C."""
    if len(axes) != pixels.ndim:
        raise UserError(f"Axes {axes} do not fit the image's shape {pixels.shape}.")
    names = list(axes.upper())
    for i, name in enumerate(names):
        if name == "S":
            names[i] = "C"
        elif name not in AXES:
            names[i] = "Z"
    keep = [i for i, name in enumerate(names) if name in "YX" or pixels.shape[i] > 1 or names.count(name) == 1]
    pixels = pixels[tuple(slice(None) if i in keep else 0 for i in range(pixels.ndim))]
    names = [names[i] for i in keep]
    if len(set(names)) < len(names):
        raise UserError(f"Axes {axes} of shape {pixels.shape} are ambiguous. Name them, such as --axes TZYX.")
    order = sorted(range(len(names)), key=lambda i: AXES.index(names[i]))
    return pixels.transpose(order), "".join(names[i] for i in order)


def _tiff_pixel_size(tiff: Any) -> PixelSize | None:  # noqa: ANN401 (tifffile is untyped)
    if tiff.is_ome:
        return _ome_pixel_size(tiff.ome_metadata)
    page = tiff.pages[0]
    resolution = [page.tags[name].value for name in ("YResolution", "XResolution") if name in page.tags]
    if len(resolution) != 2 or any(numerator <= 0 or denominator <= 0 for numerator, denominator in resolution):
        return None
    y, x = (denominator / numerator for numerator, denominator in resolution)
    if tiff.is_imagej:
        unit = _unescaped(str(tiff.imagej_metadata.get("unit", "")))
        return _pixel_size(y, x, tiff.imagej_metadata.get("spacing"), unit) if unit else None
    if page.tags.get("ResolutionUnit") is not None and page.tags["ResolutionUnit"].value == 3:  # centimetre
        return _pixel_size(y * 1e4, x * 1e4, None, "um")
    return None  # dots an inch say how a picture is printed, not how it was taken


def _unescaped(text: str) -> str:
    r"""A text of ImageJ's description, which is ASCII and has \u00B5 for a micro sign."""
    units = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def escaped(text: str) -> str:
    r"""A text as ImageJ's description holds it: in ASCII, with \u00B5 for a micro sign.

    >>> print(escaped("µm"))
    \u00B5m
    """
    found = text.encode("utf-16-be", "replace")
    codes = (int.from_bytes(found[i : i + 2]) for i in range(0, len(found), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04X}" for code in codes)


def _ome_pixel_size(xml: str) -> PixelSize | None:
    import tifffile

    described = tifffile.xml2dict(xml)["OME"]["Image"]
    pixels = (described[0] if isinstance(described, list) else described)["Pixels"]
    if "PhysicalSizeX" not in pixels or "PhysicalSizeY" not in pixels:
        return None
    y, x, z = (pixels.get(f"PhysicalSize{axis}") for axis in "YXZ")
    return _pixel_size(y, x, z, str(pixels.get("PhysicalSizeXUnit", "µm")))


def _pixel_size(y: object, x: object, z: object, unit: str) -> PixelSize | None:
    """A pixel size as a file tells it; None where height or width is no length."""
    height, width, depth = map(_length, (y, x, z))
    if height is None or width is None:
        return None
    return PixelSize(height, width, depth, "um" if MICROMETRES.get(unit.strip().lower()) == 1.0 else unit)


def _length(told: object) -> float | None:
    try:
        length = float(str(told))
    except ValueError:
        return None
    return length if 0 < length < math.inf else None


def _read_png(path: Path, axes: str | None) -> Image:
    import imageio.v3 as iio

    pixels = np.asarray(iio.imread(path, plugin="pillow"))
    if pixels.ndim == 3:
        colours = {2: 1, 4: 3}.get(pixels.shape[-1], pixels.shape[-1])  # without transparency
        pixels = np.moveaxis(pixels[..., :colours], -1, 0)
    return Image(pixels, axes or "CYX"[-pixels.ndim :])


def _read_zarr(path: Path, axes: str | None) -> Image:
    from relumen.ome_zarr import read_ome_zarr  # which needs this module

    return read_ome_zarr(path, axes)


def _read_npy(path: Path, axes: str | None) -> Image:
    pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    if axes is None and pixels.ndim > 3:
        raise UserError(f"An array of {pixels.ndim} axes needs names, such as --axes TZYX.")
    return Image(pixels, axes or "ZYX"[-pixels.ndim :])
