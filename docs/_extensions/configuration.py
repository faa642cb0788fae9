"""Configurations as Markdown: every value that ``--set`` can change, from the pydantic models, and the presets."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from relumen.imagej_bridge.server.config import ServeConfig
from relumen.search.config import SearchConfig, UncertaintyConfig
from relumen.training.config import Config
from relumen.training.flow_config import FlowConfig

_TRAINED: tuple[type[BaseModel], ...] = (*get_args(Config), FlowConfig)
_OTHERS = {
    "search": ("The method of a search", "`relumen search --method NAME --set name=value`", SearchConfig),
    "uncertainty": (
        "Several solutions",
        "For Python; `relumen search --uncertainty FORM`",
        UncertaintyConfig,
    ),
    "serve": ("The server", "For Python; `relumen serve` has options for most", ServeConfig),
}
_WORDS = {
    "int": "integer",
    "float": "number",
    "str": "text",
    "bool": "true or false",
    "Path": "path",
    "NoneType": "null",
}
_LIMITS = {
    annotated_types.Ge: ("at least", "ge"),
    annotated_types.Gt: ("above", "gt"),
    annotated_types.Le: ("at most", "le"),
    annotated_types.Lt: ("below", "lt"),
    annotated_types.MinLen: ("at least {} of them", "min_length"),
}


@dataclass(frozen=True)
class Row:
    """A value of a configuration, as a table shows it."""

    name: str
    kind: str
    default: str
    what: str

    def line(self) -> str:
        """As a row of a Markdown table."""
        cells = (f"`{self.name}`", self.kind, self.default, self.what)
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def configuration_markdown() -> str:
    """All configurations and presets, for docs/reference/configuration.md."""
    shared = _shared()
    parts: list[str] = []
    for kind in _TRAINED:
        system = kind.model_fields["system"].default
        parts += [f"## {system}", f"{_first(kind)} `relumen train {system} --set name=value`"]
        parts += [_table(_rows(kind, "", shared))]
        parts += [f"### Presets of {system}", *_presets("relumen.training.presets", f"{system}-")]
    for name, (title, use, kind) in _OTHERS.items():
        parts += [f"## {title}", f"{_first(kind)} {use}.", _table(_rows(kind, "", shared))]
        if name == "search":
            parts += ["### Methods", *_presets("relumen.search.presets", "")]
    parts += ["## What several systems share"]
    for kind, name in shared.items():
        parts += [f"### {_title(kind)}", _first(kind), _table(_rows(kind, f"{name}.", shared))]
    return "\n\n".join(parts) + "\n"


def _shared() -> dict[type, str]:
    """Groups of values that several systems have, with the name under which they stand there."""
    found: Counter[type] = Counter()
    names: dict[type, str] = {}
    for kind in _TRAINED:
        inside = dict(_groups(kind))
        found.update(inside.keys())
        names |= inside
    return {kind: name for kind, name in names.items() if found[kind] > 1}


def _groups(kind: type) -> Iterator[tuple[type, str]]:
    for name, field in _fields(kind).items():
        for group in _groups_of(field.annotation):
            yield group, name
            yield from _groups(group)


def _fields(kind: type) -> dict[str, FieldInfo]:
    """The values of a pydantic model, or of a dataclass whose docstring describes them."""
    if issubclass(kind, BaseModel):
        return kind.model_fields
    hints = typing.get_type_hints(kind)
    told = dict(re.findall(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", kind.__doc__ or "", re.MULTILINE))
    return {
        field.name: FieldInfo(annotation=hints[field.name], default=field.default, description=told[field.name])
        for field in dataclasses.fields(kind)
    }


def _groups_of(annotation: Any) -> list[type]:  # noqa: ANN401
    """The groups of values that a type names, as itself or as one of several."""
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        return [annotation]
    if get_origin(annotation) in (typing.Union, types.UnionType, Annotated):
        return [group for part in get_args(annotation) for group in _groups_of(part)]
    return []


def _rows(kind: type, prefix: str, shared: dict[type, str]) -> Iterator[Row]:
    for name, field in _fields(kind).items():
        groups = _groups_of(field.annotation)
        told = " ".join((field.description or "").split())
        if not groups:
            yield Row(f"{prefix}{name}", _words(field.annotation, field.metadata), _default(field), told)
            continue
        see = [f"[{_title(group).lower()}](#{_anchor(group)})" for group in groups if group in shared]
        optional = type(None) in get_args(field.annotation)
        said = told or " ".join(_first(group) for group in groups)
        yield Row(
            f"{prefix}{name}",
            " or ".join(["null"] * optional + (see or ["the values below"])),
            _default(field) if optional or field.is_required() else "",
            said,
        )
        for group in groups:
            if group not in shared:
                yield from _rows(group, f"{prefix}{name}.", shared)


def _words(annotation: Any, limits: list[Any]) -> str:  # noqa: ANN401
    """A type in words, with its limits."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        limits = [each for one in more for each in (one.metadata if isinstance(one, FieldInfo) else [one])]
        return _words(inner, limits)
    bounds = [
        text.format(getattr(limit, name)) if "{}" in text else f"{text} {getattr(limit, name):g}"
        for limit in limits
        for text, name in [_LIMITS.get(type(limit), ("", ""))]
        if text
    ]
    return ", ".join([_plain(annotation), *bounds])


def _plain(annotation: Any) -> str:  # noqa: ANN401
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inside)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words(part, []) for part in inside)
    if origin is tuple:
        return "list of " + " and ".join(dict.fromkeys(_words(part, []) for part in inside if part is not ...))
    if origin is dict:
        return f"{_words(inside[1], [])} by name"
    name = getattr(annotation, "__name__", str(annotation))
    return _WORDS.get(name, name)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined:
        return "by the machine"
    plain = yaml.safe_dump(to_jsonable_python(field.default), default_flow_style=True)
    return "`" + plain.removesuffix("...\n").strip() + "`"


def _table(rows: Iterator[Row]) -> str:
    return "\n".join(["| name | values | default | what |", "|---|---|---|---|", *(row.line() for row in rows)])


def _presets(package: str, prefix: str) -> Iterator[str]:
    for file in sorted(files(package).iterdir(), key=lambda file: file.name):
        if file.name.startswith(prefix) and file.name.endswith(".yaml"):
            name = file.name.removeprefix(prefix).removesuffix(".yaml")
            yield f":::{{dropdown}} {name}\n```yaml\n{file.read_text(encoding='utf-8').strip()}\n```\n:::"


def _first(kind: type) -> str:
    """The first sentence of a class' docstring."""
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())


def _title(kind: type) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__.removesuffix("Config")).lower()
    return words.capitalize()


def _anchor(kind: type) -> str:
    return _title(kind).lower().replace(" ", "-")
