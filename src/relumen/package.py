"""Reading a bioimage.io package: what it is, where its weights lie, and how its network is to be run.

Only the folder's own files are read; an address in the rdf is never opened.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from relumen.archive import unpack
from relumen.errors import UserError
from relumen.normalisation import EPS, Normalisation
from relumen.rdf import RDF_NAME, file_in, is_number, is_whole, read_rdf, short

WEIGHTS_FORMATS = ("tensorflow_saved_model_bundle", "onnx", "keras_v3")
"""The weights that relumen can run, in order of preference."""
DEFAULT_CORE = 128  # pixels of a tile that are kept, where a package leaves the size open
_OTHER_RDF_NAMES = ("bioimageio.yaml", "model.yaml")  # which the zoo's library and page take too


@dataclass(frozen=True)
class Package:
    """A bioimage.io model package that relumen can run.

    Attributes:
        folder: where its files lie (a temporary folder when it came as a zip).
        rdf: rdf.yaml as read.
        name: the model's name.
        input_id: id of the input tensor.
        output_id: id of the output tensor.
        input_channels: channels that the network takes.
        output_channels: channels that it gives.
        tile: input (height, width) of one tile, both halos included.
        scale: output pixels for each input pixel along y and x.
        halo: input pixels on each side of a tile that are context only.
        normalisation: what an image becomes before it enters the network.
        undone: the answer is an image in the units in which the input enters, so that this is undone on it; else it
            has units of its own, such as a probability.
        input_axes: order of the input's axes, such as ``byxc`` or ``bcyx``.
        output_axes: order of the output's axes.
        training_pixel_size: micrometres for each input pixel in training, where known.
        weights: file of each weights format that relumen can run.
        multiple: of which the height and width of an input must be; known of relumen's own packages alone.
    """

    folder: Path
    rdf: dict[str, Any]
    name: str
    input_id: str
    output_id: str
    input_channels: int
    output_channels: int
    tile: tuple[int, int]
    scale: int
    halo: int
    normalisation: Normalisation
    training_pixel_size: float | None
    weights: Mapping[str, Path]
    undone: bool = True
    input_axes: str = field(default="byxc")
    output_axes: str = field(default="byxc")
    multiple: int = 1

    @property
    def own_config(self) -> dict[str, Any] | None:
        """What relumen wrote into the rdf's config; None for packages of others."""
        return _own_config(self.rdf)

    @property
    def fixed_size(self) -> bool:
        """Whether it says that its network takes its tile alone."""
        return (self.own_config or {}).get("fixed_size") is True

    @property
    def tile_exact(self) -> bool:
        """Whether it doesn't say that its tiles don't fit each other."""
        return (self.own_config or {}).get("tile_exact") is not False


@contextmanager
def open_package(source: Path) -> Iterator[Package]:
    """A package given as a folder or as a zip; a zip is unpacked to a temporary folder until the block ends.

    Raises:
        UserError: nothing there, a zip that is not safe to unpack, or an rdf.yaml that is broken or describes
            something that relumen cannot run; the message names the field.
    """
    with package_folder(source) as folder:
        yield read_package(folder)


@contextmanager
def package_folder(source: Path) -> Iterator[Path]:
    """The folder that holds a package's rdf.yaml, unpacked first when the package is a zip.

    Raises:
        UserError: there is nothing, or no rdf.yaml, or the zip is not safe to unpack.
    """
    if source.is_dir():
        yield _folder_with_rdf(source, source)
    elif source.is_file():
        with tempfile.TemporaryDirectory(prefix="relumen-package-") as temporary:
            target = Path(temporary) / "package"
            unpack(source, target)
            yield _folder_with_rdf(target, source)
    else:
        raise UserError(f"There is no package at {source}. Give a bioimage.io model's folder or zip.")


def _folder_with_rdf(folder: Path, source: Path) -> Path:
    if (folder / RDF_NAME).is_file():
        return folder
    inner = [path for path in sorted(folder.iterdir()) if (path / RDF_NAME).is_file()]
    if len(inner) == 1:
        return inner[0]
    other = next((name for name in _OTHER_RDF_NAMES if (folder / name).is_file()), None)
    if other is not None:
        raise UserError(f"{source} has {other}, and Fiji looks for {RDF_NAME} alone. Rename {other} to {RDF_NAME}.")
    names = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise UserError(
        f"{source} is not a bioimage.io package: it has no {RDF_NAME}. It holds: {names}. "
        "Give the folder in which rdf.yaml lies."
    )


def read_package(folder: Path) -> Package:
    """Reads the package in a folder.

    Raises:
        UserError: rdf.yaml is broken, or describes something that relumen cannot run; it names the field.
    """
    rdf = read_rdf(folder)
    _check_kind(rdf)
    source, target = _only(rdf, "inputs"), _only(rdf, "outputs")
    input_id, output_id = _text(source, "id", "inputs[0].id"), _text(target, "id", "outputs[0].id")
    input_axes, output_axes = _axes(source, "inputs[0]"), _axes(target, "outputs[0]")
    halos = [_output_halo(output_axes[axis], f"outputs[0], axis {axis}") for axis in "yx"]
    tile, scales = [], []
    for axis, halo in zip("yx", halos, strict=True):
        size = _input_size(input_axes[axis], halo, f"inputs[0], axis {axis}: size")
        tile.append(size)
        scales.append(_scale(input_axes[axis], output_axes[axis], size, input_id, axis))
    if scales[0] != scales[1]:
        raise UserError(
            f"outputs[0] magnifies y by {scales[0]} and x by {scales[1]}; relumen runs models that treat both alike."
        )
    scale = scales[0]
    halo = math.ceil(max(halos) / scale)
    if min(tile) <= 2 * halo:
        raise UserError(
            f"outputs[0]: a halo of {max(halos)} output pixels on each side leaves nothing of a tile of "
            f"{tile[0]} x {tile[1]} input pixels. Give inputs[0] a larger size or outputs[0] a smaller halo."
        )
    input_channels = _channels(input_axes.get("c"), "inputs[0]")
    _check_postprocessing(target)
    return Package(
        folder=folder,
        rdf=rdf,
        name=_text(rdf, "name", "name"),
        input_id=input_id,
        output_id=output_id,
        input_channels=input_channels,
        output_channels=_channels(output_axes.get("c"), "outputs[0]"),
        tile=(tile[0], tile[1]),
        scale=scale,
        halo=halo,
        normalisation=_normalisation(source, input_channels),
        undone=_ours(rdf, "answer") != "own",
        training_pixel_size=_pixel_size(rdf),
        weights=_weights(folder, rdf),
        input_axes="".join(input_axes),
        output_axes="".join(output_axes),
        multiple=_multiple(rdf, (*tile, halo)),
    )


def read_test_tensor(package: Package, key: Literal["inputs", "outputs"]) -> NDArray[np.float32]:
    """The array that the package's input, or output, is tested with, in the order of its axes.

    Raises:
        UserError: there is none, or it is no .npy file of numbers with those axes.
    """
    where = f"{key}[0].test_tensor"
    path = file_in(package.folder, package.rdf[key][0].get("test_tensor"), where)
    axes = package.input_axes if key == "inputs" else package.output_axes
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # memory for what is there, whatever its header says
    except Exception as error:  # NumPy raises whatever it likes on a damaged file
        raise UserError(f"{where}: {path.name} is not a .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray) or array.ndim != len(axes) or array.dtype.kind not in "biuf":
        raise UserError(f"{where}: {path.name} should have the axes {axes}, of numbers. Save it with numpy.save.")
    return array.astype(np.float32)


def _check_kind(rdf: dict[str, Any]) -> None:
    if rdf.get("type", "model") != "model":
        raise UserError(f"type is {rdf['type']!r}; relumen runs bioimage.io packages of type 'model'.")
    version = rdf.get("format_version")
    if not isinstance(version, str) or not re.fullmatch(r"\d+\.\d+(\.\d+)*", version):
        raise UserError(f"format_version should be text such as 0.5.10. Received: {version!r}")
    if version.split(".")[:2] != ["0", "5"]:
        raise UserError(
            f"format_version is {version}; relumen reads packages of format 0.5. Convert it with "
            "'bioimageio update-format' from bioimageio.core."
        )


def _only(rdf: dict[str, Any], key: str) -> dict[str, Any]:
    tensors = rdf.get(key)
    if not isinstance(tensors, list) or not tensors or not isinstance(tensors[0], dict):
        raise UserError(f"{key} should be a list with one tensor. Received: {short(tensors)}")
    if len(tensors) > 1:
        raise UserError(
            f"{key} has {len(tensors)} tensors; relumen, like DeepImageJ Run, runs models with one "
            "input image and one output image."
        )
    return tensors[0]


def _axes(tensor: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The axes by one letter, in their order: b, c, y, x."""
    listed = tensor.get("axes")
    if not isinstance(listed, list) or not all(isinstance(axis, dict) for axis in listed):
        raise UserError(f"{where}.axes should be a list of axes as in format 0.5. Received: {short(listed)}")
    axes: dict[str, dict[str, Any]] = {}
    for index, axis in enumerate(listed):
        kind, name = axis.get("type"), axis.get("id")
        letter = {"batch": "b", "channel": "c"}.get(str(kind), str(name))
        if letter not in ("b", "c", "y", "x") or (letter in "yx" and kind != "space"):
            raise UserError(
                f"{where}.axes[{index}] is {name!r} of type {kind!r}; relumen runs two-dimensional models "
                "with the axes batch, y, x and channel."
            )
        if letter in axes:
            raise UserError(f"{where}.axes has the axis {letter!r} twice.")
        axes[letter] = axis
    missing = [letter for letter in "yx" if letter not in axes]
    if missing:
        raise UserError(f"{where}.axes has no axis {missing[0]!r}; relumen runs models of y, x images.")
    return axes


def _output_halo(axis: dict[str, Any], where: str) -> int:
    halo = axis.get("halo", 0)
    if halo is None:
        return 0
    if not is_whole(halo) or halo < 0:
        raise UserError(f"{where}: halo should be a whole number of pixels, 0 or more. Received: {halo!r}")
    return halo


def _input_size(axis: dict[str, Any], halo: int, where: str) -> int:
    size = axis.get("size")
    if is_whole(size) and size > 0:
        return size
    if isinstance(size, dict) and {"min", "step"} <= size.keys():
        low, step = size["min"], size["step"]
        if is_whole(low) and is_whole(step) and low > 0 and step > 0:
            return low + step * math.ceil(max(0, DEFAULT_CORE + 2 * halo - low) / step)
    raise UserError(f"{where} should be a whole number, or min and step. Received: {short(size)}")


def _scale(source: dict[str, Any], target: dict[str, Any], size: int, input_id: str, axis: str) -> int:
    """How many output pixels come from one input pixel, by the specification's rule."""
    where = f"outputs[0], axis {axis}"
    stated = target.get("size")
    if is_whole(stated):
        ratio = stated / size
    elif isinstance(stated, dict) and stated.get("axis_id") == source.get("id") and "tensor_id" in stated:
        if stated["tensor_id"] != input_id:
            raise UserError(f"{where}: size refers to the tensor {stated['tensor_id']!r}, and there is none.")
        if stated.get("offset", 0) not in (0, None):
            raise UserError(f"{where}: an offset of {stated['offset']!r} is not supported, only 0.")
        ratio = _factor(source, f"inputs[0], axis {axis}") / _factor(target, where)
    else:
        raise UserError(
            f"{where}: size should be a whole number or refer to the input's axis "
            f"(tensor_id: {input_id}, axis_id: {source.get('id')}). Received: {short(stated)}"
        )
    scale = round(ratio)
    if scale < 1 or not math.isclose(ratio, scale, rel_tol=1e-6):
        raise UserError(
            f"{where} has {ratio:g} pixels for each input pixel; relumen runs models whose output has "
            "as many pixels as the input, or a whole multiple."
        )
    return scale


def _factor(axis: dict[str, Any], where: str) -> float:
    factor = axis.get("scale", 1.0)
    if not is_number(factor) or factor <= 0:
        raise UserError(f"{where}: scale should be a number above 0. Received: {factor!r}")
    return float(factor)


def _channels(axis: dict[str, Any] | None, where: str) -> int:
    if axis is None:
        return 1
    names = axis.get("channel_names")
    if isinstance(names, list) and names:
        return len(names)
    if is_whole(axis.get("size")) and axis["size"] > 0:
        return axis["size"]
    raise UserError(f"{where}, channel axis: channel_names should be a list. Received: {short(names)}")


def _steps(tensor: dict[str, Any], key: str, where: str) -> list[tuple[str, dict[str, Any]]]:
    listed = tensor.get(key) or []
    if not isinstance(listed, list) or not all(isinstance(step, dict) for step in listed):
        raise UserError(f"{where}.{key} should be a list of steps. Received: {short(listed)}")
    steps = [(str(step.get("id")), step.get("kwargs") or {}) for step in listed]
    for index, (_, kwargs) in enumerate(steps):
        if not isinstance(kwargs, dict):
            raise UserError(f"{where}.{key}[{index}].kwargs should be fields. Received: {short(kwargs)}")
    return [(name, kwargs) for name, kwargs in steps if name != "ensure_dtype"]


def _normalisation(tensor: dict[str, Any], channels: int) -> Normalisation:
    steps = _steps(tensor, "preprocessing", "inputs[0]")
    if not steps:
        return Normalisation()
    name, kwargs = steps[0]
    if name == "scale_linear" and len(steps) == 1:
        return _stated(kwargs)
    if name != "zero_mean_unit_variance" or len(steps) > 1:
        raise UserError(
            f"inputs[0].preprocessing is {', '.join(name for name, _ in steps)}; relumen runs packages that "
            "normalise with zero_mean_unit_variance or scale_linear alone, or not at all."
        )
    named = kwargs.get("axes")
    if named is not None and not isinstance(named, list):
        raise UserError(f"inputs[0].preprocessing: axes should be a list. Received: {short(named)}")
    axes = {"channel": "c", "c": "c", "batch": "b", "b": "b"}
    over = {axes.get(str(axis), str(axis)) for axis in named} if named is not None else set("bcyx")
    if not set("yx") <= over <= set("bcyx"):
        raise UserError(
            f"inputs[0].preprocessing: zero_mean_unit_variance over {named} is not supported, over y and x it is."
        )
    eps = kwargs.get("eps", EPS)
    try:  # 1e-6 without a decimal point is text in YAML 1.1
        eps = float(eps)
    except (TypeError, ValueError, OverflowError):
        eps = math.nan
    if not 0 <= eps < 1:
        raise UserError(f"inputs[0].preprocessing: eps should be a small number. Received: {kwargs['eps']!r}")
    return Normalisation(measured=True, together="c" in over and channels > 1, eps=eps)


def _stated(kwargs: dict[str, Any]) -> Normalisation:
    gain, offset = kwargs.get("gain", 1.0), kwargs.get("offset", 0.0)
    if is_number(gain) and is_number(offset) and gain > 0:
        mean, deviation = -offset / gain, 1 / gain
        if math.isfinite(mean) and math.isfinite(deviation):
            return Normalisation(mean=mean, deviation=deviation)
    raise UserError(
        "inputs[0].preprocessing: relumen runs scale_linear with one gain above 0 and one offset. "
        f"Received: gain {short(gain)}, offset {short(offset)}"
    )


def _check_postprocessing(tensor: dict[str, Any]) -> None:
    steps = _steps(tensor, "postprocessing", "outputs[0]")
    if steps:
        raise UserError(
            f"outputs[0].postprocessing is {', '.join(name for name, _ in steps)}; relumen runs packages "
            "without postprocessing."
        )


def _weights(folder: Path, rdf: dict[str, Any]) -> dict[str, Path]:
    listed = rdf.get("weights")
    if not isinstance(listed, dict) or not listed:
        raise UserError(f"weights should name the model's weights by format. Received: {short(listed)}")
    known = {form: listed[form] for form in WEIGHTS_FORMATS if listed.get(form) is not None}
    if not known:
        raise UserError(
            f"weights has {', '.join(map(str, listed))}; relumen runs {', '.join(WEIGHTS_FORMATS)}. "
            "Ask the authors for one of these."
        )
    files = {}
    for form, entry in known.items():
        if not isinstance(entry, dict):
            raise UserError(f"weights.{form} should have a source. Received: {short(entry)}")
        files[form] = file_in(folder, entry.get("source"), f"weights.{form}.source")
    return files


def _multiple(rdf: dict[str, Any], lengths: tuple[int, ...]) -> int:
    multiple = _ours(rdf, "multiple")
    if multiple is None:
        return 1
    if not is_whole(multiple) or multiple < 1 or any(length % multiple for length in lengths):
        raise UserError(
            "config.relumen.multiple should be a whole number that divides the input's size and the halo. "
            f"Received: {multiple!r}"
        )
    return multiple


def _own_config(rdf: dict[str, Any]) -> dict[str, Any] | None:
    """What relumen wrote into an rdf's config; None for packages of others."""
    config = rdf.get("config")
    ours = config.get("relumen") if isinstance(config, dict) else None
    return ours if isinstance(ours, dict) else None


def _ours(rdf: dict[str, Any], key: str) -> Any:  # noqa: ANN401  as YAML has it
    """A value that relumen wrote into the rdf's config; None where there is none."""
    return (_own_config(rdf) or {}).get(key)


def _pixel_size(rdf: dict[str, Any]) -> float | None:
    size = _ours(rdf, "pixel_size_um")
    if size is None:
        return None
    if not is_number(size) or size <= 0:
        raise UserError(f"config.relumen.pixel_size_um should be micrometres above 0. Received: {size!r}")
    return float(size)


def _text(mapping: dict[str, Any], key: str, where: str) -> str:
    value = mapping.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where} should be text. Received: {short(value)}")
    return value
