"""relumen models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relumen.cli.progress import console, say

if TYPE_CHECKING:
    from rich.table import Table

    from relumen.catalogue import Entry

_LEGIBLE = 28
"""Characters of a sentence in a line, also on a terminal of 80."""


def models(
    name: Annotated[str | None, typer.Argument(help="Show the card of this one.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Copy it there, a new folder or a .zip, to hand on or for Fiji's models/."),
    ] = None,
) -> None:
    """Lists the trained networks that come with relumen; shows the card of one, or copies it.

    Example: relumen models esrgan-widefield -o esrgan-widefield.zip
    """
    from relumen.catalogue import catalogue, copy_entry, entry
    from relumen.errors import UserError

    if name is None:
        if output is not None:
            raise UserError("Say which model goes to -o, such as esrgan-widefield: `relumen models` lists them.")
        entries = catalogue()
        console.print(_table(entries))
        say(f"{len(entries)} networks, {sum(each.bytes for each in entries) / 1e6:.0f} MB. Cards: relumen models NAME")
        return
    found = entry(name)
    if output is None:
        from rich.markdown import Markdown

        console.print(Markdown(found.card))
        say(f"Files: {found.folder}")
        return
    copy_entry(found, output)
    say(f"Written: {output}")


def _table(entries: list[Entry]) -> Table:
    from rich.table import Table

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("Name", no_wrap=True)
    table.add_column("Command", no_wrap=True)
    table.add_column("What it does", overflow="fold", min_width=_LEGIBLE)
    for heading in ("Larger", "Pixel,\num"):
        table.add_column(heading, no_wrap=True, justify="right")
    for each in entries:
        scale = f"{each.scale}x" if each.scale else ""
        pixel_size = f"{each.pixel_size_um:.3g}" if each.pixel_size_um else ""
        table.add_row(each.name, each.use, each.summary, scale, pixel_size)
    return table
