"""Damages TIFFs: tags, lists of pages, and what they tell of the image."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from damage import NUMBERS, TEXTS, any_bytes

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
