"""What ``torch.save`` writes, read without PyTorch: a zip (since PyTorch 1.6), and several pickles in a row before."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.prior.arrays import MAKERS, NAMES, new_storage
from relumen.prior.pickles import RefusedError, load, told

_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older layout
_OLD_START = b"\x80\x02\x8a\x0a" + _MAGIC.to_bytes(10, "little")
_ZIP_START = b"PK\x03\x04"


def is_saved(data: bytes) -> bool:
    """Whether bytes begin as a file of ``torch.save`` does."""
    return data.startswith((_OLD_START, _ZIP_START))


def read_saved(data: bytes) -> Any:  # noqa: ANN401  what it holds is for the caller to check
    """The object in the bytes of a file of ``torch.save``; its tensors and storages become arrays.

    Raises:
        RefusedError: damaged, or not what it claims to be.
    """
    return _read_zip(data) if data.startswith(_ZIP_START) else _read_pickles(data)


def _read_pickles(data: bytes) -> Any:  # noqa: ANN401  see read_saved
    """Magic number, version, system, object, keys of the storages; then each storage's length and numbers."""
    stream = io.BytesIO(data)
    storages: dict[str, NDArray[Any]] = {}
    room = len(data)

    def stored(kind: Any, key: str, count: Any) -> NDArray[Any]:  # noqa: ANN401  checked by new_storage
        nonlocal room
        if key not in storages:
            storages[key] = new_storage(kind, count, room)
            room -= storages[key].nbytes
        return storages[key]

    magic, version, system = (load(stream, {}) for _ in range(3))
    if magic != _MAGIC or version != 1001 or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise RefusedError("it is a file of torch.save of an unknown version, or of a big-endian machine")
    value = load(stream, MAKERS, NAMES, _persistent(stored))
    keys = load(stream, {})
    # Of texts only: to compare or show a nested value would overflow Python's own stack.
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(storages):
        raise RefusedError("the tensors that it names are not those that it holds")
    for key in keys:
        storage = storages[key]
        count, numbers = stream.read(8), stream.read(storage.nbytes)
        if int.from_bytes(count, "little") != storage.size or len(numbers) != storage.nbytes:
            raise RefusedError("it is cut short, or its tensors' lengths do not agree")
        storage[:] = np.frombuffer(numbers, storage.dtype)
    return value


def _read_zip(data: bytes) -> Any:  # noqa: ANN401  see read_saved
    """``NAME/data.pkl`` is the object, ``NAME/data/KEY`` a storage. Nothing is unpacked to the disk."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            folder = _checked(archive.infolist(), len(data))
            storages: dict[str, NDArray[Any]] = {}

            def stored(kind: Any, key: str, count: Any) -> NDArray[Any]:  # noqa: ANN401  checked by new_storage
                if key not in storages:
                    numbers = archive.read(f"{folder}/data/{key}")
                    storages[key] = new_storage(kind, count, len(numbers))
                    if storages[key].nbytes != len(numbers):
                        raise RefusedError("its tensors' lengths do not agree with their bytes")
                    storages[key][:] = np.frombuffer(numbers, storages[key].dtype)
                return storages[key]

            order = f"{folder}/byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise RefusedError("it was written on a big-endian machine")
            return load(io.BytesIO(archive.read(f"{folder}/data.pkl")), MAKERS, NAMES, _persistent(stored))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise RefusedError(f"it is not a zip that can be read ({told(str(error))})") from error


def _checked(members: list[zipfile.ZipInfo], size: int) -> str:
    """The one folder of the zip; refuses what torch.save doesn't write, before any member is read."""
    names = [member.filename for member in members]
    for member in members:
        parts = member.orig_filename.split("/")
        if member.orig_filename != member.filename or "\\" in member.filename or {"", ".", ".."} & set(parts):
            raise RefusedError(f"its member {told(member.orig_filename)} leads out of the zip")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise RefusedError(f"its member {told(member.filename)} is compressed, which torch.save's are not")
    if sum(member.file_size for member in members) > size or len(set(names)) != len(names):
        raise RefusedError("its members claim more bytes than it has, or have one name twice")
    folders = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(folders) != 1:
        raise RefusedError("it is a zip, but none of torch.save: there is no data.pkl in its folder")
    return folders[0]


def _persistent(stored: Callable[[Any, str, Any], NDArray[Any]]) -> Callable[[Any], NDArray[Any]]:
    """What a persistent id stands for: ("storage", kind, key, device, count), and in old files a part of it."""

    def value(identity: Any) -> NDArray[Any]:  # noqa: ANN401  of any kind at first
        tag, kind, key, _device, count, *part = identity
        if tag != "storage" or not isinstance(key, str) or any(each is not None for each in part):
            raise RefusedError("it refers to something else than a tensor's numbers")
        return stored(kind, key, count)

    return value
