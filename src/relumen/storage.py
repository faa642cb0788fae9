"""Trained networks as small files: half precision, compressed, and read by Keras like any other."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from relumen.whole import file_appears_whole

_WEIGHTS = "model.weights.h5"
HALF = 11
"""Significant bits of a half-precision number."""


def store_small(source: Path, target: Path, bits: int = HALF) -> None:
    """Copies a .keras file with its kernels and matrices in half precision, compressed.

    Keras reads it as the network that it was: all is single precision again, the kernels and matrices rounded. Bits
    that they don't keep take next to no room, once compressed. Vectors, such as biases and statistics, take little
    room and stay as they are: rounded, they would shift a flow's densities ten times as much as all matrices. Whether
    the rest can be seen is for who stores it to measure.

    Args:
        source: a .keras file.
        target: to write; it may be the source.
        bits: significant ones that a number keeps, 1 to 11.

    Raises:
        ValueError: a weight is beyond half precision's range, 65504, or bits out of theirs.
    """
    if not 1 <= bits <= HALF:
        raise ValueError(f"bits are 1 to {HALF}. Received: {bits}")
    with zipfile.ZipFile(source) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[_WEIGHTS] = _small(parts[_WEIGHTS], bits)
    with file_appears_whole(target, sum(map(len, parts.values()))) as partly, zipfile.ZipFile(partly, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def _small(weights: bytes, bits: int) -> bytes:
    import h5py

    answer = io.BytesIO()
    with h5py.File(io.BytesIO(weights)) as source, h5py.File(answer, "w") as target:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                made = target.require_group(name)
            else:
                value = item[()]
                if value.dtype == np.float32 and value.ndim > 1:
                    if not np.all(np.abs(value) <= np.finfo(np.float16).max):
                        raise ValueError(f"{name} has weights beyond half precision")
                    if bits < HALF:
                        fraction, exponent = np.frexp(value)  # 1/2 <= |fraction| < 1
                        value = np.ldexp(np.rint(fraction * 2**bits), exponent - bits)
                    value = value.astype(np.float16)
                options = {"compression": "gzip", "shuffle": True} if item.shape else {}
                made = target.create_dataset(name, data=value, **options)
            for key, attribute in item.attrs.items():
                made.attrs[key] = attribute

        source.visititems(copy)
        for key, attribute in source.attrs.items():
            target.attrs[key] = attribute
    return answer.getvalue()
