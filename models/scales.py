"""Magnifications by powers of two."""

from __future__ import annotations


def doublings(factor: int) -> int | None:
    """How often an image is doubled to become ``factor`` times as large; None where that is no power of two.

    >>> doublings(8), doublings(1), doublings(6), doublings(0)
    (3, 0, None, None)
    """
    return factor.bit_length() - 1 if factor > 0 and factor.bit_count() == 1 else None
