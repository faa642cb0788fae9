"""Damages PNGs and NumPy's arrays."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator

from damage import NUMBERS, any_bytes


def png(draw: random.Random, data: bytes) -> bytes:
    """A PNG whose chunks are wrong, with checksums that fit."""
    chunks = list(_chunks(data))
    if len(chunks) < 3 or draw.random() < 0.25:
        return any_bytes(draw, data)
    for _ in range(draw.choice((1, 1, 2))):
        at = draw.randrange(len(chunks))
        kind, content = chunks[at]
        way = draw.randrange(8)
        if way == 0:
            chunks[0] = (b"IHDR", _header(draw, chunks[0][1]))
        elif way == 1:
            chunks.insert(at, chunks.pop(draw.randrange(len(chunks))))
        elif way == 2:
            chunks.insert(at, (kind, content))
        elif way == 3:
            chunks.pop(at)
            if not chunks:
                return data[:8]
        elif way == 4:
            chunks[at] = (kind, any_bytes(draw, content))
        elif way == 5:
            chunks.insert(1, _text_bomb(draw))
        elif way == 6:
            chunks = [
                (k, zlib.compress(bytes(draw.choice((0, 1, 1 << 20, 1 << 26))), 9) if k == b"IDAT" else c)
                for k, c in chunks
            ]
        else:
            kinds = (
                b"PLTE",
                b"tRNS",
                b"acTL",
                b"fcTL",
                b"fdAT",
                b"iCCP",
                b"eXIf",
                b"gAMA",
                b"pHYs",
                b"\0\0\0\0",
                b"IEND",
            )
            chunks.insert(at, (draw.choice(kinds), draw.randbytes(draw.choice((0, 1, 8, 26, 768, 5000)))))
    body = b"".join(_chunk(kind, content) for kind, content in chunks)
    return data[:8] + (any_bytes(draw, body) if draw.random() < 0.1 else body)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _header(draw: random.Random, content: bytes) -> bytes:
    sizes = (0, 1, 8, 65_535, 100_000, 0x7FFFFFFF, 0xFFFFFFFF)
    width, height, *rest = struct.unpack(">IIBBBBB", content.ljust(13, b"\0")[:13])
    width, height = draw.choice((width, *sizes)), draw.choice((height, *sizes))
    rest[draw.randrange(5)] = draw.choice((0, 1, 2, 3, 4, 6, 8, 16, 32, 255))
    return struct.pack(">IIBBBBB", width, height, *rest)


def _text_bomb(draw: random.Random) -> tuple[bytes, bytes]:
    bomb = zlib.compress(bytes(draw.choice((100, 1 << 22, 1 << 26))), 9)
    return draw.choice(((b"zTXt", b"a\0\0" + bomb), (b"iTXt", b"a\0\1\0\0\0" + bomb), (b"iCCP", b"a\0\0" + bomb)))


def npy(draw: random.Random, data: bytes) -> bytes:
    """An array file whose header tells other things."""
    if draw.random() < 0.25:
        return any_bytes(draw, data)
    dtypes = (
        "|O",
        "<f8",
        "|u1",
        "<c16",
        "<U999999999",
        "|V2147483647",
        "|S0",
        "<M8[s]",
        ">f16",
        "x",
        "",
        "\0",
        "<f4,<f4",
        "3<f4",
    )
    shapes = (
        "(8, 8)", "()", "(0, 3)", "(-1, 8)", "(8, -8)", "(1000000, 1000000)", "(9223372036854775807,)", "(1.5, 2)",
        "8", "(1,) * 99", "(" + "1, " * 40 + ")", "None", "('a',)", "(8, 8, 99999999999999999999999999)", "(True, 8)",
        "[8, 8]", "(" * 3000 + ")" * 3000,
    )  # fmt: skip
    descr = draw.choice(
        (
            *map(repr, dtypes),
            "[('a', '<f4'), ('b', '|O')]",
            "[('a', '<f4', (1000000, 1000000))]",
            "__import__('os').system('touch ../outside/written')",
            "None",
            "[" * 2000 + "]" * 2000,
            "{'names': ['a'], 'formats': ['<f4'], 'offsets': [-4], 'itemsize': 1}",
            "b'<f4'",
        )
    )
    order = draw.choice(("False", "True", "None", "1"))
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {draw.choice(shapes)}, }}"
    if draw.random() < 0.2:
        header = draw.choice(
            ("", "{}", "None", "{'descr': '<f4'}", header * 2, "1" * 60_000, header[: draw.randrange(len(header))])
        )
    text = header.encode("latin1") + b"\n"
    version = draw.choice((1, 1, 2, 3, 9))
    length = draw.choice((len(text), len(text), len(text), draw.choice(NUMBERS)))
    form, mask = ("<H", 0xFFFF) if version == 1 else ("<I", 0xFFFFFFFF)
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack(form, length & mask) + text + data[128:]
