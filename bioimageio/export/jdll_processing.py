"""JDLL's pre- and postprocessing, its faults among it, done in NumPy."""

from __future__ import annotations

import contextlib
from typing import Any, NoReturn

import numpy as np

from relumen.errors import CheckFailedError
from relumen.rdf import is_number, short
from relumen.runners import from_axes, to_axes
from relumen.tiling import Float32


def process(steps: list[dict[str, Any]], image: Float32, order: str) -> Float32:
    """Applies transformations to a whole image (y, x, channels), as JDLL does.

    Args:
        steps: from the rdf.
        image: before.
        order: the tensor's axes, such as ``byxc``.

    Raises:
        CheckFailedError: JDLL would fail.
    """
    data = to_axes(image[np.newaxis], order).astype(np.float32)
    for step in steps:
        name = step.get("name") or step.get("id")
        kwargs = as_map(step.get("kwargs"))
        if name == "zero_mean_unit_variance":
            data = _unit_variance(data, kwargs, order)
        elif name == "fixed_zero_mean_unit_variance":
            data = _fixed(data, kwargs, order)
        elif name == "scale_linear":
            gain, offset = _first(kwargs.get("gain", 1.0), "gain"), _first(kwargs.get("offset", 0.0), "offset")
            data = (data.astype(np.float64) * gain + offset).astype(np.float32)
        elif name == "clip":
            if kwargs.get("min") is None or kwargs.get("max") is None:
                fail("clip lacks a bound (NullPointerException)")
            low, high = _float(kwargs["min"], "min"), _float(kwargs["max"], "max")
            data = np.clip(data, low, high).astype(np.float32)
        elif name == "sigmoid":
            data = (1 / (1 + np.exp(-data.astype(np.float64)))).astype(np.float32)
        else:
            fail(f"it has no {name!r}, or computes it otherwise than the zoo")
    return from_axes(data, order)[0]


def _unit_variance(data: Float32, kwargs: dict[str, Any], order: str) -> Float32:
    eps = _float(kwargs.get("eps", 1e-6), "eps")
    named = kwargs.get("axes")
    over = None
    if named is not None and not isinstance(named, list | str):
        fail(f"zero_mean_unit_variance has the axes {short(named)} (IllegalArgumentException)")
    if named is not None:
        over = "".join("c" if axis == "channel" else str(axis) for axis in named).lower()
    each = "" if over is None else "".join(letter for letter in order if letter not in over)
    if len(each) in (0, len(order)):
        return _standardised(data, data, eps)
    # JDLL measures one plane after another, and each time normalises the whole image with it.
    for place in np.ndindex(*(data.shape[order.index(letter)] for letter in each)):
        where: list[int | slice] = [slice(None)] * len(order)
        for letter, index in zip(each, place, strict=True):
            where[order.index(letter)] = index
        data = _standardised(data, data[tuple(where)], eps)
    return data


def _standardised(data: Float32, measured: Float32, eps: float) -> Float32:
    mean = float(np.float32(np.mean(measured, dtype=np.float64)))
    deviation = float(np.float32(np.std(measured, dtype=np.float64)))
    return ((data.astype(np.float64) - mean) / (deviation + eps)).astype(np.float32)


def _fixed(data: Float32, kwargs: dict[str, Any], order: str) -> Float32:
    mean, deviation = (
        np.asarray([_float(each, key) for each in given] if isinstance(given, list) else _float(given, key))
        for key, given in (("mean", kwargs.get("mean")), ("std", kwargs.get("std")))
    )
    if mean.shape != deviation.shape or bool(mean.ndim) != (kwargs.get("axis") is not None):
        fail("fixed_zero_mean_unit_variance needs mean and std both as numbers, or both as lists with an axis")
    shape = [1] * len(order)
    if mean.ndim:
        shape[order.index("c")] = mean.size
    return ((data - mean.reshape(shape)) / (deviation.reshape(shape) + 1e-6)).astype(np.float32)


def _float(value: object, where: str) -> float:
    """A number as JDLL's setters take it: also as text, such as the 1e-6 of YAML 1.1."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    elif is_number(value):
        return float(value)
    fail(f"{where} is {short(value)}, not a number (IllegalArgumentException)")


def _first(value: object, where: str) -> float:
    """JDLL uses the first of a list for every channel."""
    return _float(value[0] if isinstance(value, list) and value else value, where)


def as_map(value: object) -> dict[str, Any]:
    """A map as it is; anything else as an empty map."""
    return value if isinstance(value, dict) else {}


def fail(why: str) -> NoReturn:
    """Says that JDLL fails.

    Raises:
        CheckFailedError: always.
    """
    raise CheckFailedError(f"JDLL, and so DeepImageJ, fails: {why}.")
