"""Writing images: band by band, so that they never have to fit into memory, and whole or not at all."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from relumen.errors import UserError
from relumen.images import SUFFIXES, ZARR, Image, PixelSize, check_axes, escaped
from relumen.whole import check_room, file_appears_whole, folder_appears_whole, temporary_sibling

OutputType = Literal["float32", "input"]
"""Of results: every value as it is, or rounded and clipped to the type of the image that they are of."""
OmeZarrVersion = Literal["0.4", "0.5"]
"""Of OME-Zarr: in Zarr 2, which every reader takes, or in Zarr 3."""


_LARGEST_TIFF_PLANE = 1 << 32
"""Bytes; ImageJ's own format counts them in 32 bits."""


class ImageWriter(Protocol):
    """Writes an image band by band; made by :func:`image_writer`."""

    def write(self, plane: tuple[int, ...], top: int, band: NDArray[Any]) -> None:
        """Writes rows ``top ...`` of one plane.

        Args:
            plane: index of the plane along all axes but Y and X.
            top: first row.
            band: (rows, width) values of the image's type.
        """


class _FileWriter:
    """Writes into a file whose pixels stand in it as they are."""

    def __init__(self, file: BinaryIO, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._file = file
        self._offset = offset
        self._shape = shape
        self._dtype = dtype

    def write(self, plane: tuple[int, ...], top: int, band: NDArray[Any]) -> None:
        height, width = self._shape[-2:]
        row = int(np.ravel_multi_index((0, *plane), (1, *self._shape[:-2]))) * height + top
        self._file.seek(self._offset + row * width * self._dtype.itemsize)
        self._file.write(np.ascontiguousarray(band, self._dtype).tobytes())


@contextmanager
def image_writer(
    path: Path,
    shape: tuple[int, ...],
    axes: str,
    dtype: DTypeLike,
    pixel_size: PixelSize | None = None,
    metadata: Mapping[str, Any] | None = None,
    ome_zarr: OmeZarrVersion = "0.4",
) -> Iterator[ImageWriter]:
    """Opens an image for writing; it appears under its name only when it is whole.

    Args:
        path: a .tif, .tiff, .png or .npy file, or a .zarr folder, for OME-Zarr; replaced where there is one.
        shape: length of each axis.
        axes: as in :class:`Image`.
        dtype: uint8, uint16 or float32.
        pixel_size: written into TIFF and OME-Zarr.
        metadata: ImageJ's entries, written into TIFF and, as far as it has a place for them, OME-Zarr.
        ome_zarr: its version.

    Raises:
        UserError: the folder can't be written to, PNG or TIFF is asked for what it can't hold, or what would be
            replaced is no OME-Zarr image.
        CheckFailedError: the disk is full.
    """
    check_axes(axes)
    dtype = np.dtype(dtype)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"Images are written as TIFF, PNG, npy or OME-Zarr (.ome.zarr). Received: {path.name}")
    if suffix == ".png" and (dtype.kind != "u" or len(shape) != 2):
        raise UserError(
            f"PNG holds one plane of 8 or 16 bit. Received: {axes} {shape} of {dtype}. Choose a .tif name instead."
        )
    size = math.prod(shape) * dtype.itemsize
    if suffix in (".tif", ".tiff") and math.prod(shape[-2:]) * dtype.itemsize >= _LARGEST_TIFF_PLANE:
        raise UserError(
            f"TIFF holds planes of less than 4 GiB. Received: {' x '.join(map(str, shape[-2:]))} of {dtype}. "
            f"Choose OME-Zarr: {path.with_suffix('.ome.zarr').name}"
        )
    if suffix == ZARR:  # its smaller copies take a third more, and that is about what packing saves
        from relumen.ome_zarr_writing import ome_zarr_writer

        _check_replaceable(path)
        check_room(path, size)
        with folder_appears_whole(path, replace=True) as partial:
            name = path.name[: -len(ZARR)].removesuffix(".ome")
            with ome_zarr_writer(partial, name, shape, axes, dtype, pixel_size, metadata or {}, ome_zarr) as writer:
                yield writer
        return
    with file_appears_whole(path, size) as partial:
        if suffix == ".png":
            with temporary_sibling(path.with_suffix(".raw")) as raw:
                with raw.open("w+b") as file:
                    yield _FileWriter(file, 0, shape, dtype)
                _png_from_raw(raw, partial, shape, dtype)
        else:
            offset, stored = _create(partial, suffix, shape, axes, dtype, pixel_size, metadata or {})
            with partial.open("r+b") as file:
                yield _FileWriter(file, offset, shape, stored)


def write_image(path: Path, image: Image) -> None:
    """Writes a whole image; see :func:`image_writer`."""
    with image_writer(
        path, image.pixels.shape, image.axes, image.pixels.dtype, image.pixel_size, image.metadata
    ) as writer:
        for plane in np.ndindex(image.pixels.shape[:-2]):
            writer.write(plane, 0, np.asarray(image.pixels[plane]))


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Writes a picture for people (y, x) or (y, x, 3) as its name says, such as .png; whole or not at all.

    Raises:
        UserError: the folder isn't there, or can't be written to.
        CheckFailedError: the disk is full.
    """
    import imageio.v3 as iio

    with file_appears_whole(path, picture.nbytes) as partial:
        iio.imwrite(partial, picture)


def _check_replaceable(path: Path) -> None:
    """Nothing but an OME-Zarr image gives way to another.

    Raises:
        UserError: another file or folder is there, or an OME-Zarr that holds more than an image.
    """
    from relumen.ome_zarr import is_one_image

    if os.path.lexists(path) and (path.is_symlink() or not is_one_image(path)):
        raise UserError(
            f"{path} is there, and more or other than one OME-Zarr image: it is not replaced. "
            "Name another result, or remove it yourself."
        )


def result_type(image: Image, output: OutputType) -> np.dtype:
    """The type of a result that is made of an image.

    Raises:
        UserError: it is to be the image's, and that can't be written.
    """
    dtype = np.dtype(np.float32) if output == "float32" else image.pixels.dtype.newbyteorder("=")
    if dtype not in (np.uint8, np.uint16, np.float32):
        raise UserError(f"Results are 8 bit, 16 bit or float32. Received an input of {dtype}: use --type float32.")
    return dtype


def as_type(values: NDArray[Any], dtype: np.dtype) -> NDArray[Any]:
    """Values as another type; integers are rounded and clipped, not wrapped around."""
    if dtype.kind != "u":
        return values.astype(dtype)
    return np.clip(np.rint(values), 0, np.iinfo(dtype).max).astype(dtype)


def _create(
    path: Path,
    suffix: str,
    shape: tuple[int, ...],
    axes: str,
    dtype: np.dtype,
    pixel_size: PixelSize | None,
    metadata: Mapping[str, Any],
) -> tuple[int, np.dtype]:
    """Makes the file with its header; gives where the pixels begin and in which byte order they stand."""
    if suffix == ".npy":
        mapped = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        return int(mapped.offset), mapped.dtype
    import tifffile

    resolution, entries = imagej_header(axes, pixel_size)
    entries |= metadata
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*truncating ImageJ file")  # ImageJ's own way beyond 4 GB
        mapped = tifffile.memmap(path, shape=shape, dtype=dtype, imagej=True, resolution=resolution, metadata=entries)
    return int(mapped.offset), mapped.dtype  # type: ignore[attr-defined]


def imagej_header(axes: str, pixel_size: PixelSize | None) -> tuple[tuple[float, float] | None, dict[str, Any]]:
    """What tifffile is given of an image for ImageJ: pixels in a unit along x and y, and the entries beside it."""
    if pixel_size is None:
        return None, {"axes": axes}
    depth = {} if pixel_size.z is None else {"spacing": pixel_size.z}
    return (1 / pixel_size.x, 1 / pixel_size.y), {"axes": axes, "unit": escaped(pixel_size.unit), **depth}


def _png_from_raw(raw: Path, path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    import imageio.v3 as iio

    iio.imwrite(path, np.fromfile(raw, dtype).reshape(shape), extension=".png")
