"""Links of the guide's Markdown, which are written for a code host: relative paths, also to files outside docs/.

In the site a link to a shipped network's card leads to its page here, one to another file outside docs/ to the
repository, and pictures stay the files that they are.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]

_LINK = re.compile(r"(?<=\]\()(?!\w+:|[#/])([^)\s#]+)(#[^)\s]*)?(?=\))")
_CARD = re.compile(r"shipped/([\w-]+)/README\.md")
_SHOWN = {".png", ".jpg"}


def site_links(text: str, place: str, page: str, repository: str) -> str:
    """Markdown whose links lead to where the site has what they name.

    Args:
        text: Markdown.
        place: the file that it was written for, such as ``shipped/prior-cells/README.md``.
        page: the page that shows it, such as ``docs/models/prior-cells.md``.
        repository: address of the code, where links to other files lead.
    """

    def moved(link: re.Match[str]) -> str:
        target, anchor = link[1], link[2] or ""
        path = PurePosixPath(os.path.normpath(PurePosixPath(place).parent / target))
        if not (ROOT / path).exists():
            return link[0]  # Sphinx says what is wrong with it
        if card := _CARD.fullmatch(str(path)):
            path = PurePosixPath(f"docs/models/{card[1]}.md")
        elif path.parts[0] != "docs" and path.suffix not in _SHOWN:
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            return f"{repository}/{kind}/main/{path}{anchor}"
        return os.path.relpath(path, PurePosixPath(page).parent) + anchor

    return _LINK.sub(moved, text)
