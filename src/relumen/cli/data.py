"""relumen data: images to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import say

app = typer.Typer(no_args_is_help=True)


@app.command()
def copy(
    output: Annotated[Path, typer.Argument(help="The data folder to make.")],
    hold_out: Annotated[
        list[str] | None,
        typer.Option(help="A field kept for validation/, such as kc167/POS218, or ht29 for all of its fields."),
    ] = None,
) -> None:
    """Lays the images that come with relumen out as a data folder, with their sources and licences.

    Example: relumen data copy cells/ --hold-out translocation/A-12
    """
    from relumen.data import copy_images

    copied = copy_images(output, hold_out or [])
    held = sum(place.startswith("validation/") for place in copied)
    say(f"{output}: {len(copied) - held} images to train on, {held} held out; see manifest.json for their licences.")
    say(f"Next: relumen train esrgan --data {output} --degrade")
