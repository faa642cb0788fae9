"""What comes with relumen: each shipped network in words and numbers, from its own files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from relumen.archive import pack
from relumen.errors import UserError
from relumen.package import read_package
from relumen.rdf import RDF_NAME
from relumen.run import RunFolder
from relumen.shipped import shipped_names, shipped_path
from relumen.whole import copy_whole, files_in

Use = Literal["restore", "search", "train"]
_PICTURES = ("cover.png", "samples.png")


@dataclass(frozen=True)
class Entry:
    """A shipped network.

    Attributes:
        name: by which every command takes it.
        use: "restore": a package for `relumen restore`, the server and Fiji; "search": a prior of `relumen search`;
            "train": a feature network of losses and metrics.
        summary: what it does, in a sentence.
        channels: what each channel of its images shows, where that is known, or how many there are.
        scale: magnification of a package; None where the user chooses it, or there is none.
        pixel_size_um: of the images that it takes, micrometres; None: unknown, or drawn images.
        licence: SPDX name.
        bytes: of all its files together.
        folder: where they are.
        picture: its cover, or samples of what it makes; None: it has none.
    """

    name: str
    use: Use
    summary: str
    channels: str
    scale: int | None
    pixel_size_um: float | None
    licence: str
    bytes: int
    folder: Path
    picture: Path | None

    @property
    def card_file(self) -> Path:
        """Markdown: data, command, duration, machine, figures, and what it is not good for."""
        return self.folder / "README.md"

    @property
    def card(self) -> str:
        """The text of the card."""
        return self.card_file.read_text(encoding="utf-8")

    @property
    def files(self) -> dict[str, int]:
        """Bytes of each file by its path inside the folder, in order."""
        return _sizes(self.folder)


def catalogue() -> list[Entry]:
    """All that is shipped, by name; no network is loaded."""
    return [entry(name) for name in shipped_names()]


def entry(name: str) -> Entry:
    """One of them.

    Raises:
        UserError: none of that name is shipped.
    """
    folder = shipped_path(name)
    return _package(name, folder) if (folder / RDF_NAME).is_file() else _run(name, folder)


def copy_entry(found: Entry, target: Path) -> None:
    """Copies one, to hand it on, or into Fiji's models/ folder.

    Args:
        found: which.
        target: a folder to make, or a .zip; what is there stays.

    Raises:
        UserError: there is something already, or the target can't be written to.
        CheckFailedError: the disk is full.
    """
    if target.exists() or target.is_symlink():
        raise UserError(f"There is something at {target} already. Choose another name.")
    if target.suffix.lower() == ".zip":
        pack(found.folder, found.files, target)
    else:
        copy_whole(found.folder, found.files, target)


def _package(name: str, folder: Path) -> Entry:
    package = read_package(folder)
    return Entry(
        name=name,
        use="restore",
        summary=str(package.rdf["description"]),
        channels=str(package.input_channels) if package.input_channels > 1 else "each by itself",
        scale=package.scale,
        pixel_size_um=package.training_pixel_size,
        licence=str(package.rdf["license"]),
        bytes=sum(_sizes(folder).values()),
        folder=folder,
        picture=_picture(folder),
    )


def _run(name: str, folder: Path) -> Entry:
    about = RunFolder(folder).about()
    card = (folder / "README.md").read_text(encoding="utf-8")
    _, summary, *_ = card.split("\n\n")
    summary, *_ = " ".join(summary.split()).split(". ")
    licence = re.search(r"^## Licence\n\n([^\s,]+)", card, re.MULTILINE)
    return Entry(
        name=name,
        use="search" if about.system == "prior" else "train",
        summary=f"{summary.rstrip('.')}.",
        channels=", ".join(about.stains) or "each by itself",
        scale=None,
        pixel_size_um=about.pixel_size_um,
        licence=licence[1] if licence else "",
        bytes=sum(_sizes(folder).values()),
        folder=folder,
        picture=_picture(folder),
    )


def _sizes(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in files_in(folder)}


def _picture(folder: Path) -> Path | None:
    return next((folder / name for name in _PICTURES if (folder / name).is_file()), None)
