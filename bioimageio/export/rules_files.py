"""Rules about the files beside the weights: tensors, samples, cover, checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.rdf import is_number, is_whole, short

from .rule import Content, Fault, Rule, as_list, axis_letter, dig, older_format

COVER_BYTES = 500_000
_COVER_KINDS = (".png", ".jpg", ".jpeg", ".gif", ".svg")
_SAMPLE_KINDS = (".tif", ".tiff", ".png")
_RATIO_TOLERANCE = 0.02


def named_files(content: Content) -> Iterator[tuple[str, object, object]]:
    """Every file that the rdf names: place, name, and the checksum that goes with it."""
    for field in ("documentation", "icon", "license"):
        value = content.at(field)
        if isinstance(value, dict) or (field == "documentation" and value is not None):
            yield field, value, dig(value, "sha256")
        elif field == "icon" and value is not None and not (isinstance(value, str) and len(value) <= 2):  # an emoji
            yield field, value, None
    for field in ("covers", "attachments", "test_inputs", "test_outputs", "sample_inputs", "sample_outputs"):
        value = content.at(field)
        if field == "attachments" and isinstance(value, dict):  # format 0.4
            value = value.get("files")
        for index, entry in enumerate(as_list(value)):
            yield f"{field}[{index}]", entry, dig(entry, "sha256")
    for where, tensor in content.tensors:
        for field in ("test_tensor", "sample_tensor"):
            if isinstance(tensor.get(field), dict):
                yield f"{where}.{field}", tensor[field], tensor[field].get("sha256")
    weights = content.at("weights")
    for form, entry in weights.items() if isinstance(weights, dict) else ():
        if isinstance(entry, dict):
            yield f"weights.{form}", entry, entry.get("sha256")
            for field in ("architecture", "dependencies", "external_data"):
                part = entry.get(field)
                if isinstance(part, dict) and "source" in part:  # an architecture may come from a library instead
                    yield f"weights.{form}.{field}", part, part.get("sha256")


def _files(content: Content) -> Iterator[str | Fault]:
    for where, entry, _ in named_files(content):
        path, wrong = content.find(entry, where)
        if path is None:
            yield Fault(wrong, matters="fiji" if where.startswith("weights") else None)


def _checksums(content: Content) -> Iterator[str | Fault]:
    for where, entry, stated in named_files(content):
        path, _ = content.find(entry, where)
        if path is None or stated is None:
            continue
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if str(stated).lower() != found:
            yield (
                f"{where}: {path.name} has the SHA-256 {found[:12]}..., the rdf says {short(stated)[:16]}. "
                "The file was changed or damaged: unpack or export the package again."
            )


def _test_tensors(content: Content) -> Iterator[str | Fault]:
    arrays: dict[str, NDArray[Any]] = {}
    for key in ("inputs", "outputs"):
        tensor = content.at(key, 0)
        if not isinstance(tensor, dict):
            continue
        where = f"{key}[0].test_tensor"
        array, wrong = _load(content, tensor.get("test_tensor"), where)
        if array is None:
            yield wrong
            continue
        faults = list(_shape_faults(tensor, array, where, check_size=key == "inputs"))
        if array.dtype != np.float32:
            faults.append(f"{where} is {array.dtype}. Save it as float32.")
        elif not np.isfinite(array).all():
            faults.append(f"{where} holds NaN or infinity. Run the network on a real image.")
        elif array.size and array.min() == array.max():
            faults.append(f"{where} is the same number everywhere, which tests nothing. Take a real image.")
        yield from faults
        if not faults:
            arrays[key] = array
    if len(arrays) == 2:
        yield from _magnification(content, arrays["inputs"], arrays["outputs"])


def _load(content: Content, entry: object, where: str) -> tuple[NDArray[Any] | None, str]:
    if not isinstance(entry, dict):
        return None, f"{where} is {short(entry)}. Name a .npy file: {{source: test_input.npy}}."
    path, wrong = content.find(entry, where)
    if path is None:
        return None, wrong
    try:
        return np.lib.format.open_memmap(path, mode="r"), ""
    except Exception:  # a hostile header makes NumPy raise whatever it likes
        return None, f"{where}: {path.name} is not a .npy file of numbers. Save it with numpy.save."


def _shape_faults(
    tensor: dict[str, Any], array: NDArray[Any], where: str, *, check_size: bool
) -> Iterator[str | Fault]:
    axes = [axis for axis in as_list(tensor.get("axes")) if isinstance(axis, dict)]
    if array.ndim != len(axes):
        yield f"{where} has the shape {array.shape}, the rdf {len(axes)} axes. Save one axis for each."
        return
    for axis, found in zip(axes, array.shape, strict=True):
        letter, size = axis_letter(axis), axis.get("size")
        names = axis.get("channel_names")
        wanted: object = None
        if letter == "c" and isinstance(names, list):
            wanted = len(names)
        elif check_size and is_whole(size):
            wanted = size
        elif check_size and isinstance(size, dict):
            low, step = size.get("min"), size.get("step")
            if is_whole(low) and is_whole(step) and step > 0 and (found < low or (found - low) % step):
                wanted = f"{low} + n * {step}"
        if wanted is not None and wanted != found:
            yield f"{where} has {found} along {letter}, the rdf says {wanted}. Save a tensor that fits."


def _magnification(content: Content, source: NDArray[Any], target: NDArray[Any]) -> Iterator[str | Fault]:
    for letter in "yx":
        places = content.axes("inputs").find(letter), content.axes("outputs").find(letter)
        if min(places) < 0:
            continue  # told by the rule about one image
        before, after = source.shape[places[0]], target.shape[places[1]]
        scale = content.axis("outputs", letter).get("scale", 1.0)
        if is_number(scale) and after != before * scale:
            yield (
                f"The test tensors have {before} and {after} pixels along {letter}; with scale {scale:g} at the output "
                f"Fiji expects {before * scale:g}. Set the scales to the network's magnification."
            )


def _samples(content: Content) -> Iterator[str | Fault]:
    for key in ("inputs", "outputs"):
        if not isinstance(content.at(key, 0), dict):
            continue
        where = f"{key}[0].sample_tensor"
        path, wrong = content.find(content.at(key, 0, "sample_tensor"), where)
        if path is None:
            yield wrong
        elif path.suffix.lower() not in _SAMPLE_KINDS:
            yield Fault(
                f"{where} is {path.name}. The zoo's DeepImageJ check opens samples in Fiji, and so do people: save it "
                f"as {path.stem}.tif.",
                matters="better",
            )


def _cover(content: Content) -> Iterator[str | Fault]:
    covers = content.at("covers")
    if not as_list(covers):
        yield "covers is empty. Add a picture with the input beside the output: covers: [cover.png]."
    for index, entry in enumerate(as_list(covers)):
        path, wrong = content.find(entry, f"covers[{index}]")
        yield from [wrong] if path is None else _picture_faults(path, f"covers[{index}]: {path.name}")


def _picture_faults(path: Path, where: str) -> Iterator[str | Fault]:
    if path.suffix.lower() not in _COVER_KINDS:
        yield f"{where} is no picture that the zoo shows. Save it as .png."
        return
    if path.stat().st_size > COVER_BYTES:
        yield f"{where} has {path.stat().st_size // 1000} KB, more than {COVER_BYTES // 1000}. Make it smaller."
    if path.suffix.lower() == ".svg":
        return
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            width, height = picture.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        yield f"{where} cannot be opened as a picture. Save it again."
        return
    if not height or not any(abs(width / height / ratio - 1) <= _RATIO_TOLERANCE for ratio in (1, 2)):
        yield f"{where} measures {width} x {height}. Make it twice as wide as high, or square."


FILE_RULES = (
    Rule("files", "Every named file is in the package", _files, "zoo"),
    Rule("checksums", "Every SHA-256 fits its file", _checksums, "zoo"),
    Rule("test tensors", "The test tensors fit the axes and the scale", _test_tensors, "zoo", blocked=older_format),
    Rule("samples", "Sample images are there", _samples, "zoo", ("sample_tensor",), older_format),
    Rule("cover", "The cover has the zoo's shape and size", _cover, "better"),
)
