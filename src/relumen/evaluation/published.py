"""What a paper published, as published, so that a network can stand beside the row of the same training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One row.

    Attributes:
        name: the setting.
        figures: one for each column of the paper, as printed; empty where none is published.
        where: in the paper.
    """

    name: str
    figures: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class Paper:
    """The published rows of a system, and what may be said of them beside figures of ours.

    Attributes:
        system: as headings call it.
        source: the paper, and where in it.
        data: what the figures are of, to be read after "published on".
        scale: magnification that they are of.
        columns: names of the figures of a row; where our images are the paper's, of their channels too.
        rows: all of them, in the order in which they are shown; the first is what no network did.
        elsewhere: the note where our images are not the paper's.
        here: the note where they are.
        layout: how the layout of a folder begins that holds the paper's images; None where no folder can.
        target: what the paper calls the truth of its images.
        beside: heading of a column in which a row's first figure stands next to ours, although it is of other images.
    """

    system: str
    source: str
    data: str
    scale: int
    columns: tuple[str, ...]
    rows: tuple[Published, ...]
    elsewhere: str
    here: str = ""
    layout: str | None = None
    target: str = "target"
    beside: str | None = None

    def has(self, layout: str) -> bool:
        """Whether a folder of this layout holds the paper's images."""
        return self.layout is not None and layout.startswith(self.layout)
