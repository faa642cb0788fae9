"""What a file may say to hold: a damaged one of some KiB can claim terabytes, and libraries make room for them."""

from __future__ import annotations

FREE_BYTES = 64 << 20
"""What any file may hold: a black test image shrinks a thousandfold."""


def explained_bytes(size: int, ratio: int) -> int:
    """The most bytes that the size of a file explains.

    Args:
        size: of the file, bytes.
        ratio: bytes that are held for each byte of a file of that kind, at most.
    """
    return max(FREE_BYTES, ratio * size)
