"""Changes values as YAML and JSON have them, and writes them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import yaml
from damage import TEXTS, any_bytes
from payloads import yaml_bytes


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401  plain values
    """The place of each value inside a tree of maps and lists, the maps and lists too."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield (*place, key)
        yield from leaves(part, (*place, key))


def values(draw: random.Random, tree: Any) -> Any:  # noqa: ANN401  plain values
    """A tree with one to four other values."""
    import copy

    tree = copy.deepcopy(tree)
    for _ in range(draw.choice((1, 1, 2, 4))):
        places = list(leaves(tree))
        if not places:
            return tree
        *way, last = draw.choice(places)
        parent = tree
        for key in way:
            parent = parent[key]
        kind = draw.randrange(6)
        if kind == 0:
            del parent[last]
        elif kind == 1 and isinstance(parent, dict):
            parent[draw.choice((*TEXTS, 1, None, True, -1.5))] = parent[last]
        elif kind == 2:
            other, node = draw.choice(places), tree
            for key in other:
                node = node[key] if not isinstance(node, str | int | float | None) and key in _keys(node) else node
            parent[last] = copy.deepcopy(node)
        else:
            parent[last] = any_value(draw)
    return tree


def _keys(node: Any) -> Any:  # noqa: ANN401  plain values
    return node if isinstance(node, dict) else range(len(node))


def any_value(draw: random.Random) -> Any:  # noqa: ANN401  plain values
    """A value that a program may not expect."""
    deep: Any = "deep"
    for _ in range(draw.choice((3, 60, 300))):
        deep = [deep] if draw.random() < 0.5 else {"a": deep}
    plain = (
        None,
        True,
        -1,
        0,
        1e308,
        -0.0,
        float("nan"),
        float("inf"),
        10**30,
        1 << 62,
        65_536,
        [],
        {},
        [1, [2]],
        {"a": 1},
    )
    return draw.choice((*plain, *TEXTS, deep, ["x"] * 3000, 10**400))


def changed_yaml(draw: random.Random, tree: dict[str, Any]) -> bytes:
    """YAML of other values, with other texts in it, or damaged."""
    text = yaml.safe_dump(tree)
    way = draw.random()
    if way < 0.5:
        return yaml.safe_dump(values(draw, tree), allow_unicode=True).encode("utf-8", "surrogatepass")
    return yaml_bytes(draw, text) if way < 0.85 else any_bytes(draw, text.encode())


def changed_json(draw: random.Random, tree: Any) -> bytes:  # noqa: ANN401  plain values
    """JSON of other values, damaged, or of none that anyone expects."""
    way = draw.random()
    if way < 0.65:
        return json.dumps(values(draw, tree)).encode("utf-8", "surrogatepass")
    data = json.dumps(tree).encode()
    if way < 0.8:
        return any_bytes(draw, data)
    odd = (
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"1" * 5000,
        b"NaN",
        b"-Infinity",
        b'"\\ud800"',
        b"\xff",
        b"",
        b"null",
        b"{}",
    )
    return draw.choice(
        (*odd, data + data, b"\xef\xbb\xbf" + data, data.replace(b'"', b"'"), data.replace(b"1", b"1e999"))
    )
