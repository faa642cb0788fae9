"""From the variables of a checkpoint, by the names that its layout gives them, to the weights of our generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.models.stylegan2 import Architecture, Generator
from relumen.prior.pickles import RefusedError, told

Float32 = NDArray[np.float32]

LONGEST_NAME = 200
"""Characters of a variable's or a part's path; in use are up to 50."""

MOST_LAYERS = 64
"""Of a mapping network; published ones have up to 8. All of them can be the same few bytes of a file."""

BLUR = np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 64
"""The filter of our resampling, (4, 4)."""


@dataclass(frozen=True)
class Imported:
    """A generator that another program trained.

    Attributes:
        layout: which program's file it was.
        architecture: what the generator is made of.
        weights: float32 arrays by their paths in :class:`relumen.models.stylegan2.Generator`, such as
            ``synthesis/b8/conv0/kernel``, without the generator's own name.
    """

    layout: str
    architecture: Architecture
    weights: dict[str, Float32]

    def generator(self) -> Generator:
        """Our network with these weights."""
        generator = Generator(self.architecture)
        for variable in generator.weights:
            variable.assign(self.weights[variable.path.removeprefix("generator/")])
        return generator


class Variables:
    """The variables of a checkpoint; each is taken once, so that those of no use to us are found.

    Args:
        values: by name; numbers count as arrays of no axes.

    Raises:
        RefusedError: a name that is not a text.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        if not all(isinstance(name, str) for name in self.values):
            raise RefusedError("it has variables without a name")

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def length(self, name: str, axes: int = 1, axis: int = 0) -> int:
        """Length of a variable along one of its axes.

        Raises:
            RefusedError: it is missing, or has another number of axes.
        """
        shape = np.shape(self._get(name))
        if len(shape) != axes or not shape[axis]:
            raise RefusedError(f"its variable {told(name)} has shape {shape}, where one of {axes} axes is due")
        return shape[axis]

    def mapping_layers(self, name: str, first: int = 0) -> int:
        """How many layers a mapping network has.

        Args:
            name: of a layer's kernel, with {} for its number.
            first: number of the first layer.

        Raises:
            RefusedError: none, or far more than any has.
        """
        depth = 0
        while name.format(first + depth) in self:
            depth += 1
        return whole("number of mapping layers", depth, MOST_LAYERS)

    def take(self, name: str, *shape: int) -> Float32:
        """A variable, which is no longer there afterwards.

        Raises:
            RefusedError: it is missing, has another shape, or is not made of finite floating-point numbers.
        """
        value = np.asarray(self._get(name))
        del self.values[name]
        if value.shape != shape:
            raise RefusedError(f"its variable {told(name)} has shape {value.shape}, not {shape}")
        with np.errstate(over="ignore"):  # a double beyond single precision becomes infinite, and is told below
            single = value.astype(np.float32) if value.dtype.kind == "f" else value
        if single.dtype != np.float32 or not np.isfinite(single).all():
            raise RefusedError(f"its variable {told(name)} has values that are not finite floating-point numbers")
        return single

    def take_blurs(self, ending: str, gain: float = 1.0) -> None:
        """Takes the resampling filters, whose names have this ending.

        Raises:
            RefusedError: a filter is not ours times the gain.
        """
        for name in [name for name in self.values if name.endswith(ending)]:
            if not np.allclose(self.take(name, *BLUR.shape), gain * BLUR, atol=1e-6):
                raise RefusedError(f"its filter {told(name)} is not [1, 3, 3, 1], which relumen's generator has")

    def finish(self) -> None:
        """Checks that nothing is left.

        Raises:
            RefusedError: a variable that our generator does not have.
        """
        if self.values:
            names = ", ".join(told(name) for name in sorted(self.values)[:5])
            raise RefusedError(f"it has variables that relumen's generator does not have: {names}")

    def _get(self, name: str) -> Any:  # noqa: ANN401  an array or a number
        if not isinstance(self.values.get(name), np.ndarray | float):
            raise RefusedError(f"its variable {told(name)} is missing, or is not an array")
        return self.values[name]


def full_name(path: str, separator: str, name: Any) -> str:  # noqa: ANN401  of any kind at first
    """The path of a part or variable that is inside another, whose own path may be empty.

    Raises:
        RefusedError: no text, or longer than any in use: each name costs its length, as often as a file repeats it.
    """
    if not isinstance(name, str) or len(path) + len(separator) + len(name) > LONGEST_NAME:
        raise RefusedError(f"the name of one of its variables is no text of up to {LONGEST_NAME} characters")
    return f"{path}{separator}{name}" if path else name


def expect(what: str, found: object, ours: str | int | list[int]) -> None:
    """Checks a property that our generator has in one form only.

    Raises:
        RefusedError: it has another.
    """
    # Nested values are not compared, which would overflow Python's own stack.
    flat = all(type(each) in (int, float) for each in found) if isinstance(found, list) else True
    if type(found) is not type(ours) or not flat or found != ours:
        raise RefusedError(f"its {what} is {told(found)}, and relumen's generator has {told(ours)}")


def whole(what: str, found: Any, most: int = 1 << 20) -> int:  # noqa: ANN401  of any kind at first
    """A positive whole number.

    Raises:
        RefusedError: something else.
    """
    if type(found) is not int or not 0 < found <= most:
        raise RefusedError(f"its {what} is {told(found)}, not a whole number from 1 to {most}")
    return found


def number(what: str, found: Any) -> float:  # noqa: ANN401  of any kind at first
    """A positive number.

    Raises:
        RefusedError: something else.
    """
    if type(found) not in (int, float) or not 0 < found < 1e6:
        raise RefusedError(f"its {what} is {told(found)}, not a positive number")
    return float(found)


def convolutions(architecture: Architecture) -> list[tuple[int, str, int, int]]:
    """(resolution, name, features before, features after) of each convolution in order, as the noise maps are."""
    before, found = architecture.widths[0], []
    for size, width in zip(architecture.resolutions, architecture.widths, strict=True):
        for name in ("conv1",) if size == 4 else ("conv0", "conv1"):
            found.append((size, name, before, width))
            before = width
    return found


def layer(path: str, **weights: Float32) -> dict[str, Float32]:
    """The weights of one layer by their paths."""
    return {f"{path}/{name}": np.asarray(value, order="C") for name, value in weights.items()}
