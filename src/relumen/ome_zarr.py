"""Reads OME-Zarr 0.4 (Zarr 2) and 0.5 (Zarr 3): images in chunks, of any size, of which no more is read than asked for.

The specification: https://ngff.openmicroscopy.org. See :mod:`relumen.ome_zarr_writing` for writing.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import zarr
from pydantic import BaseModel, ValidationError
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from relumen.chunked import ChunkedPixels
from relumen.device import total_memory
from relumen.errors import UserError
from relumen.images import AXES, Image
from relumen.ome_zarr_metadata import Multiscale, Omero, frame_interval, imagej_entries, pixel_size

Model = TypeVar("Model", bound=BaseModel)

OURS = "relumen"
"""The key of the group's attributes under which relumen keeps what OME-Zarr has no place for."""
_READ = ("0.4", "0.5")
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
_NAMED = 8
"""Most images of a container that a message names."""


def read_ome_zarr(path: Path, axes: str | None) -> Image:
    """Opens an image at its full resolution; its pixels stay on the disk until they are asked for.

    Args:
        path: the group of an image, or of several of which there is but one (as bioformats2raw writes).
        axes: overrides the names of the axes, in the order in which they are stored.

    Raises:
        UserError: it is no image, holds several, is of another version, or its metadata are wrong.
        Exception: whatever Zarr raises on damaged files.
    """
    group, about = _open(path)
    if "multiscales" not in about:
        path = _only_image(path, group, about)
        group, about = _open(path)
    multiscale = _read_as(Multiscale, _first_multiscale(about), "multiscales")
    array = _array(group, path, multiscale.datasets[0].path)
    names = (axes or "".join(axis.name[:1] for axis in multiscale.axes)).upper()
    if axes is None and any(len(axis.name) != 1 or axis.name.upper() not in AXES for axis in multiscale.axes):
        stored = ", ".join(axis.name for axis in multiscale.axes)
        raise UserError(
            f"Axes are t, c, z, y and x. Received: {stored}. Name them as relumen shall take them (--axes)."
        )
    if len(names) != array.ndim or len(set(names)) < len(names) or not set(names) <= set(AXES):
        raise UserError(f"Axes {names} do not fit the image's shape {array.shape}.")
    order = tuple(sorted(range(len(names)), key=lambda i: AXES.index(names[i])))
    pixels = ChunkedPixels(array, path, order)
    _check_chunks(array)
    in_order = "".join(names[i] for i in order)
    metadata = _metadata(about, group.attrs.asdict(), dict(zip(in_order, pixels.shape, strict=True)))
    if (interval := frame_interval(multiscale)) is not None:
        metadata["finterval"] = interval
    return Image(pixels, in_order, pixel_size(multiscale), metadata)


def is_one_image(path: Path) -> bool:
    """Whether a folder holds an OME-Zarr image and nothing beside it: no labels, no other images or files."""
    try:
        about = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    except (OSError, ValueError, LookupError, TypeError):
        try:
            about = json.loads((path / ".zattrs").read_text())
        except (OSError, ValueError):
            return False
    try:
        levels = {each["path"].split("/")[0] for each in about["multiscales"][0]["datasets"]}
    except (LookupError, TypeError, AttributeError):
        return False
    return {each.name for each in path.iterdir()} <= {*levels, *_METADATA}


def _open(path: Path) -> tuple[zarr.Group, Mapping[str, Any]]:
    """A group, and what OME-Zarr says of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on what isn't standard in Zarr 3: what can't be read raises
        node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        raise UserError(
            "It is a plain Zarr array, which has no axes and no pixel size. "
            f"Of an OME-Zarr image name the folder above: {path.parent}"
        )
    attributes = node.attrs.asdict()
    about = attributes.get("ome", {}) if node.metadata.zarr_format == 3 else attributes
    if not isinstance(about, dict):
        raise UserError("Its OME-Zarr metadata are no table.")
    return node, about


def _only_image(path: Path, group: zarr.Group, about: Mapping[str, Any]) -> Path:
    """The image of a group that is none itself.

    Raises:
        UserError: there is none, or it has several or wells.
    """
    if "plate" in about:
        wells = _paths(about["plate"], "wells")
        example = path / (wells[0] if wells else "A/1") / "0"
        raise UserError(f"It is a plate of {len(wells)} wells. Name one field of one well, such as {example}")
    if "well" in about:
        fields = _paths(about["well"], "images")
        raise UserError(
            f"It is a well. Name one of its fields ({', '.join(fields)}), such as {path / (fields or '0')[0]}"
        )
    found = sorted((name for name, _ in group.groups() if "multiscales" in _open(path / name)[1]), key=_as_number)
    if not found:
        raise UserError(
            "There is no OME-Zarr image in it: its metadata name no multiscales. "
            "Open it in Fiji and save it as TIFF or OME-Zarr."
        )
    if len(found) > 1:
        named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        raise UserError(f"It holds {len(found)} images: {named}. Name one, such as {path / found[0]}")
    return path / found[0]


def _paths(entry: Any, key: str) -> list[str]:  # noqa: ANN401 (metadata of others)
    listed = entry.get(key) if isinstance(entry, dict) else None
    return [str(each["path"]) for each in listed or [] if isinstance(each, dict) and "path" in each]


def _as_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else -1), name


def _first_multiscale(about: Mapping[str, Any]) -> dict[str, Any]:
    """The specification's own choice where there are several.

    Raises:
        UserError: there is none, or it is of a version that isn't read.
    """
    listed = about["multiscales"]
    if not isinstance(listed, list) or not listed or not isinstance(listed[0], dict):
        raise UserError("Its metadata are wrong at multiscales: a list of at least one is wanted.")
    first = listed[0]
    version = about.get("version", first.get("version"))
    if version is not None and not str(version).startswith(_READ):
        raise UserError(
            f"OME-Zarr {' and '.join(_READ)} are read. Received: version {version}. "
            "Open it in Fiji and save it as TIFF or OME-Zarr."
        )
    return first


def _read_as(model: type[Model], entry: Any, name: str) -> Model:  # noqa: ANN401 (metadata of others)
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (name, *first["loc"])))
        raise UserError(
            f"Its metadata are wrong at {place}: {first['msg']}. Received: {first['input']!r:.80}"
        ) from error


def _array(group: zarr.Group, path: Path, level: str) -> zarr.Array:
    try:
        array = group[level]
    except (KeyError, ValueError) as error:  # ValueError: a path out of the group
        raise UserError(
            f"Its full resolution should be at {level!r}, where there is none. Copy or save it again."
        ) from error
    if not isinstance(array, zarr.Array):
        raise UserError(f"Its full resolution should be at {path / level}, which holds no pixels.")
    if array.shards is None and array.compressors and "Blosc" in type(array.compressors[-1]).__name__:
        return zarr.open_array(_WholeChunks(LocalStore(path / level, read_only=True)), mode="r")
    return array


class _WholeChunks(WrapperStore[LocalStore]):
    """Refuses a chunk that was cut short: Blosc reads beyond its end, and gives pixels that never were."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        value = await super().get(key, prototype, byte_range)
        if value is not None and byte_range is None and key not in _METADATA:
            told = int.from_bytes(value.as_numpy_array()[12:16].tobytes(), "little")  # of Blosc's header
            if told != len(value):
                raise ValueError(f"chunk {key} has {len(value)} bytes of {told}")
        return value


def _check_chunks(array: zarr.Array) -> None:
    """A chunk is read as a whole.

    Raises:
        UserError: it is larger than the memory.
    """
    size = array.dtype.itemsize
    for length in array.chunks:
        size *= length
    if size > total_memory():
        raise UserError(
            f"It is stored in chunks of {' x '.join(map(str, array.chunks))} pixels, {size / 1e9:,.0f} GB, and each "
            "must fit into memory. Save it in smaller chunks, such as 1024 x 1024."
        )


def _metadata(about: Mapping[str, Any], attributes: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    if "omero" in about:
        entries = imagej_entries(_read_as(Omero, about["omero"], "omero"), sizes)
    ours = attributes.get(OURS)
    if isinstance(ours, dict) and isinstance(ours.get("info"), str):
        entries["Info"] = ours["info"]
    return entries
