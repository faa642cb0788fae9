"""Damages zips: their members, and what their directory tells of them."""

from __future__ import annotations

import io
import random
import zipfile

from damage import NUMBERS, any_bytes

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
    if any(len(content) > 1 << 25 for _, content in members):
        method = zipfile.ZIP_DEFLATED  # the others would take half a minute
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


def write(parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these members."""
    return write_members([(zipfile.ZipInfo(name), content) for name, content in parts.items()], method)
