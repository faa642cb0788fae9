"""relumen restore."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relumen.cli.progress import progress_bar, say

if TYPE_CHECKING:
    from relumen.jobs import Job, OnProgress


def restore(
    images: Annotated[
        list[str], typer.Argument(help="Images (TIFF, PNG, npy, OME-Zarr), folders, or patterns such as 'day1/*.tif'.")
    ],
    model: Annotated[
        Path,
        typer.Option("--model", "-m", help="A run, a package's folder or .zip, or a name such as esrgan-widefield."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The image to write (.tif, .png, .npy, .ome.zarr) for one image; a folder for several: results of "
            "OME-Zarr are OME-Zarr, those of others TIFF.",
        ),
    ],
    axes: Annotated[str | None, typer.Option(help="Axes where the file tells them wrongly, such as TYX.")] = None,
    type_: Annotated[
        str, typer.Option("--type", help="'float32' keeps every value; 'input' rounds to the input's type.")
    ] = "float32",
    existing: Annotated[
        str, typer.Option(help="What to do with results that exist: 'refuse', 'skip' or 'overwrite'.")
    ] = "refuse",
    tile: Annotated[int | None, typer.Option(help="Tile size in pixels; smaller needs less memory.")] = None,
    halo: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Context of a tile on each side, pixels; less than was measured shows seams. "
            "'--tile 32 --halo 0' is the plain tiling of the cascade's paper.",
        ),
    ] = None,
    ome_zarr: Annotated[
        str,
        typer.Option(help="Version of results in OME-Zarr: '0.4', which every reader takes, or '0.5' (Zarr 3)."),
    ] = "0.4",
    weights: Annotated[
        str | None,
        typer.Option(help="Which of a package's weights to run: tensorflow_saved_model_bundle, onnx or keras_v3."),
    ] = None,
) -> None:
    """Restores images of any size, stacks, channels and time series with a trained network.

    No more than a band of an image is in memory; TIFF and OME-Zarr hold images that are larger than it.

    Example: relumen restore cells.tif --model esrgan-widefield -o restored.tif
    """
    from relumen.device import describe_device
    from relumen.jobs import plan_jobs, run_jobs
    from relumen.restore import open_model, restore_file

    jobs = plan_jobs(images, output, existing=existing, output_type=type_, axes=axes, ome_zarr=ome_zarr)
    if not jobs:
        say("All results are there already.")
        return
    say(describe_device())
    with open_model(model, tile, weights, halo) as restorer, progress_bar("tile") as bar:

        def restore_one(job: Job, on_tile: OnProgress) -> None:
            nonlocal restorer  # where memory ran out once, the next image begins with smaller tiles
            restorer = restore_file(
                job.source,
                restorer,
                job.target,
                axes=job.axes,
                output=job.output_type,
                ome_zarr=job.ome_zarr,
                on_tile=on_tile,
                say=say,
            )

        run_jobs(jobs, restore_one, bar, say)
