"""What Fiji would make of a package: JDLL's reading of the rdf, its normalisation and its tiling, done in NumPy.

Read in JDLL's source (ModelDescriptorV05, TensorSpecV05, AxesV05, AxisV05, AxisSize; TileCalculator, TileMaker,
TileGrid, DenseMerger; the transformations), versions 0.6.1 to 0.6.4, and written anew from that. Where JDLL would
fail, this fails too, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.package import Package
from relumen.rdf import is_number, is_whole, short
from relumen.tiling import Float32, Runner, mirrored

from .jdll_processing import as_map, fail, process

_MOST_TILE_PIXELS = 4096 * 4096 * 3
_MOST_MIRRORS = 3


@dataclass(frozen=True)
class JdllAxis:
    """An axis as JDLL holds it: a size is ``low`` with ``step`` 0, or ``low`` + n * ``step``."""

    letter: str
    low: int = 1
    step: int = 0
    scale: float = 1.0
    halo: int = 0
    offset: float = 0.0
    reference_tensor: str | None = None
    reference_axis: str | None = None


@dataclass(frozen=True)
class JdllModel:
    """A package as JDLL reads it; the inputs' halos are reckoned from the output's."""

    input_id: str
    inputs: dict[str, JdllAxis]
    outputs: dict[str, JdllAxis]
    preprocessing: list[dict[str, Any]]
    postprocessing: list[dict[str, Any]]


@dataclass(frozen=True)
class JdllGrid:
    """One axis of one tensor, cut: padding around the part that is kept, and where each part begins."""

    tile: int
    image: int
    before: int
    kept: int
    starts: tuple[int, ...]


@dataclass(frozen=True)
class JdllCut:
    """An image cut as JDLL cuts it.

    Attributes:
        tiles: (1, y, x, channels) each, in the network's units.
        source: the input's axes y and x.
        target: the output's axes y and x.
        model: the package.
    """

    tiles: list[Float32]
    source: tuple[JdllGrid, JdllGrid]
    target: tuple[JdllGrid, JdllGrid]
    model: JdllModel

    def merge(self, answers: Sequence[Float32]) -> Float32:
        """The image that JDLL puts together from the network's answers, (y, x, channels), postprocessed."""
        rows, columns = self.target
        result = np.zeros((rows.image, columns.image, answers[0].shape[-1]), np.float32)
        places = [(y, x) for y in rows.starts for x in columns.starts]
        for (y, x), answer in zip(places, answers, strict=True):
            if answer.shape[1:3] != (rows.tile, columns.tile):
                fail(f"a tile's answer measures {answer.shape[1:3]}, the rdf promises {(rows.tile, columns.tile)}")
            kept = answer[0, rows.before : rows.before + rows.kept, columns.before : columns.before + columns.kept]
            result[y : y + rows.kept, x : x + columns.kept] = kept
        return process(self.model.postprocessing, result, "".join(self.model.outputs))


def jdll_predict(package: Package, image: NDArray[Any], run: Runner) -> Float32:
    """What DeepImageJ would show for an image.

    Args:
        package: the package; of it the rdf is read anew, in JDLL's way.
        image: (y, x, channels), raw intensities.
        run: the network, as an engine runs it.

    Returns:
        (scale * y, scale * x, channels out).

    Raises:
        CheckFailedError: JDLL would fail, for the reason told.
    """
    cut = jdll_cut(package.rdf, image)
    return cut.merge([run(tile) for tile in cut.tiles])


def jdll_cut(rdf: dict[str, Any], image: NDArray[Any]) -> JdllCut:
    """Normalises an image (y, x, channels) and cuts it, without running the network.

    Raises:
        CheckFailedError: JDLL would fail, for the reason told.
    """
    model = read_as_jdll(rdf)
    sizes = {"b": 1, "y": image.shape[0], "x": image.shape[1], "c": image.shape[2]}
    tiles = {letter: _tile_size(axis, sizes[letter]) for letter, axis in model.inputs.items()}
    if math.prod(tiles.values()) > _MOST_TILE_PIXELS:
        fail(f"a tile of {tiles} is over 50 million pixels, and JDLL does not end. Give the input a fixed size")
    for letter, axis in model.inputs.items():
        if tiles[letter] - 2 * axis.halo <= 0:
            fail(f"the halo of {axis.halo} leaves nothing of the input tile of {tiles[letter]} along {letter}")
    source = {letter: _grid(axis, tiles[letter], sizes[letter]) for letter, axis in model.inputs.items()}
    target = {}
    for letter, axis in model.outputs.items():
        tile, size = _output_size(axis, model, tiles, sizes)
        if tile - 2 * axis.halo <= 0:
            fail(f"the halo of {axis.halo} is larger than the output tile of {tile} along {letter}")
        target[letter] = _grid(axis, tile, size)
    for letter in "yx":
        if len(source[letter].starts) != len(target[letter].starts):
            fail(
                f"along {letter} the input is cut into {len(source[letter].starts)} tiles and the output into "
                f"{len(target[letter].starts)}, because scale and halo do not fit"
            )
    normalised = process(model.preprocessing, image.astype(np.float32), "".join(model.inputs))
    rows, columns = source["y"], source["x"]
    cut = []
    for y in rows.starts:
        ys = mirrored(np.arange(y - rows.before, y - rows.before + rows.tile), rows.image)
        for x in columns.starts:
            xs = mirrored(np.arange(x - columns.before, x - columns.before + columns.tile), columns.image)
            cut.append(normalised[np.ix_(ys, xs)][np.newaxis])
    return JdllCut(cut, (rows, columns), (target["y"], target["x"]), model)


def read_as_jdll(rdf: dict[str, Any]) -> JdllModel:
    """Reads an rdf as JDLL's ModelDescriptorV05 does.

    Raises:
        CheckFailedError: JDLL would throw.
    """
    for field in ("format_version", "name", "description", "license", "documentation", "git_repo", "type", "id"):
        if rdf.get(field) is not None and not isinstance(rdf[field], str):
            fail(f"{field} is {short(rdf[field])}, not text (ClassCastException)")
    if not str(rdf.get("format_version")).startswith("0.5"):
        fail(f"format_version is {short(rdf.get('format_version'))}, and this reads 0.5")
    config = rdf.get("config")
    named = as_map(as_map(config).get("bioimageio")).get("nickname") or rdf.get("id")
    if not isinstance(named, str) and config is not None:
        fail("neither config.bioimageio.nickname nor id is set (NullPointerException)")
    if rdf.get("name") is None:
        fail("name is not set (NullPointerException)")
    ours = as_map(config).get("deepimagej")
    if ours is not None and (as_map(ours).get("allow_tiling") is not True or as_map(ours).get("pyramidal_model")):
        fail("config.deepimagej is there without allow_tiling: true, and every run fails")
    weights = as_map(rdf.get("weights"))
    if not weights or not all(isinstance(entry, dict) for entry in weights.values() if entry is not None):
        fail("weights are not maps by format (ClassCastException)")
    source, target = _tensor(rdf, "inputs"), _tensor(rdf, "outputs")
    inputs, outputs = _axes(source, "inputs[0]"), _axes(target, "outputs[0]")
    input_id = str(source.get("id", source.get("name")))
    return JdllModel(
        input_id=input_id,
        inputs=_with_halos(inputs, outputs, input_id),
        outputs=outputs,
        preprocessing=_steps(source, "preprocessing"),
        postprocessing=_steps(target, "postprocessing"),
    )


def _tensor(rdf: dict[str, Any], key: str) -> dict[str, Any]:
    listed = rdf.get(key)
    tensors = [tensor for tensor in listed if isinstance(tensor, dict)] if isinstance(listed, list) else []
    if len(tensors) != 1:
        fail(f"{key} has {len(tensors)} tensors, and DeepImageJ Run takes one")
    return tensors[0]


def _axes(tensor: dict[str, Any], where: str) -> dict[str, JdllAxis]:
    listed = tensor.get("axes")
    if not isinstance(listed, list):
        fail(f"{where}.axes is {short(listed)} (IllegalArgumentException)")
    axes = {}
    for index, axis in enumerate(listed):
        if not isinstance(axis, dict) or not isinstance(axis.get("type"), str):
            fail(f"{where}.axes[{index}] has no type (NullPointerException)")
        read = _axis(axis, f"{where}.axes[{index}]")
        axes[read.letter] = read
    unknown = set(axes) - set("byxc")
    if unknown or not set("yx") <= set(axes):
        fail(f"{where} has the axes {''.join(axes)}; this emulates images with y and x, and b and c where given")
    if where.startswith("inputs") and "c" not in axes:
        fail("inputs[0] has no channel axis (ArrayIndexOutOfBoundsException in TileMaker)")
    return axes


def _axis(axis: dict[str, Any], where: str) -> JdllAxis:
    kind, name, size = axis["type"], axis.get("id"), axis.get("size")
    channel = kind == "channel" or name == "channel"
    letter = "b" if kind == "batch" else "c" if channel else str(name)
    low, step, about = 1, 0, as_map(size)
    if is_number(size):
        if not is_whole(size):
            fail(f"{where}.size is {size} (ClassCastException)")
        low = size
    elif about:
        low = int(about["min"]) if is_number(about.get("min")) else 1
        step = int(about["step"]) if is_number(about.get("step")) else 0
    if channel:
        names = axis.get("channel_names")
        if not isinstance(names, list):
            fail(f"{where} has no channel_names (NullPointerException)")
        low = len(names)
    for key in ("scale", "halo"):
        if axis.get(key) is not None and not is_number(axis[key]):
            fail(f"{where}.{key} is {short(axis[key])} (ClassCastException)")
    reference, referred = about.get("tensor_id"), about.get("axis_id")
    return JdllAxis(
        letter=letter,
        low=low,
        step=step,
        scale=float(axis.get("scale") or 1.0),
        halo=int(axis.get("halo") or 0),
        offset=float(about["offset"]) if is_number(about.get("offset")) else 0.0,
        reference_tensor=reference if isinstance(reference, str) else None,
        reference_axis=referred if isinstance(referred, str) else None,
    )


def _with_halos(inputs: dict[str, JdllAxis], outputs: dict[str, JdllAxis], input_id: str) -> dict[str, JdllAxis]:
    """The inputs' axes with the halo that an output axis asks for: divided by the scale, and cut off."""
    found = dict(inputs)
    for axis in outputs.values():
        if axis.halo == 0:
            continue
        letter, halo = axis.letter, float(axis.halo)
        if axis.reference_tensor is not None:
            if axis.reference_tensor != input_id:
                fail(f"the output's size refers to {axis.reference_tensor!r}, no input (NullPointerException)")
            letter, halo = str(axis.reference_axis), (axis.halo + axis.offset) / axis.scale
        if letter not in found or found[letter].halo > halo:
            break
        found[letter] = replace(found[letter], halo=int(halo))
        if axis.reference_tensor is None:
            break
    return found


def _tile_size(axis: JdllAxis, size: int) -> int:
    """The tile along one axis: fixed, or grown to the image with its halo where the size is open."""
    tile = axis.low
    if axis.step:
        tile = (size + 2 * axis.halo) // axis.step * axis.step
        if tile > _MOST_MIRRORS * size and tile - axis.step >= axis.low:
            tile -= axis.step
        whole = math.ceil(size / axis.step) * axis.step
        if tile > _MOST_MIRRORS * size and whole >= axis.low:
            tile = whole
        if (tile - axis.low) % axis.step:
            fail(f"a tile of {tile} along {axis.letter} is not {axis.low} + n * {axis.step}")
    if axis.letter == "c" and tile != size:
        fail(f"the image has {size} channels and the model takes {tile}")
    if _MOST_MIRRORS * size < tile:
        fail(
            f"the image has {size} pixels along {axis.letter}, less than a third of the tile of {tile}; "
            f"at least {math.ceil(tile / _MOST_MIRRORS)} are needed"
        )
    return tile


def _output_size(axis: JdllAxis, model: JdllModel, tiles: dict[str, int], sizes: dict[str, int]) -> tuple[int, int]:
    """(tile, image) of the output along one axis."""
    if axis.reference_tensor is not None:
        letter = axis.reference_axis
        if letter not in tiles:
            fail(f"the output's axis {axis.letter} refers to {letter!r}, no axis of the input")
        grown = 2 * axis.offset
        return int(tiles[letter] * axis.scale + grown), int(sizes[letter] * axis.scale + grown)
    if axis.step:
        fail(f"the output's size along {axis.letter} is open and refers to no input ('Model specs too complex')")
    if axis.letter not in tiles or axis.letter == "c":
        return axis.low, axis.low
    size = axis.low * sizes[axis.letter] / tiles[axis.letter]
    if size != int(size):
        fail(f"the output's fixed size along {axis.letter} does not fit this image ('Model specs too complex')")
    return axis.low, int(size)


def _grid(axis: JdllAxis, tile: int, size: int) -> JdllGrid:
    """Where an axis is cut. A tile larger than the image shares what is over between both sides."""
    before = max(axis.halo, math.ceil((tile - size) / 2))
    after = max(axis.halo, tile - size - before)
    count = math.ceil(size / (tile - 2 * axis.halo))
    kept = tile - before - after
    starts = tuple(min(kept * index, size - kept) for index in range(count))
    return JdllGrid(tile, size, before, kept, starts)


def _steps(tensor: dict[str, Any], key: str) -> list[dict[str, Any]]:
    listed = tensor.get(key) or []
    if not isinstance(listed, list) or not all(isinstance(step, dict) for step in listed):
        fail(f"{key} is {short(listed)} (ClassCastException)")
    return [step for step in listed if step.get("id") != "ensure_dtype"]
