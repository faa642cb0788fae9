"""What a rule about packages is, and the package as a rule sees it: raw values, any of which may be odd."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relumen.errors import UserError
from relumen.rdf import file_in, is_number, is_whole

from .report import Matter, Status


@dataclass(frozen=True)
class Fault:
    """What breaks a rule.

    Attributes:
        message: what is wrong, where, what it means in Fiji or in the zoo, and what to do.
        change: the lines to write into rdf.yaml, where they can be given exactly.
        matters: for what, where it is not that of the whole rule.
    """

    message: str
    change: str | None = None
    matters: Matter | None = None


@dataclass(frozen=True)
class RuleResult:
    """What became of one rule.

    Attributes:
        rule: its name.
        status: "skipped" where it can't be checked, and "advice" where breaking it does no harm.
        message: what holds; or what is wrong, where, and what to do; or why it can't be checked.
        matters: for what.
        change: the lines to write into rdf.yaml, where they can be given exactly.
        fields: of the rdf that it tells of.
    """

    rule: str
    status: Status
    message: str
    matters: Matter = "fiji"
    change: str | None = None
    fields: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing breaks it."""
        return self.status in ("passed", "skipped")


@dataclass(frozen=True)
class Content:
    """A package's folder and its rdf.yaml, read without trust.

    Attributes:
        folder: where the files lie.
        rdf: the fields of rdf.yaml.
    """

    folder: Path
    rdf: dict[str, Any]

    def at(self, *keys: str | int) -> Any:  # noqa: ANN401  an rdf may hold anything anywhere
        """The value at a place of the rdf; None where the way there is broken."""
        return dig(self.rdf, *keys)

    @property
    def tensors(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each input and output that is a map, with its place."""
        for key in ("inputs", "outputs"):
            for index, tensor in enumerate(as_list(self.at(key))):
                if isinstance(tensor, dict):
                    yield f"{key}[{index}]", tensor

    def tensor_id(self, key: str) -> str | None:
        """Id of the first input or output."""
        name = self.at(key, 0, "id")
        return name if isinstance(name, str) else None

    def axis(self, key: str, letter: str) -> dict[str, Any]:
        """An axis of the first input or output by its letter; empty where there is none."""
        for axis in as_list(self.at(key, 0, "axes")):
            if isinstance(axis, dict) and axis_letter(axis) == letter:
                return axis
        return {}

    def axes(self, key: str) -> str:
        """The axes of the first input or output, by one letter each; a question mark for what has none."""
        letters = (axis_letter(axis) if isinstance(axis, dict) else "" for axis in as_list(self.at(key, 0, "axes")))
        return "".join(letter if len(letter) == 1 else "?" for letter in letters)

    @property
    def channels(self) -> int | None:
        """Number of input channels, where told."""
        names = self.axis("inputs", "c").get("channel_names")
        return len(names) if isinstance(names, list) else None

    def fixed_size(self, letter: str) -> int | None:
        """The input's size along an axis, where it is one number."""
        size = self.axis("inputs", letter).get("size")
        return size if is_whole(size) else None

    def magnification(self, letter: str) -> float | None:
        """Output pixels for each input pixel as the specification reckons it, where it can."""
        source = self.axis("inputs", letter).get("scale", 1.0)
        target = self.axis("outputs", letter).get("scale", 1.0)
        if not (is_number(source) and is_number(target)) or min(source, target) <= 0:
            return None
        return source / target

    def find(self, named: object, where: str) -> tuple[Path | None, str]:
        """A file that the rdf names, or None and what is wrong with the name."""
        try:
            return file_in(self.folder, named, where), ""
        except UserError as error:
            return None, str(error)
        except (OSError, ValueError) as error:  # a name that the file system refuses
            return None, f"{where} names a file that cannot be looked for: {error}. Give it a plain name."


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: short, for the table and the JSON report.
        holds: what is so when it is kept.
        faults: finds what breaks it: for each fault a message, or a :class:`Fault` that says more.
        matters: for what: so that Fiji runs it ("fiji"), so that the zoo accepts it ("zoo"), or just "better".
        fields: of the rdf that it tells of, which the zoo's own library need not tell again.
        blocked: why it can't be checked on a package, or None.
    """

    name: str
    holds: str
    faults: Callable[[Content], Iterator[str | Fault]] = field(repr=False)
    matters: Matter = "fiji"
    fields: tuple[str, ...] = ()
    blocked: Callable[[Content], str | None] = field(default=lambda content: None, repr=False)

    def results(self, content: Content) -> list[RuleResult]:
        """One result that says that it holds, or can't be checked, or one for each fault."""
        why = self.blocked(content)
        if why is not None:
            return [RuleResult(self.name, "skipped", why, self.matters)]
        try:
            faults: list[str | Fault] = list(self.faults(content))
        except OSError as error:
            faults = [f"A file of the package cannot be read: {error}. Mend its permissions or unpack it again."]
        return [self._broken(Fault(fault) if isinstance(fault, str) else fault) for fault in faults] or [
            RuleResult(self.name, "passed", self.holds, self.matters)
        ]

    def _broken(self, fault: Fault) -> RuleResult:
        matters = fault.matters or self.matters
        status: Status = "advice" if matters == "better" else "failed"
        return RuleResult(self.name, status, fault.message, matters, fault.change, self.fields)


def older_format(content: Content) -> str | None:
    """Why rules about format 0.5 say nothing of a package of an older one; None for format 0.5."""
    version = content.at("format_version")
    if isinstance(version, str) and re.match(r"0\.[0-4](\.|$)", version):
        return f"This rule reads format 0.5, and the package has {version}. Convert it first."
    return None


def dig(value: object, *keys: str | int) -> Any:  # noqa: ANN401
    """The value inside lists and maps along some keys; None where the way is broken."""
    for key in keys:
        if isinstance(value, dict) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def as_list(value: object) -> list[Any]:
    """A list as it is; anything else as an empty list."""
    return value if isinstance(value, list) else []


def axis_letter(axis: dict[str, Any]) -> str:
    """One letter for an axis, as JDLL abbreviates it."""
    if axis.get("type") in ("batch", "channel"):
        return str(axis["type"])[0]
    return {"batch": "b", "channel": "c"}.get(str(axis.get("id")), str(axis.get("id")))
