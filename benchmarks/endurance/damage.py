"""Damages files, with and without knowledge of their format: each function takes random numbers and a file's bytes."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

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


# TIFF

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TAGS = (254, 256, 257, 258, 259, 262, 270, 273, 277, 278, 279, 282, 284, 296, 305, 317, 320, 322, 323, 324, 325, 330,
         338, 339, 347, 50838, 50839, 33628, 34412, 65421, 0, 65535)  # fmt: skip
_COMPRESSIONS = (0, 1, 2, 5, 6, 7, 8, 32773, 32946, 34676, 34712, 34887, 34892, 34925, 34933, 50000, 50001, 50002)
_OME = '<?xml version="1.0"?>{doctype}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{image}</OME>'
_PIXELS = (
    '<Image ID="Image:0"><Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeX="{x}" SizeY="{x}" SizeC="{n}" SizeZ="{n}" '
    'SizeT="1" Type="{kind}" PhysicalSizeX="{size}" PhysicalSizeY="{size}">{data}</Pixels></Image>'
)
_LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha"}">' for i in range(10))


def tiff(draw: random.Random, data: bytes) -> bytes:
    """A TIFF whose tags, page list or descriptions are wrong."""
    entries = list(_entries(data))
    if not entries or draw.random() < 0.25:
        return any_bytes(draw, data)
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3))):
        kind = draw.randrange(8)
        if kind == 0:
            _another_list(draw, changed)
        elif kind == 1:
            changed = _described(draw, changed, entries)
        else:
            _another_tag(draw, changed, draw.choice(entries))
    return any_bytes(draw, bytes(changed)) if draw.random() < 0.1 else bytes(changed)


def _entries(data: bytes) -> Iterator[tuple[int, str, bool]]:
    """Offset of each entry of all pages, the order of bytes, and whether it is a BigTIFF's."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        return
    (version,) = struct.unpack_from(f"{order}H", data, 2)
    big = version == 43
    (at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
    seen = set()
    while at and at + 8 < len(data) and at not in seen:
        seen.add(at)
        (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)
        size, begin = (20, at + 8) if big else (12, at + 2)
        end = begin + count * size
        if count > 1000 or end + 8 > len(data):
            return
        yield from ((begin + i * size, order, big) for i in range(count))
        (at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, end)


def _another_tag(draw: random.Random, data: bytearray, entry: tuple[int, str, bool]) -> None:
    at, order, big = entry
    count, value = ("Q", "Q") if big else ("I", "I")
    mask = (1 << (64 if big else 32)) - 1
    (tag,) = struct.unpack_from(f"{order}H", data, at)
    part = draw.randrange(6)
    if part == 0:
        struct.pack_into(f"{order}H", data, at, draw.choice(_TAGS))
    elif part == 1:
        struct.pack_into(f"{order}H", data, at + 2, draw.choice([*_SIZES, 0, 14, 99, 65535]))
    elif part == 2:
        struct.pack_into(f"{order}{count}", data, at + 4, draw.choice(NUMBERS) & mask)
    else:
        number = draw.choice(_COMPRESSIONS) if tag == 259 else draw.choice((*NUMBERS, draw.randrange(70_000)))
        struct.pack_into(f"{order}{value}", data, at + (12 if big else 8), number & mask)


def _another_list(draw: random.Random, data: bytearray) -> None:
    """The first page list's place, or all pointers to the next one: into itself, backwards, or beyond the end."""
    entries = list(_entries(bytes(data)))
    if not entries:
        return  # another change has hidden them
    at, order, big = entries[-1]
    form, mask = (f"{order}Q", (1 << 64) - 1) if big else (f"{order}I", (1 << 32) - 1)
    places = [8 if big else 4, at + (20 if big else 12)]
    (first,) = struct.unpack_from(form, data, places[0])
    struct.pack_into(
        form, data, draw.choice(places), draw.choice((first, first, *NUMBERS, draw.randrange(len(data)))) & mask
    )


def _described(draw: random.Random, data: bytearray, entries: list[tuple[int, str, bool]]) -> bytearray:
    """Another description of the image, at the file's end: OME-XML, ImageJ's lines, or tifffile's JSON."""
    found = [entry for entry in entries if struct.unpack_from(f"{entry[1]}H", data, entry[0])[0] == 270]
    at, order, big = draw.choice(found or entries)
    text = draw.choice((_ome, _imagej, _json))(draw).encode("utf-8", "surrogatepass")[: 1 << 20] + b"\0"
    start = len(data) + len(data) % 2
    data = data + bytes(len(data) % 2) + text
    struct.pack_into(f"{order}HH{'QQ' if big else 'II'}", data, at, 270, 2, len(text), start)
    return data


def _ome(draw: random.Random) -> str:
    number = draw.choice(("1", "0", "-1", "999999999", "1e9", "", "99999999999999999999", "NaN"))
    data = draw.choice(
        (
            "",
            "<TiffData/>",
            '<TiffData IFD="0" FirstC="5"><UUID FileName="../outside/secret.tif">urn:uuid:0</UUID></TiffData>',
            '<TiffData IFD="4294967295" PlaneCount="999999999"/>',
            f'<Channel ID="Channel:0:0" SamplesPerPixel="{number}"/><TiffData/>',
            '<BinData Length="999999999">AAAA</BinData>',
        )
    )
    image = _PIXELS.format(
        x=draw.choice(("8", number)), n=draw.choice(("1", "2", number)),
        kind=draw.choice(("uint8", "bit", "complex", "?")), data=data,
        size=draw.choice(("0.1", "0", "-1", "nan", "1e400", "x")),
    )  # fmt: skip
    doctype = draw.choice(
        (
            "",
            "",
            f"<!DOCTYPE OME [{_LAUGHS}]>",
            '<!DOCTYPE OME [<!ENTITY x SYSTEM "../outside/secret.txt">]>',
        )
    )
    if doctype:
        image += "<StructuredAnnotations>&l9;&x;</StructuredAnnotations>"
    if draw.random() < 0.1:
        image = "<Image>" * 20_000
    return _OME.format(doctype=doctype, image=image * draw.choice((1, 1, 2)))


def _imagej(draw: random.Random) -> str:
    names = (
        "images",
        "channels",
        "slices",
        "frames",
        "spacing",
        "unit",
        "min",
        "max",
        "hyperstack",
        "mode",
        "loop",
        "ROI",
    )
    lines = [
        f"{name}={draw.choice((*map(str, NUMBERS), *TEXTS, '-1', '0.5', 'true'))}" for name in draw.sample(names, 5)
    ]
    return "\n".join(["ImageJ=1.54f", *lines, ""])


def _json(draw: random.Random) -> str:
    shapes = ("[8, 8]", "[]", "[-1, 8]", "[1e9]", "[99999999, 99999999]", '["a"]', "null", "[" * 5000, "{}", "[[8]]")
    return f'{{"shape": {draw.choice(shapes)}, "axes": "{draw.choice(("YX", "", "QQQQ", "YXYX"))}"}}'


# PNG


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


# NumPy


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


# Zip

NAMES = (
    *("../" * depth + "outside/written" for depth in range(1, 6)), "../" * 40 + "tmp/relumen-hostile-written",
    "a/../../outside/written", "..\\outside\\written", "/tmp/relumen-hostile-written", "C:\\written",
    "\\\\server\\share\\written", "a\0b", "n" * 300, "/".join("d" * 200), "./rdf.yaml", "rdf.yaml/", "RDF.YAML",
    "", "/", "CON", "a:b", "\u202ename", "saved_model.pb/x", "e\u0301", "\xe9", "a\nb",
)  # fmt: skip


def zipped(draw: random.Random, data: bytes) -> bytes:
    """A zip with other members, or whose directory tells other things than its members."""
    way = draw.random()
    if way < 0.2:
        return any_bytes(draw, data)
    if way < 0.55:
        return _other_directory(draw, data)
    members = read_members(data)
    for _ in range(draw.choice((1, 1, 2))):
        _other_members(draw, members)
    method = draw.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    return write_members(members, method)


def read_members(data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    """All members of a whole zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(zipfile.ZipInfo(each.filename), archive.read(each)) for each in archive.infolist()]


def write_members(members: list[tuple[zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of them, whatever their names."""
    import warnings

    answer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(answer, "w", method) as archive:
        warnings.simplefilter("ignore")
        for info, content in members:
            archive.writestr(info, content, method)
    return answer.getvalue()


def _named(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("a")
    info.filename, info.external_attr = name, mode << 16
    return info


def _other_members(draw: random.Random, members: list[tuple[zipfile.ZipInfo, bytes]]) -> None:
    at, way = draw.randrange(len(members)), draw.randrange(8)
    if way == 0:
        members.append((_named(draw.choice(NAMES)), b"hostile"))
    elif way == 1:
        mode = draw.choice((0o120777, 0o020666, 0o010666, 0o140666))
        members.append((_named(draw.choice(("link", members[at][0].filename)), mode), b"../outside"))
        members.append((_named("link/written"), b"hostile"))
    elif way == 2:
        members.append((_named(members[at][0].filename), b"hostile"))
    elif way == 3:
        members[at] = (members[at][0], bytes(draw.choice((1 << 20, 1 << 27))))
    elif way == 4:
        members[at] = (members[at][0], any_bytes(draw, members[at][1]))
    elif way == 5:
        inside = write_members([(_named("zeros"), bytes(1 << 24))])
        for _ in range(draw.choice((1, 5))):
            inside = write_members([(_named(f"{i}.zip"), inside) for i in range(3)])
        members.append((_named("nested.zip"), inside))
    elif way == 6:
        members += [(_named(f"many/{i}"), b"") for i in range(draw.choice((50, 11_000)))]
    else:
        members.pop(at)
        members.append((_named(draw.choice(NAMES)), b"hostile"))


def _other_directory(draw: random.Random, data: bytes) -> bytes:
    """Other numbers in the headers of members, in the directory, or in its end."""
    changed = bytearray(data)
    marks = (b"PK\3\4", b"PK\1\2", b"PK\1\2", b"PK\5\6")
    fields = {b"PK\3\4": 26, b"PK\1\2": 42, b"PK\5\6": 18}
    for _ in range(draw.choice((1, 2, 4))):
        mark = draw.choice(marks)
        places = (
            [i for i in range(len(data) - 4) if data.startswith(mark, i)] if len(data) < 300_000 else [data.find(mark)]
        )
        if not places or places[0] < 0:
            continue
        at = draw.choice(places) + draw.randrange(4, 4 + fields[mark], 2)
        size = draw.choice((2, 4))
        changed[at : at + size] = (draw.choice(NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return bytes(changed)


# Values, as YAML and JSON have them


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
