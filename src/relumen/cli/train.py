"""relumen train: one command for each system."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import progress_bar, say
from relumen.errors import UserError

app = typer.Typer(no_args_is_help=True)


@app.command()
def esrgan(
    data: Annotated[
        Path | None, typer.Option(help="Folder of pairs (low/ and high/) or of high-quality images alone.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="'compact' for laptops, 'w2s' for the paper's training, or a .yaml file.")
    ] = "compact",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder to make. [default: runs/esrgan-PRESET]")
    ] = None,
    degrade: Annotated[
        bool,
        typer.Option("--degrade", help="Make the inputs from high-quality images: blur, binning, noise."),
    ] = False,
    pixel_size: Annotated[
        float | None,
        typer.Option(help="Pixel size of the inputs in micrometres, where the files don't tell it."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Changes a value, such as --set phase_1.steps=1000.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Goes on with the run in this folder; all other options are read from it."),
    ] = None,
) -> None:
    """Trains ESRGAN for joint denoising and 2x super-resolution.

    Example: relumen train esrgan --data my-images/ --degrade -o runs/nuclei
    """
    from relumen.device import describe_device
    from relumen.run import RunFolder
    from relumen.training import start

    machine = describe_device()
    say(machine)
    if resume is not None:
        run = RunFolder.open(resume)
    elif data is None:
        raise UserError("Name the images with --data FOLDER, or an interrupted run with --resume RUN.")
    else:
        run = start.prepare(
            output or Path("runs") / f"esrgan-{Path(preset).stem}",
            preset=preset,
            data=data,
            degrade=degrade,
            pixel_size=pixel_size,
            overrides=overrides or [],
        )
    command = shlex.join(["relumen", *sys.argv[1:]])
    with progress_bar("step") as bar:
        task = bar.add_task("training", total=None)

        def on_step(step: int, total: int, losses: Mapping[str, float]) -> None:
            terms = " ".join(f"{name} {value:.4g}" for name, value in losses.items())
            bar.update(task, completed=step, total=total, description=f"training: {terms}")

        try:
            start.go(run, command=command, machine=machine, on_step=on_step, say=say)
        except KeyboardInterrupt:
            bar.stop()
            say(f"Go on from the last checkpoint with: relumen train esrgan --resume {run.path}")
            raise
    say(f"Trained: {run.path}. Next: relumen export {run.path}")
