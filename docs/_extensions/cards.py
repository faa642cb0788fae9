"""The bundled networks: a catalogue, and a page for each card, from their own files."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from links import ROOT, site_links

from relumen.catalogue import Entry, catalogue

_USES = {
    "restore": "Packages: restore images, here and in Fiji",
    "search": "Priors: search for high-resolution images that fit",
    "train": "Feature networks: perceptual losses and distances",
}


def card_pages(repository: str) -> dict[str, str]:
    """The pages of all cards: Markdown by the page's path in the repository."""
    pages = {}
    for entry in catalogue():
        place, page = f"shipped/{entry.name}/README.md", f"docs/models/{entry.name}.md"
        title, rest = site_links(entry.card, place, page, repository).split("\n", 1)
        picture = _picture(entry, page)
        cover = f"\n![{entry.summary}]({picture})\n" if picture and entry.use == "restore" else ""
        pages[page] = f"{title}\n{cover}{rest}"
    return pages


def write_cards(repository: str) -> None:
    """Writes the pages of all cards; what has not changed is left alone, so that Sphinx need not read it again."""
    for page, text in card_pages(repository).items():
        file = ROOT / page
        file.parent.mkdir(exist_ok=True)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def catalogue_markdown() -> str:
    """The catalogue, for docs/models.md: what each is for, by use."""
    entries = catalogue()
    lines = []
    for use, title in _USES.items():
        lines += [f"## {title}", "", "::::{grid} 1 1 2 2", ":gutter: 3", ""]
        for entry in entries:
            if entry.use == use:
                lines += [*_tile(entry), ""]
        lines += ["::::", ""]
    return "\n".join([*lines, "```{toctree}", ":hidden:", ":glob:", "models/*", "```", ""])


def _tile(entry: Entry) -> list[str]:
    picture = _picture(entry, "docs/models.md")
    facts = {
        "magnifies": f"{entry.scale}x" if entry.scale and entry.scale > 1 else "",
        "channels": entry.channels,
        "input pixels": f"{entry.pixel_size_um:g} µm" if entry.pixel_size_um else "",
        "files": f"{entry.bytes / 1e6:.1f} MB",
        "licence": entry.licence,
    }
    return [
        f":::{{grid-item-card}} {entry.name}",
        f":link: models/{entry.name}",
        ":link-type: doc",
        *([f":img-top: {picture}", f":img-alt: What {entry.name} makes"] if picture else []),
        "",
        entry.summary,
        "",
        "; ".join(f"{name}: {value}" for name, value in facts.items() if value),
        ":::",
    ]


def _picture(entry: Entry, page: str) -> str | None:
    if entry.picture is None:
        return None
    place = PurePosixPath("shipped", entry.name, Path(entry.picture).name)
    return os.path.relpath(place, PurePosixPath(page).parent)
