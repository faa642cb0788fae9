"""YAML as plain values, whoever wrote it: nothing is run, and nothing grows beyond what was written."""

from __future__ import annotations

from typing import Any

import yaml

_MOST_VALUES = 50_000
_DEEPEST = 50
_LONGEST_NUMBER = 1024  # bits
# PyYAML lets the errors of int(), float(), datetime() and of its own tables through.
_BROKEN = (ValueError, LookupError, AttributeError, ArithmeticError, TypeError, RecursionError)


class _Loader(yaml.SafeLoader):
    """The safe loader without merge keys, which can be made to grow without end."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read", key.start_mark)
        super().flatten_mapping(node)


def plain_values(text: str) -> Any:  # noqa: ANN401  whatever it says
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: it is no YAML, or refers to its own parts until it holds far more than was written.
    """
    try:
        value = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except _BROKEN as error:
        raise yaml.YAMLError(" ".join(str(error).split()) or type(error).__name__) from error
    _check_extent(value)
    return value


def _check_extent(value: Any) -> None:  # noqa: ANN401  whatever was read
    """Refuses what aliases blow up: values are counted as often as they are referred to."""
    left = _MOST_VALUES
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        part, depth = stack.pop()
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise yaml.YAMLError(
                f"it refers to its own parts until it holds over {_MOST_VALUES} values or {_DEEPEST} levels. Write it "
                "without anchors (&) and aliases (*)"
            )
        if isinstance(part, int) and part.bit_length() > _LONGEST_NUMBER:
            raise yaml.YAMLError("it has a number of hundreds of digits")
        if isinstance(part, dict):
            stack.extend((each, depth + 1) for pair in part.items() for each in pair)
        elif isinstance(part, list | tuple | set):
            stack.extend((each, depth + 1) for each in part)
