"""Writes OME-Zarr, band by band, with smaller copies for viewers; never more than a band is in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import relumen
from relumen.image_writing import OmeZarrVersion, as_type
from relumen.images import PixelSize
from relumen.ome_zarr import OURS
from relumen.ome_zarr_metadata import axis_entries, omero_entry, scales

if TYPE_CHECKING:
    import zarr

CHUNK = 512
"""Height and width of a chunk, pixels."""
SMALLEST = 512
"""Copies get smaller until height and width are no more than that, pixels."""
_STORED = "TCZYX"
"""The order that OME-Zarr wants; relumen's is TZCYX."""


class OmeZarrWriter:
    """Writes an array band by band, in whole rows of chunks."""

    def __init__(self, array: zarr.Array, order: Sequence[int]) -> None:
        self._array = array
        self._order = order
        self._waiting: dict[tuple[int, ...], tuple[int, NDArray[Any]]] = {}

    def write(self, plane: tuple[int, ...], top: int, band: NDArray[Any]) -> None:
        """Writes rows ``top ...`` of one plane; those of a row of chunks that isn't full wait for the next band.

        Args:
            plane: index of the plane along all axes but Y and X.
            top: first row.
            band: (rows, width) values of the image's type.
        """
        band = np.asarray(band)
        start, rows = self._waiting.pop(plane, (top, band[:0]))
        if start <= top <= start + len(rows):
            rows = np.concatenate([rows[: top - start], band])
        else:
            self._put(plane, start, rows)
            start, rows = top, band
        height, chunk = self._array.shape[-2], self._array.chunks[-2]
        end = start + len(rows)
        full = end if end == height else max(start, end // chunk * chunk)
        self._put(plane, start, rows[: full - start])
        if full < end:
            self._waiting[plane] = full, rows[full - start :].copy()

    def finish(self) -> None:
        """Writes what still waits."""
        for plane, (start, rows) in self._waiting.items():
            self._put(plane, start, rows)
        self._waiting.clear()

    def _put(self, plane: tuple[int, ...], start: int, rows: NDArray[Any]) -> None:
        if len(rows):
            self._array[(*(plane[i] for i in self._order), slice(start, start + len(rows)))] = rows


@contextmanager
def ome_zarr_writer(
    folder: Path,
    name: str,
    shape: tuple[int, ...],
    axes: str,
    dtype: np.dtype,
    pixel_size: PixelSize | None,
    metadata: Mapping[str, Any],
    version: OmeZarrVersion,
) -> Iterator[OmeZarrWriter]:
    """Opens an OME-Zarr for writing; smaller copies and metadata are made at the end.

    Args:
        folder: an empty one.
        name: of the image.
        shape: length of each axis.
        axes: as in :class:`relumen.images.Image`.
        dtype: uint8, uint16 or float32.
        pixel_size: where known.
        metadata: ImageJ's entries; ``Info`` is kept among the attributes, under "relumen".
        version: of OME-Zarr; 0.4 is in Zarr 2, and 0.5 in Zarr 3.
    """
    import zarr

    stored = "".join(axis for axis in _STORED if axis in axes)
    order = [axes.index(axis) for axis in stored[:-2]]
    sizes = dict(zip(axes, shape, strict=True))
    group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
    level = _create(group, "0", tuple(sizes[axis] for axis in stored), dtype, stored)
    writer = OmeZarrWriter(level, order)
    yield writer
    writer.finish()
    factors = [[1] * len(stored)]
    while max(level.shape[-2:]) > SMALLEST:
        halved = [2 if length > 1 else 1 for length in level.shape[-2:]]
        level = _reduced(group, level, halved, stored)
        factors.append([*factors[-1][:-2], *(a * b for a, b in zip(factors[-1][-2:], halved, strict=True))])
    interval = metadata.get("finterval")
    finest = scales(stored.lower(), pixel_size, interval)
    multiscale = {
        "name": name,
        "axes": axis_entries(stored.lower(), pixel_size, interval),
        "datasets": [
            {"path": str(i), "coordinateTransformations": _transformations(finest, each)}
            for i, each in enumerate(factors)
        ],
        "type": "mean",
        "metadata": {"description": "means of 2 x 2 pixels", "method": "relumen", "version": relumen.__version__},
    }
    omero = omero_entry(metadata, sizes, _extremes(level, stored), dtype)
    if version == "0.4":
        about: dict[str, Any] = {"multiscales": [{"version": version, **multiscale}], "omero": omero}
    else:
        about = {"ome": {"version": version, "multiscales": [multiscale], "omero": omero}}
    group.attrs.update({**about, OURS: {"version": relumen.__version__, "info": str(metadata.get("Info", ""))}})


def _create(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: np.dtype, axes: str) -> zarr.Array:
    """An empty level. What packs the chunks is in every reader: Blosc and Zstandard need more than Java has."""
    import numcodecs
    from zarr.codecs import GzipCodec

    chunks = (*(1 for _ in shape[:-2]), *(min(CHUNK, length) for length in shape[-2:]))
    old = group.metadata.zarr_format == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            compressors=numcodecs.Zlib(level=1) if old else GzipCodec(level=1),
            fill_value=0,
            chunk_key_encoding={"name": "v2" if old else "default", "separator": "/"},
            dimension_names=None if old else list(axes.lower()),
        )


def _reduced(group: zarr.Group, source: zarr.Array, factors: Sequence[int], axes: str) -> zarr.Array:
    """The next level: means of 2 x 2 pixels, chunk by chunk; an odd last row or column is left out."""
    size = [length // factor for length, factor in zip(source.shape[-2:], factors, strict=True)]
    shape = (*source.shape[:-2], *size)
    target = _create(group, str(int(source.basename) + 1), shape, source.dtype, axes)
    for plane in np.ndindex(shape[:-2]):
        for corner in product(*(range(0, length, CHUNK) for length in size)):
            ends = [min(start + CHUNK, length) for start, length in zip(corner, size, strict=True)]
            rows, columns = (
                slice(start * factor, end * factor) for start, end, factor in zip(corner, ends, factors, strict=True)
            )
            block = np.asarray(source[(*plane, rows, columns)])
            height, width = (end - start for start, end in zip(corner, ends, strict=True))
            means = block.reshape(height, factors[0], width, factors[1]).mean((1, 3), dtype=np.float64)
            target[(*plane, slice(corner[0], ends[0]), slice(corner[1], ends[1]))] = as_type(means, source.dtype)
    return target


def _transformations(finest: Sequence[float], factors: Sequence[int]) -> list[dict[str, Any]]:
    """Pixel size of a level, and where the middle of its first pixel lies, which is that of several of the finest."""
    scale = [size * factor for size, factor in zip(finest, factors, strict=True)]
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if max(factors) > 1:
        middle = [size * (factor - 1) / 2 for size, factor in zip(finest, factors, strict=True)]
        steps.append({"type": "translation", "translation": middle})
    return steps


def _extremes(level: zarr.Array, axes: str) -> list[tuple[float, float]]:
    """Least and greatest value of each channel at a level."""
    channel = axes.index("C") if "C" in axes else None
    found: dict[int, tuple[float, float]] = {}
    for plane in np.ndindex(level.shape[:-2]):
        pixels = np.asarray(level[plane])
        index = 0 if channel is None else plane[channel]
        least, greatest = found.get(index, (np.inf, -np.inf))
        found[index] = min(least, float(pixels.min())), max(greatest, float(pixels.max()))
    return [found[index] for index in sorted(found)]
