"""Damages any file without knowledge of its format, and what the modules beside this one damage with it."""

from __future__ import annotations

import random
from collections.abc import Callable

Damage = Callable[[random.Random, bytes], bytes]

NUMBERS = (0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 64) - 1)
"""That programs get wrong: the smallest and the greatest of their kinds."""
TEXTS = (
    "",
    "\0",
    "a\0b",
    "../outside/written",
    "/etc/passwd",
    "..\\..\\written",
    "C:\\written",
    "file:///etc/passwd",
    "http://127.0.0.1:9/x",
    "n" * 5000,
    "\u202e\u0301\U0001f600",
    "%s%n{0.__class__}",
    "-1",
    "1e999",
    "nan",
    "CON",
    "$(touch written)",
)


def any_bytes(draw: random.Random, data: bytes) -> bytes:
    """One to four changes that know nothing of the format."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        data = draw.choice(_PLAIN)(draw, data)
    return data


def _flip(draw: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(min(len(data), draw.choice((1, 1, 3, 20)))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _cut_in_the_head(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(min(len(data), 64) + 1)]


def _left_out(draw: random.Random, data: bytes) -> bytes:
    begin, length = draw.randrange(len(data) + 1), draw.choice((1, 2, 8, 100))
    return data[:begin] + data[begin + length :]


def _twice(draw: random.Random, data: bytes) -> bytes:
    begin, length = draw.randrange(len(data) + 1), draw.choice((1, 8, 100, 5000))
    return data[: begin + length] + data[begin:]


def _number(draw: random.Random, data: bytes) -> bytes:
    size, order = draw.choice((1, 2, 4, 8)), draw.choice(("little", "big"))
    number = draw.choice(NUMBERS) & ((1 << 8 * size) - 1)
    at = draw.randrange(max(1, min(len(data), draw.choice((64, 1024, 1 << 30)))))
    return data[:at] + number.to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]


def _noise(draw: random.Random, data: bytes) -> bytes:
    at, length = draw.randrange(len(data) + 1), draw.choice((4, 32, 400))
    return data[:at] + draw.randbytes(length) + data[at + length :]


def _nothing(draw: random.Random, data: bytes) -> bytes:
    at, length = draw.randrange(len(data) + 1), draw.choice((4, 32, 400))
    return data[:at] + bytes(length) + data[at + length :]


def _longer(draw: random.Random, data: bytes) -> bytes:
    return data + draw.randbytes(draw.choice((1, 100, 3000)))


def _other_order(draw: random.Random, data: bytes) -> bytes:
    a, b = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
    return data[b:] + data[a:b] + data[:a]


def _other_file(draw: random.Random, data: bytes) -> bytes:
    starts = (
        b"",
        b"II*\0",
        b"MM\0*",
        b"\x89PNG\r\n\x1a\n",
        b"\x93NUMPY\1\0",
        b"PK\3\4",
        b"\x89HDF\r\n\x1a\n",
        b"\x80\4",
    )
    return draw.choice(starts) + data[draw.choice((0, 4, 8)) :]


_PLAIN: tuple[Damage, ...] = (
    _flip, _flip, _flip, _cut, _cut, _cut_in_the_head, _left_out, _twice, _number, _number, _noise, _nothing, _longer,
    _other_order, _other_file,
)  # fmt: skip
