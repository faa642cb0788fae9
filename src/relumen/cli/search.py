"""relumen search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import progress_bar, say
from relumen.search import FORM, METHOD


def search(
    images: Annotated[list[str], typer.Argument(help="Image files, folders, or patterns such as 'day1/*.tif'.")],
    prior: Annotated[Path, typer.Option(help="A run of train prior, an imported one, or a name such as prior-cells.")],
    factor: Annotated[int, typer.Option(help="Magnification: 16, 32, or any that divides the prior's size.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write for one image; a folder for several.")
    ],
    solutions: Annotated[
        int, typer.Option("--solutions", "-n", min=1, help="Of each image, with mean and spread.")
    ] = 1,
    uncertainty: Annotated[
        str, typer.Option(help="How several are found: 'restarts' (each by itself), 'paper' (together) or 'elbo'.")
    ] = FORM,
    method: Annotated[
        str,
        typer.Option(
            help="rls-annealed, rls (as published), author (RLS's code), pulse, brgm, unregularised, without-density, "
            "without-cross, or a .yaml."
        ),
    ] = METHOD,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Changes the method, such as --set density=1e-4.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="Which channel a stain is, such as DNA=1, or DNA=none. [default: in the prior's order]"),
    ] = None,
    intensity: Annotated[
        list[str] | None,
        typer.Option(
            help="What the prior's black and white are: 'auto' (matched to the prior's images), 'type' (the whole "
            "range of 8 or 16 bits), or LOW:HIGH; again for each channel of the prior. [default: auto]"
        ),
    ] = None,
    blur: Annotated[float, typer.Option(min=0, help="Blur before the reduction: sigma, high-resolution pixels.")] = 0.0,
    psf: Annotated[
        Path | None, typer.Option(help="A PSF in place of a blur: an image (y, x) at high-resolution pixels.")
    ] = None,
    reduction: Annotated[str, typer.Option(help="'bicubic', or 'area' as a camera bins.")] = "bicubic",
    border: Annotated[str, typer.Option(help="Beyond the edge: 'cut', 'mirror', 'edge' or 'zero'.")] = "cut",
    tiles: Annotated[str, typer.Option(help="Larger fields: windows around 'cells', a 'grid', or 'auto'.")] = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Windows that are searched at once.")] = 4,
    axes: Annotated[str | None, typer.Option(help="Axes where the file tells them wrongly, such as TYX.")] = None,
    type_: Annotated[
        str, typer.Option("--type", help="'float32' keeps every value; 'input' rounds to the input's type.")
    ] = "float32",
    existing: Annotated[
        str, typer.Option(help="What to do with results that exist: 'refuse', 'skip' or 'overwrite'.")
    ] = "refuse",
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal results.")] = 0,
) -> None:
    """Searches a prior for the high-resolution image that a low-resolution one fits. All results are synthesised.

    Images of one command share one mapping of intensities. Beside each result:
    a picture, and a table of the windows that were searched.

    Example: relumen search low/*.tif --prior prior-cells --factor 16 -o found/
    """
    from relumen.device import describe_device
    from relumen.jobs import plan_jobs, run_jobs

    say(describe_device())  # before anything brings TensorFlow in, whose notices it keeps back
    from relumen.search.files import ENDING, SUFFIXES, beside
    from relumen.search.request import SearchRequest

    request = SearchRequest.of(
        {
            "prior": prior,
            "factor": factor,
            "method": method,
            "overrides": overrides or (),
            "channels": channel or (),
            "intensity": intensity or ("auto",),
            "blur": blur,
            "psf": psf,
            "reduction": reduction,
            "border": border,
            "solutions": solutions,
            "uncertainty": uncertainty,
            "tiles": tiles,
            "batch": batch,
            "seed": seed,
        }
    )
    jobs = plan_jobs(
        images,
        output,
        existing=existing,
        output_type=type_,
        axes=axes,
        ending=ENDING,
        beside=beside(solutions),
        suffixes=SUFFIXES,
    )
    if not jobs:
        say("All results are there already.")
        return
    file_search = request.file_search([job.source for job in jobs], axes, say)
    with progress_bar("step") as bar:
        run_jobs(jobs, file_search, bar, say)
