"""The trained networks that come with relumen, each a folder that its own README.md describes.

A folder's name begins with the system that trained it; it was made by relumen's own commands, which its card names.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from relumen.errors import UserError

_FOLDER = Path(str(files("relumen.shipped")))
_CARD = "README.md"


def shipped_names() -> list[str]:
    """The names of all that is shipped."""
    return sorted(card.parent.name for card in _FOLDER.glob(f"*/{_CARD}"))


def shipped_packages() -> list[str]:
    """The names of those that are bioimage.io packages: they restore images, here and in Fiji."""
    return sorted(rdf.parent.name for rdf in _FOLDER.glob("*/rdf.yaml"))


def shipped_path(name: str) -> Path:
    """The folder of a shipped network.

    Raises:
        UserError: none of that name is shipped.
    """
    if name not in shipped_names():
        raise UserError(f"Nothing named {name!r} comes with relumen. There are: {', '.join(shipped_names())}")
    return _FOLDER / name
