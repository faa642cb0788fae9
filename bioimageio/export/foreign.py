"""What a Keras model is made of besides Keras's own parts, read from its configuration without running any of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TRAINING = "compile_config"
"""Losses, metrics and optimisers. Keras leaves out the whole model's, and makes those of a model inside it."""
_LAMBDA = "__lambda__"


@dataclass(frozen=True)
class ForeignPart:
    """A class or function that doesn't come with Keras.

    Attributes:
        name: of it, without the module.
        module: where it was defined when it was saved, as far as the file tells.
        key: under which Keras looks for it: the name, perhaps with a package's before it.
    """

    name: str
    module: str | None
    key: str


def foreign_parts(config: object) -> Iterator[ForeignPart]:
    """Every part of a serialised model that doesn't come with Keras.

    Args:
        config: as :func:`keras.saving.serialize_keras_object` gives it, or as config.json of a .keras file has it.
    """
    for part in _parts(_untrained(config)):
        kind, module, key = part["class_name"], part.get("module"), part.get("registered_name")
        if str(module).split(".")[0] == "keras" or kind == _LAMBDA:
            continue
        module = module if isinstance(module, str) else None
        if kind == "function":
            yield ForeignPart(str(part.get("config")), module, str(part.get("config")))
        elif key is not None or module not in (None, "builtins"):
            yield ForeignPart(str(kind), module, str(key or kind))


def lambdas(config: object) -> list[str]:
    """Names of the layers whose code is in the file itself, which Keras doesn't run unless it is told to trust it."""
    found = []
    for part in _parts(_untrained(config)):
        inside = part.get("config")
        if isinstance(inside, dict) and any(_is_lambda(value) for value in inside.values()):
            found.append(str(inside.get("name", part["class_name"])))
    return found


def _untrained(config: object) -> object:
    return {key: value for key, value in config.items() if key != _TRAINING} if isinstance(config, dict) else config


def _is_lambda(value: Any) -> bool:  # noqa: ANN401  as JSON has it
    return isinstance(value, dict) and value.get("class_name") == _LAMBDA


def _parts(config: object) -> Iterator[dict[str, Any]]:
    """Every map of a configuration that stands for an object."""
    if isinstance(config, dict):
        if "class_name" in config and "module" in config:
            yield config
        for value in config.values():
            yield from _parts(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _parts(value)
