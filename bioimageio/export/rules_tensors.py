"""Rules about tensors, axes, sizes, scale, halo and processing: what decides whether Fiji runs a package rightly.

Each was read in JDLL's source: AxisV05, AxisSize, TensorSpecV05, TileCalculator, TileMaker and its transformations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from relumen.rdf import is_number, is_whole, short

from .rule import Content, Fault, Rule, as_list, axis_letter, older_format

_LETTERS = "bcyxzt"
_KWARGS = {
    "zero_mean_unit_variance": {"axes", "eps"},
    "fixed_zero_mean_unit_variance": {"mean", "std", "axis"},
    "scale_linear": {"gain", "offset", "axis"},
    "clip": {"min", "max"},
    "sigmoid": set[str](),
}
_INSTEAD = {
    "scale_range": "JDLL's percentiles are up to 5e-3 off and it ignores reference_tensor",
    "softmax": "JDLL has no softmax; put it into the network",
    "scale_mean_variance": "JDLL has no scale_mean_variance",
}


def _one_image(content: Content) -> Iterator[str | Fault]:
    kind = content.at("type")
    if kind != "model":
        yield f"type is {short(kind)}. Write type: model."
    for key in ("inputs", "outputs"):
        tensors = content.at(key)
        if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], dict):
            count = len(tensors) if isinstance(tensors, list) else "no list of"
            yield (
                f"{key} has {count} tensors. DeepImageJ Run takes one image and gives one: put conditions, latents "
                "and kernels into the network's graph."
            )
            continue
        if content.tensor_id(key) is None:
            yield f"{key}[0].id is {short(content.at(key, 0, 'id'))}. Give the tensor a name."
        if not set("yx") <= set(content.axes(key)):
            yield f"{key}[0] is no image: its axes are {content.axes(key) or 'not told'}. Give it the axes y and x."


def _float_output(content: Content) -> Iterator[str | Fault]:
    data = content.at("outputs", 0, "data")
    kind = data.get("type", "float32") if isinstance(data, dict) else "float32" if data is None else data
    if kind != "float32":
        yield f"outputs[0].data.type is {short(kind)}. Let the network answer in float32 and write type: float32."


def _axes(content: Content) -> Iterator[str | Fault]:
    for where, tensor in content.tensors:
        axes = tensor.get("axes")
        if not isinstance(axes, list) or not axes:
            yield f"{where}.axes is {short(axes)}. List the axes as format 0.5 does, one map for each."
            continue
        letters = []
        for index, axis in enumerate(axes):
            if not isinstance(axis, dict):
                yield f"{where}.axes[{index}] is {short(axis)}. Write a map with type, id and size."
                continue
            if not isinstance(axis.get("type"), str):
                yield f"{where}.axes[{index}] has no type, and JDLL dies. Write type: space, channel or batch."
            letter = axis_letter(axis)
            if letter not in _LETTERS or len(letter) != 1:
                yield (
                    f"{where}.axes[{index}] has the id {short(axis.get('id'))}, and Fiji knows axes by one letter. "
                    "Use y, x, z or t as id, and type: batch or channel for the others."
                )
            elif letter in letters:
                yield f"{where}.axes has the axis {letter!r} twice. Give each axis an id of its own."
            letters.append(letter)
            halo = axis.get("halo")
            if where.startswith("inputs") and halo is not None:
                yield f"{where}.axes[{index}] has a halo. Write the halo on the output's axes."


def _channel_names(content: Content) -> Iterator[str | Fault]:
    for key in ("inputs", "outputs"):
        if not isinstance(content.at(key, 0), dict):
            continue
        if "c" not in content.axes(key):
            if key == "inputs":
                yield Fault(
                    "inputs[0] has no channel axis, and JDLL dies while tiling. Add one, of one channel: to the axes, "
                    "to the test tensor and to the network's input.",
                    "- type: channel\n  channel_names: [nuclei]",
                )
            continue
        names = content.axis(key, "c").get("channel_names")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            yield Fault(
                f"{key}[0], channel axis: channel_names is {short(names)}, and JDLL dies without names. "
                "Write a list such as channel_names: [nuclei].",
                "- type: channel\n  channel_names: [nuclei]",
            )


def _input_size(content: Content) -> Iterator[str | Fault]:
    for letter in "yx":
        axis = content.axis("inputs", letter)
        size = axis.get("size")
        where = f"inputs[0], axis {letter}: size"
        if not axis or (is_whole(size) and size > 0):
            continue
        if not isinstance(size, dict):
            yield f"{where} is {short(size)}. Write one number of pixels, such as size: 128."
            continue
        low, step = size.get("min"), size.get("step")
        if not (is_whole(low) and is_whole(step)) or low < 1 or step < 1:
            yield f"{where} is {short(size)}. Write one number of pixels, such as size: 128."
        elif low % step:
            yield Fault(
                f"{where} has min {low}, not a multiple of step {step}: JDLL then reckons sizes that it refuses. "
                f"Write min: {low + step - low % step}, or better one fixed size.",
                _axis_lines(letter, f"size: {{min: {low + step - low % step}, step: {step}}}"),
            )


def _output_size(content: Content) -> Iterator[str | Fault]:
    for letter in "yx":
        target, source = content.axis("outputs", letter), content.axis("inputs", letter)
        if not target:
            continue
        size, wanted = target.get("size"), (content.tensor_id("inputs"), source.get("id"))
        where = f"outputs[0], axis {letter}: size"
        if not isinstance(size, dict) or (size.get("tensor_id"), size.get("axis_id")) != wanted:
            follows = f"size: {{tensor_id: {wanted[0]}, axis_id: {wanted[1]}}}"
            yield Fault(
                f"{where} is {short(size)}; JDLL can then run images of few sizes or none. Write {follows}.",
                _axis_lines(letter, follows),
            )
        elif size.get("offset", 0) not in (0, None):
            yield (
                f"{where} has the offset {short(size['offset'])}, which JDLL counts twice. Let the network keep the "
                "image's borders and leave offset out."
            )


def _scale(content: Content) -> Iterator[str | Fault]:
    for letter in "yx":
        source = content.axis("inputs", letter).get("scale", 1.0)
        target = content.axis("outputs", letter).get("scale", 1.0)
        specified = content.magnification(letter)
        if specified is None:
            yield f"Axis {letter}: the scales {short(source)} and {short(target)} should be numbers above 0."
        elif abs(specified - target) > 1e-6 * target or round(target) != target:
            factor = max(1, round(specified if specified >= 1 else 1 / specified))
            yield Fault(
                f"Axis {letter}: scale is {source} at the input and {target} at the output. The specification makes "
                f"of it an output {specified:g} times as large, JDLL one {target:g} times. For a magnification of "
                f"{factor} write scale: {factor * factor} at the input and scale: {factor} at the output.",
                _axis_lines(letter, f"scale: {factor * factor}  # of the input")
                + "\n"
                + _axis_lines(letter, f"scale: {factor}  # of the output"),
            )
    if content.magnification("y") != content.magnification("x"):
        yield "The scales of y and x differ. Magnify both alike."


def _unit(content: Content) -> Iterator[str | Fault]:
    for where, tensor in content.tensors:
        for axis in as_list(tensor.get("axes")):
            if isinstance(axis, dict) and axis.get("unit") is not None and axis.get("scale", 1.0) != 1.0:
                yield (
                    f"{where}, axis {axis_letter(axis)}: scale {short(axis['scale'])} has the unit "
                    f"{short(axis['unit'])}, but here it tells a magnification, not a pixel size. Leave unit out."
                )


def _halo(content: Content) -> Iterator[str | Fault]:
    for letter in "yx":
        axis = content.axis("outputs", letter)
        halo = axis.get("halo", 0)
        where = f"outputs[0], axis {letter}: halo"
        if halo is None:
            continue
        if not is_whole(halo) or halo < 0:
            yield f"{where} is {short(halo)}. Write a whole number of output pixels, 0 or more."
            continue
        scale, size = axis.get("scale", 1.0), content.fixed_size(letter)
        if not is_number(scale) or scale < 1:
            continue  # told by the rule about scale
        if halo % scale:
            mended = f"halo: {int(scale * -(-halo // scale))}"
            yield Fault(
                f"{where} is {halo}, not a multiple of the scale {scale:g}, so that JDLL puts tiles beside their "
                f"place. Write {mended}.",
                _axis_lines(letter, mended),
            )
        elif size is not None and size * scale <= 2 * halo:
            yield f"{where} of {halo} on each side leaves nothing of a tile of {size:d} input pixels. Enlarge size."


def _processing(content: Content) -> Iterator[str | Fault]:
    for key, field in (("inputs", "preprocessing"), ("outputs", "postprocessing")):
        steps = content.at(key, 0, field)
        if steps is not None and not isinstance(steps, list):
            yield f"{key}[0].{field} is {short(steps)}. Write a list of steps."
        for index, step in enumerate(as_list(steps)):
            where = f"{key}[0].{field}[{index}]"
            name = step.get("id") if isinstance(step, dict) else None
            if not isinstance(name, str):
                yield f"{where} is {short(step)}. Write a map with id and kwargs."
            elif name == "ensure_dtype":
                continue  # JDLL leaves it out: its tensors are float32 anyhow
            elif name not in _KWARGS:
                why = _INSTEAD.get(name, "JDLL does not know it, or computes something else")
                yield f"{where} is {name}: {why}. Use one of {', '.join(_KWARGS)}."
            else:
                yield from _arguments(content, name, step.get("kwargs"), where)


def _arguments(content: Content, name: str, kwargs: object, where: str) -> Iterator[str | Fault]:
    given: dict[str, Any] = kwargs if isinstance(kwargs, dict) else {}
    if kwargs is not None and not isinstance(kwargs, dict):
        yield f"{where}.kwargs is {short(kwargs)}. Write a map."
    unknown = [str(key) for key in given if key not in _KWARGS[name]]
    if unknown:
        yield f"{where}: JDLL's {name} fails on the argument {unknown[0]}. Leave it out."
    if name == "clip" and not (is_number(given.get("min")) and is_number(given.get("max"))):
        yield f"{where}: JDLL's clip fails without both bounds. Give min and max as numbers."
    lists = [key for key in ("gain", "offset") if isinstance(given.get(key), list) and len(given[key]) > 1]
    if name == "scale_linear" and lists:
        yield f"{where}: JDLL uses the first {lists[0]} for every channel. Give one number, or scale in the network."
    if name == "fixed_zero_mean_unit_variance":
        for key in ("mean", "std"):
            if given.get(key) is None:
                yield f"{where}: {key} is missing. Give it."
    if name == "zero_mean_unit_variance":
        yield from _normalisation(content, given, where)


def _normalisation(content: Content, given: dict[str, Any], where: str) -> Iterator[str | Fault]:
    axes, eps = given.get("axes"), given.get("eps", 1e-6)
    written = isinstance(eps, str) and re.fullmatch(r"\d+(\.\d*)?([eE][-+]?\d{1,2})?", eps)
    if not written and not (is_number(eps) and eps >= 0):
        yield f"{where}: eps is {short(eps)}. Write a small number, such as eps: 1.0e-6."
    if axes is None:
        return
    known = {"y": "y", "x": "x", "channel": "c", "c": "c"}
    letters = [known.get(axis) if isinstance(axis, str) else None for axis in as_list(axes)]
    if not isinstance(axes, list) or None in letters or not {"y", "x"} <= set(letters):
        yield f"{where}: axes is {short(axes)}, which JDLL reads in another way than the zoo. Write axes: [y, x]."
    elif "c" not in letters and (content.channels or 1) > 1:
        yield (
            f"{where}: with {content.channels} channels and axes [y, x], JDLL normalises the whole image once for each "
            "channel, one upon the other. Write axes: [channel, y, x], or make a package for each channel."
        )


def _axis_lines(letter: str, line: str) -> str:
    return f"- type: space\n  id: {letter}\n  {line}"


TENSOR_RULES = tuple(
    replace(rule, blocked=older_format)
    for rule in (
        Rule("one image", "One image goes in, one comes out", _one_image),
        Rule("float32 output", "The output is float32", _float_output),
        Rule("axes", "Axes have types and one-letter ids", _axes),
        Rule("channel names", "The channel axes name their channels", _channel_names),
        Rule("input size", "The input's size can be tiled by JDLL", _input_size),
        Rule("output size", "The output's size follows the input's", _output_size),
        Rule("scale", "The specification and JDLL reckon one magnification", _scale),
        Rule("unit", "No magnification has a unit", _unit, "better"),
        Rule("halo", "The halo fits the tile and the scale", _halo),
        Rule("processing", "JDLL computes pre- and postprocessing as the zoo does", _processing),
    )
)
