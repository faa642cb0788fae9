"""relumen prior: generators that others trained, and pictures of what a generator makes."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import say
from relumen.errors import UserError

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.command("import")
def import_(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="StyleGAN2 or StyleGAN2-ADA .pkl (TensorFlow or PyTorch), or rosinality's .pt."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to make. [default: runs/prior-CHECKPOINT]")
    ] = None,
    stains: Annotated[
        list[str] | None, typer.Option("--stain", help="What a channel shows; give it again for each, in order.")
    ] = None,
) -> None:
    """Makes a prior of a StyleGAN2-ADA checkpoint, which is read without running anything in it.

    Example: relumen prior import network-snapshot-025000.pkl --stain actin --stain tubulin --stain DNA
    """
    from relumen.device import describe_device

    say(describe_device())  # before anything brings TensorFlow in, whose notices it keeps back
    from relumen.prior.checkpoints import import_checkpoint
    from relumen.prior.folder import write_imported

    imported = import_checkpoint(checkpoint)
    folder = output or Path("runs") / f"prior-{checkpoint.stem}"
    command = shlex.join(["relumen", *sys.argv[1:]])
    prior = write_imported(imported, checkpoint, folder, command=command, stains=tuple(stains or ()))
    a = imported.architecture
    say(f"{imported.layout}: images of {a.size} x {a.size}, {a.channels} channels, {a.style_inputs} style inputs.")
    say(f"Prior: {prior.path}. Next: relumen train flow {prior.path}")


@app.command()
def sample(
    prior: Annotated[
        Path, typer.Argument(help="A run of train prior, an imported prior, or the name of a shipped one.")
    ],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Images to make.")] = 32,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help=".png: a picture of all; .tif or .npy: a stack, every channel as it is."),
    ] = Path("samples.png"),
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal images.")] = 0,
    truncation: Annotated[float, typer.Option(min=0, max=1, help="Below 1: more typical images, less variety.")] = 1.0,
) -> None:
    """Makes images that no microscope took, to see what a prior knows.

    Example: relumen prior sample prior-cells -n 32 -o samples.png
    """
    from relumen.device import describe_device
    from relumen.prior.folder import Prior
    from relumen.prior.samples import SUFFIXES, write_samples

    if output.suffix.lower() not in SUFFIXES:
        raise UserError(f"Samples are written as one of {', '.join(SUFFIXES)}. Received: {output}")
    opened = Prior.open(prior)
    say(describe_device())
    write_samples(opened, output, count=count, seed=seed, truncation=truncation)
    say(f"Written: {output}: synthesised images, not measured ones.")
