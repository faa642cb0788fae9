"""relumen evaluate: one command for each system."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import console, progress_bar, say

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _systems() -> None:
    """Keeps the system's name in the command while there is one system."""


@app.command()
def esrgan(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Run folders, packages, or a run's model-pixel.keras.")
    ],
    data: Annotated[Path, typer.Option(help="Data folder, in any layout that training takes; its held-out part.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and figures.")] = Path("evaluation"),
    degrade: Annotated[
        bool,
        typer.Option("--degrade", help="Make the inputs from good images, as the first run's training did."),
    ] = False,
    averages: Annotated[
        list[int] | None, typer.Option(help="W2S: how many frames an input is the average of; give it again for each.")
    ] = None,
    classical: Annotated[
        bool, typer.Option("--classical", help="Gaussian and non-local means beside bicubic, at their best. Slow.")
    ] = False,
    max_images: Annotated[int | None, typer.Option(min=1, help="Images of each channel. [default: all]")] = None,
    crop: Annotated[
        int | None, typer.Option(min=16, help="Only the middle, that many input pixels on each side.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise, with --degrade.")] = 0,
    tile: Annotated[int | None, typer.Option(help="Tile size in pixels; smaller needs less memory.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Changes how the data is read, such as --set data.averages=[1,4].")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an evaluation that is there.")] = False,
) -> None:
    """PSNR and SSIM on held-out images, raw and affine-fitted, beside bicubic, as tables and figures.

    Example: relumen evaluate esrgan runs/nuclei --data my-images/ --degrade -o evaluation/nuclei
    """
    from relumen.device import describe_device
    from relumen.evaluation.esrgan import Limits, evaluate
    from relumen.evaluation.report import check_free, write_report
    from relumen.evaluation.tables import for_terminal

    say(describe_device())
    check_free(output, overwrite=overwrite)
    with progress_bar("image") as bar:
        task = bar.add_task("evaluating", total=None)
        evaluation = evaluate(
            models,
            data,
            degrade=degrade,
            classical=classical,
            limits=Limits(max_images, crop),
            seed=seed,
            tile=tile,
            overrides=[*(overrides or []), *([f"data.averages={averages}"] if averages else [])],
            on_image=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for note in evaluation.notes:
        say(note)
    for table in for_terminal(evaluation):
        console.print(table)
    for path in write_report(evaluation, output):
        say(f"Written: {path}")
