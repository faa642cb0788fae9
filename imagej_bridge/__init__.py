"""numpy <-> ImageJ, and the sessions in which relumen meets a real ImageJ.

>>> import relumen.imagej_bridge  # doctest: +SKIP
>>> session = relumen.imagej_bridge.open()  # doctest: +SKIP
>>> high = session.super_resolve(low, prior="prior-cells", factor=16)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .fiji import Session, open

__all__ = ["Session", "open"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Loads what a session needs when it is asked for: much that uses this package needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import fiji

    return getattr(fiji, name)
