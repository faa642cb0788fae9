"""What OME-Zarr says of an image beside its pixels, and the same in relumen's and ImageJ's words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from relumen.images import MICROMETRES, PixelSize

_SECONDS = {"second": 1.0, "millisecond": 1e-3, "microsecond": 1e-6, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_UNITS = {"micrometer": "um", "nanometer": "nm", "millimeter": "mm", "centimeter": "cm"}
"""Of OME-Zarr, each with relumen's name for it."""
UNKNOWN_UNIT = "units"
"""Where a pixel size is told without its unit."""
_COMPOSITE = ("FF0000", "00FF00", "0000FF", "FFFFFF", "00FFFF", "FF00FF", "FFFF00")
"""ImageJ's colours of channels to which none was given."""


class _Read(BaseModel):
    """Metadata of others: what is not read here may be anything."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="ignore")


class Axis(_Read):
    """An axis, such as "x" in micrometers."""

    name: str
    unit: str | None = None


class Transformation(_Read):
    """One step from pixels to physical units; only scales are read."""

    type: str
    scale: tuple[float, ...] | None = None


class Dataset(_Read):
    """One resolution level."""

    path: str
    transformations: tuple[Transformation, ...] = Field((), alias="coordinateTransformations")


class Multiscale(_Read):
    """An image at several resolutions, the finest first."""

    axes: tuple[Axis, ...] = Field(min_length=2, max_length=5)
    datasets: tuple[Dataset, ...] = Field(min_length=1)
    transformations: tuple[Transformation, ...] = Field((), alias="coordinateTransformations")

    def scale(self, axis: int) -> float:
        """Length of the finest level's pixels along an axis, or what is a step on it; 1 where it isn't told."""
        steps = (*self.datasets[0].transformations, *self.transformations)
        factors = [each.scale[axis] for each in steps if each.scale is not None and len(each.scale) > axis]
        return math.prod(factors)


class Window(_Read):
    """What of the values is displayed: from black to white."""

    start: float | None = None
    end: float | None = None


class Channel(_Read):
    """How a channel is called and displayed."""

    label: str | None = None
    color: str | None = Field(None, pattern="^#?[0-9a-fA-F]{6}")
    window: Window | None = None


class Rendering(_Read):
    """How channels are displayed together."""

    model: str | None = None


class Omero(_Read):
    """Names and colours of the channels."""

    channels: tuple[Channel, ...] = ()
    rdefs: Rendering | None = None


def pixel_size(multiscale: Multiscale) -> PixelSize | None:
    """The pixel size, where one is told.

    A scale of 1 without a unit, and what is no length, count as nothing told. Height, width and depth come in one unit.
    """
    lengths = {axis.name.lower(): (multiscale.scale(i), axis.unit) for i, axis in enumerate(multiscale.axes)}
    (y, unit), (x, unit_x), (z, unit_z) = (lengths.get(name, (math.nan, None)) for name in "yxz")
    if not all(math.isfinite(each) and each > 0 for each in (y, x)):
        return None
    if unit is None and unit_x is None:
        if (y, x) == (1, 1):
            return None
        return PixelSize(y, x, z if unit_z is None and 0 < z < math.inf else None, UNKNOWN_UNIT)
    across, deep = _factor(unit_x, unit), _factor(unit_z, unit)
    if unit is None or across is None:
        return None
    return PixelSize(y, x * across, z * deep if deep is not None and 0 < z < math.inf else None, _UNITS.get(unit, unit))


def _factor(unit: str | None, other: str | None) -> float | None:
    """How many of another unit a unit is; None where that isn't known."""
    if unit == other:
        return 1.0
    known = [MICROMETRES.get(each or "") for each in (unit, other)]
    return known[0] / known[1] if known[0] and known[1] else None


def frame_interval(multiscale: Multiscale) -> float | None:
    """Seconds from one time to the next, where that is told."""
    for i, axis in enumerate(multiscale.axes):
        if axis.name.lower() == "t" and axis.unit in _SECONDS:
            return multiscale.scale(i) * _SECONDS[axis.unit]
    return None


def imagej_entries(omero: Omero, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Names, colours and display ranges as ImageJ keeps them; none where they are for another number of channels.

    Args:
        omero: what was read.
        sizes: length of each axis of the image.
    """
    count = sizes.get("C", 1)
    if len(omero.channels) != count:
        return {}
    entries: dict[str, Any] = {}
    if count > 1:
        grey = omero.rdefs is not None and omero.rdefs.model == "greyscale"
        entries["mode"] = "grayscale" if grey else "composite"
    names = [channel.label for channel in omero.channels]
    if any(names):
        planes = sizes.get("T", 1) * sizes.get("Z", 1)
        entries["Labels"] = [name or "" for names_of_plane in repeat(names, planes) for name in names_of_plane]
    windows = [channel.window or Window() for channel in omero.channels]
    ends = [end for window in windows for end in (window.start, window.end)]
    known = [end for end in ends if end is not None and math.isfinite(end)]
    if len(known) == 2 * count:
        entries |= {"Ranges": tuple(known), "min": known[0], "max": known[1]}
    colours = [channel.color for channel in omero.channels]
    if all(colours):
        entries["LUTs"] = [_lookup_table(colour or "") for colour in colours]
    return entries


def _lookup_table(colour: str) -> NDArray[np.uint8]:
    """From black to a colour, (3, 256)."""
    red_green_blue = np.frombuffer(bytes.fromhex(colour.lstrip("#")[:6]), np.uint8)
    return (red_green_blue[:, np.newaxis] * np.arange(256.0) / 255).round().astype(np.uint8)


def omero_entry(
    metadata: Mapping[str, Any], sizes: Mapping[str, int], extremes: Sequence[tuple[float, float]], dtype: np.dtype
) -> dict[str, Any]:
    """Names, colours and display ranges of channels as OME-Zarr keeps them.

    Args:
        metadata: ImageJ's entries, as :class:`relumen.images.Image` has them.
        sizes: length of each axis of the image.
        extremes: least and greatest value of each channel: what is displayed where ``metadata`` doesn't tell.
        dtype: of the pixels.
    """
    count = sizes.get("C", 1)
    labels = metadata.get("Labels") or []
    labels = [labels] if isinstance(labels, str) else labels
    ranges = list(metadata.get("Ranges") or [])
    if count == 1 and not ranges and "min" in metadata and "max" in metadata:
        ranges = [metadata["min"], metadata["max"]]
    tables = np.reshape(metadata.get("LUTs", []), (-1, 3, 256))
    grey = count == 1 or metadata.get("mode") in ("grayscale", "gray", "greyscale")
    channels = []
    for index, (least, greatest) in enumerate(extremes):
        possible = (0.0, float(np.iinfo(dtype).max)) if dtype.kind == "u" else (least, greatest)
        shown = ranges[2 * index : 2 * index + 2] if len(ranges) == 2 * count else (least, greatest)
        colour = "FFFFFF" if grey else _COMPOSITE[index % len(_COMPOSITE)]
        if len(tables) == count:
            colour = bytes(tables[index, :, -1].astype(np.uint8)).hex().upper()
        window = {
            "min": min(possible[0], float(shown[0])),
            "max": max(possible[1], float(shown[1])),
            "start": float(shown[0]),
            "end": float(shown[1]),
        }
        name = {"label": str(labels[index])} if len(labels) >= count and labels[index] else {}
        channels.append({"active": True, "color": colour, "window": window, **name})
    return {"channels": channels, "rdefs": {"model": "greyscale" if grey else "color"}}


def axis_entries(axes: str, size: PixelSize | None, interval: float | None) -> list[dict[str, str]]:
    """The axes as OME-Zarr names them.

    Args:
        axes: of OME-Zarr, in the order in which they are written, such as "tczyx".
        size: the pixel size, where known.
        interval: seconds from one time to the next, where known.
    """
    entries = []
    for axis in axes:
        entry = {"name": axis, "type": {"t": "time", "c": "channel"}.get(axis, "space")}
        unit = _ome_unit(size) if axis in "zyx" else None
        if axis == "t" and interval:
            unit = "second"
        if axis == "z" and size is not None and size.z is None:
            unit = None
        entries.append(entry if unit is None else {**entry, "unit": unit})
    return entries


def scales(axes: str, size: PixelSize | None, interval: float | None) -> list[float]:
    """What a step along each axis of the finest level is; 1 where it isn't known."""
    known = {"t": interval} if size is None else {"t": interval, "z": size.z, "y": size.y, "x": size.x}
    return [known.get(axis) or 1.0 for axis in axes]


def _ome_unit(size: PixelSize | None) -> str | None:
    """OME-Zarr's name for a unit of length; None for what it doesn't know."""
    factor = None if size is None else MICROMETRES.get(size.unit.strip().lower())
    return next((name for name in (*_UNITS, "angstrom", "meter") if MICROMETRES[name] == factor), None)
