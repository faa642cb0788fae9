"""How every configuration is made: frozen, from a preset's YAML, changed by name=value, and validated plainly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from relumen.errors import UserError
from relumen.run import parse_mapping, parse_yaml


class Frozen(BaseModel):
    """What every configuration is made of: unknown names are faults, and nothing changes once it is validated."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")


Validated = TypeVar("Validated", bound=Frozen)


def preset_names(package: str, prefix: str = "") -> list[str]:
    """Names of the presets of a package's data folder, without the prefix of their files."""
    names = (entry.name for entry in files(package).iterdir())
    return sorted(
        name[len(prefix) : -len(".yaml")] for name in names if name.startswith(prefix) and name.endswith(".yaml")
    )


def preset_values(package: str, preset: str, prefix: str = "") -> dict[str, Any]:
    """What a preset says, as plain values.

    Args:
        package: whose data are the presets.
        preset: one of :func:`preset_names`, or the path of a YAML file.
        prefix: of the presets' files.

    Raises:
        UserError: no such preset, or the file can't be read.
    """
    names = preset_names(package, prefix)
    if preset in names:
        text = files(package).joinpath(f"{prefix}{preset}.yaml").read_text(encoding="utf-8")
        return parse_mapping(text, preset)
    if preset.endswith((".yaml", ".yml")) and Path(preset).is_file():
        return file_values(Path(preset))
    raise UserError(f"There is no preset {preset!r}. Choose one of {', '.join(names)}, or a .yaml file.")


def file_values(path: Path) -> dict[str, Any]:
    """What a YAML file says, as plain values.

    Raises:
        UserError: it can't be read, or is no YAML of names and values.
    """
    try:
        return parse_mapping(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read ({error}).") from error


def override(values: dict[str, Any], overrides: Sequence[str], example: str) -> None:
    """Changes plain values by "path.to.field=value", whose values are YAML.

    Raises:
        UserError: one that doesn't read so; the message shows the example.
    """
    for each in overrides:
        set_value(values, *parsed(each, example))


def parsed(text: str, example: str) -> tuple[str, Any]:
    """Name and value of a "name=value"; errors as of :func:`override`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"An override reads name=value, such as {example}. Received: {text!r}")
    return name, parse_yaml(value, f"The value of {text!r}")


def set_value(values: dict[str, Any], name: str, value: Any) -> None:  # noqa: ANN401  whatever was read
    """Sets a value by its dotted name; what lies on the way there is made."""
    *parents, last = name.split(".")
    for parent in parents:
        child = values.setdefault(parent, {})
        if not isinstance(child, dict):
            child = values[parent] = {}
        values = child
    values[last] = value


def validated(kind: type[Validated], values: Mapping[str, Any], what: str = "configuration") -> Validated:
    """A configuration of plain values, or what else ``what`` calls it.

    Raises:
        UserError: one line for each fault, with its place.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults = [
            f"  {'.'.join(map(str, fault['loc'])) or 'as a whole'}: {fault['msg'].removeprefix('Value error, ')}"
            + ("" if isinstance(fault["input"], dict) else f" (received {fault['input']!r})")
            for fault in error.errors()
        ]
        raise UserError("\n".join([f"The {what} has faults:", *faults])) from error
