"""relumen export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import say


def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Package folder to make. [default: packages/RUN]")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model. [default: from the run]")] = None,
    author: Annotated[list[str] | None, typer.Option(help="Author; give it again for each.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a package that is there.")] = False,
) -> None:
    """Exports a run as a bioimage.io package that DeepImageJ runs in Fiji.

    Example: relumen export runs/nuclei -o packages/nuclei
    """
    from relumen.device import describe_device
    from relumen.export.from_run import export_run

    say(describe_device())
    folder = output or Path("packages") / run.resolve().name
    export_run(run, folder, name=name, authors=author, overwrite=overwrite)
    say(f"Package: {folder}. Next: relumen verify {folder}")
