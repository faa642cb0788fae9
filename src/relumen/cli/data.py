"""relumen data: images to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from relumen.cli.progress import console, progress_bar, say
from relumen.errors import CheckFailedError, UserError

if TYPE_CHECKING:
    from relumen.models.optics import Optics
    from relumen.training.settings import DataConfig

app: typer.Typer = typer.Typer(no_args_is_help=True)

_SHOWN = 40
_SHEETS = (".png", ".jpg", ".pdf", ".svg")
_PICTURED = 1000
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A data folder, or a .npz file of CSBDeep.")]
Scale = Annotated[int, typer.Option(help="Magnification that is to be learnt: 1, 2, 4, 8 or 16.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="How the folder is read, as for training, such as --set data.source=wf."),
]


@app.command("list")
def list_(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="A data folder, or a .npz file of CSBDeep. [default: what is shipped]"),
    ] = None,
    overrides: Overrides = None,
    everything: Annotated[bool, typer.Option("--all", help=f"More than {_SHOWN} images.")] = False,
) -> None:
    """Lists the images that come with relumen, or the pairs in a folder, with the layout that it was taken for.

    Layouts: pairs under equal names in low/ and high/, low/ and GT/, LR/ and
    HR/, or as data.source and data.target say; high-quality images alone; W2S
    as published (avg1/ to avg400/ and sim/, in train/ and test/); a .npz file
    of CSBDeep with X, Y and axes; a set of CARE as published (train_data/ and
    test_data/). Held out is validation/, test/ beside train/, test_data/GT/ with
    all conditions, or the last images by name.

    Example: relumen data list my-images/
    """
    from rich.table import Column, Table
    from rich.text import Text

    if folder is None:
        from relumen.data import records

        table = Table("Field", Column("Image", overflow="fold"), "What it shows", "Licence")
        for record in records().values():
            table.add_row(record.field, record.name, record.shows, record.licence)
        console.print(table)
        say("Next: relumen data copy cells/ lays them out as a data folder.")
        return
    from relumen.training.folders import find_contents
    from relumen.training.inspection import MADE

    config = _config(folder, None, overrides)
    contents = find_contents(config)
    say(
        f"{folder}: {contents.layout}, {len(contents.training)} to train on, {len(contents.held_out)} held out"
        + (f"; not trained on: {config.region.describe()}" if config.region else "")
    )
    table = Table("Part", "Channel", "Condition", Column("Input", overflow="fold"), Column("Target", overflow="fold"))
    for number, item in enumerate(contents.items[: None if everything else _SHOWN]):
        part = "training" if number < len(contents.training) else "held out"
        files = [str(stored or MADE).removeprefix(f"{folder}/") for stored in (item.low, item.high)]
        table.add_row(part, item.channel or "-", item.condition if item.low else "-", *map(Text, files))
    console.print(table)
    if not everything and len(contents.items) > _SHOWN:
        say(f"And {len(contents.items) - _SHOWN} more; see them with --all.")
    for fault in contents.faults:
        say(fault)


@app.command()
def check(folder: Folder, scale: Scale = 2, overrides: Overrides = None) -> None:
    """Finds everything that is wrong with a data folder: names, sizes, damaged files, blank or equal images.

    Example: relumen data check my-images/
    """
    from relumen.training.inspection import find_faults

    with progress_bar("image") as bar:
        task = bar.add_task("checking", total=None)
        faults = find_faults(
            _config(folder, scale, overrides),
            scale,
            on_image=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for fault in faults:
        say(f"- {fault}")
    if faults:
        raise CheckFailedError(f"{folder} has {len(faults)} fault{'s' if len(faults) > 1 else ''}.")
    say(f"{folder}: no faults.")


@app.command()
def describe(
    folder: Folder,
    scale: Scale = 2,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A contact sheet to write, such as sheet.png.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Says what is in a data folder: layout, pairs, axes, sizes, types, intensities, pixel size, patches.

    Example: relumen data describe my-images/ -o sheet.png
    """
    from relumen.training.inspection import describe as described

    if output is not None:
        _check_sheet(output, "A contact sheet")
    description, sheet = described(_config(folder, scale, overrides), scale)
    for table in description.tables():
        console.print(table)
    if output is not None:
        sheet.savefig(output, dpi=150)
        say(f"Written: {output}")


@app.command()
def copy(
    output: Annotated[Path, typer.Argument(help="The data folder to make.")],
    hold_out: Annotated[
        list[str] | None,
        typer.Option(help="A field kept for validation/, such as kc167/POS218, or ht29 for all of its fields."),
    ] = None,
    phase_contrast: Annotated[
        bool, typer.Option("--phase-contrast", help="The phase contrast frames, in place of the fluorescence images.")
    ] = False,
) -> None:
    """Lays the images that come with relumen out as a data folder, with their sources and licences.

    Example: relumen data copy cells/ --hold-out translocation/A-12
    """
    from relumen.data import copy_images

    copied = copy_images(output, hold_out or [], modality="phase contrast" if phase_contrast else "fluorescence")
    held = sum(place.startswith("validation/") for place in copied)
    say(f"{output}: {len(copied) - held} images to train on, {held} held out; see manifest.json for their licences.")
    system = "cascade" if phase_contrast else "esrgan"
    say(f"Next: relumen train {system} --data {output}{'' if phase_contrast else ' --degrade'}")


@app.command("stand-ins")
def stand_ins(
    output: Annotated[Path, typer.Argument(help="The data folder to make.")],
    pairs: Annotated[int | None, typer.Option(min=1, help="Of each defect. [default: as many as there are]")] = None,
    size: Annotated[int, typer.Option(help="Height and width of a pair, pixels.")] = 80,
    vary: Annotated[bool, typer.Option("--vary", help="A strength of its own for every pair, from weak on.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise, and of the choice.")] = 0,
) -> None:
    """Makes pairs of three defects from the images that come along: noise, missing planes, low resolution.

    Stand-ins for real data: their defects are stated degradations, which
    manifest.json beside them tells. Held out is what no shipped model has seen.

    Example: relumen data stand-ins stand-ins/ --pairs 1000
    """
    from relumen.training.stand_ins import STRONG, VARIED, make_stand_ins

    strengths = VARIED if vary else STRONG
    with progress_bar("image") as bar:
        task = bar.add_task("making", total=None)
        made = make_stand_ins(
            output,
            count=pairs,
            side=size,
            strengths=strengths,
            seed=seed,
            on_image=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for defect, (train, test) in made.items():
        say(f"{defect}: {train} pairs to train on, {test} held out: {strengths.describe()[defect]}")
    say(f"Next: relumen train cgan --data {output} --pairs 10")


@app.command()
def synthesise(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs of CIN-GAN; one, or one for each defect.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The data folder to make.")],
    clean: Annotated[Path, typer.Option(help="Clean images: a folder of them, or of pairs, or of several defects.")],
) -> None:
    """Makes the defects that a CIN-GAN learned of clean images: a data folder of pairs to train a restorer on.

    Beside it stands a picture of each defect next to real ones, and the curves of
    the divergence over the training (Figs. 6 and 7 of the paper).

    Example: relumen data synthesise runs/defects --clean good-images/ -o made/
    """
    from relumen.device import describe_device

    say(describe_device())  # before anything brings TensorFlow in, whose notices it keeps back
    from relumen.evaluation.synthesis import synthesise as make

    with progress_bar("image") as bar:
        task = bar.add_task("making", total=None)
        made = make(
            runs, clean, output, on_image=lambda done, total: bar.update(task, completed=done, total=total), say=say
        )
    for defect, count in made.items():
        say(f"{defect}: {count} pairs")
    say(f"Written: {output}. Next: relumen train cgan --data PAIRS --synthetic {output}")


@app.command()
def filters(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A high-resolution phase contrast image.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The figure to write.")] = Path("filters.png"),
    mode: Annotated[
        Literal["paper", "physical"], typer.Option(help="The published filters, or those of a microscope.")
    ] = "paper",
    pixel_size: Annotated[
        float | None,
        typer.Option(help="Pixel size of the network's input in micrometres, where the file doesn't tell it."),
    ] = None,
    scale: Annotated[
        int, typer.Option(help="Reduction of the image to the network's input; 1 where it is an input already.")
    ] = 8,
    level: Annotated[
        int, typer.Option(help="Which filters are drawn: 1, those of the input, or of an image 2, 4, 8 times as large.")
    ] = 1,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="The microscope, as for training, such as optics.focal_mm=40.")
    ] = None,
) -> None:
    """Draws the diffraction pattern filters above an image enriched by them, and says how much they differ.

    Example: relumen data filters my-images/cells.tif -o filters.png --mode physical
    """
    from relumen.evaluation.filters import enrich
    from relumen.images import read_image

    _check_sheet(output, "A figure")
    size = [] if pixel_size is None else [f"optics.pixel_um={pixel_size}"]
    optics = _optics([f"optics.mode={mode}", *size, *(overrides or [])])
    description, figure = enrich(read_image(image), optics, scale=scale, level=level)
    console.print(description.table())
    say(description.meaning())
    figure.savefig(output, dpi=150)
    say(f"Written: {output}")


@app.command()
def cells(
    stains: Annotated[
        Literal["cells", "nfkb", "golgi"],
        typer.Argument(help="'cells' (actin, tubulin, DNA), 'nfkb' (DNA, NF-kB) or 'golgi' (DNA, Golgi)."),
    ] = "cells",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Images to draw.")] = 16,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help=".png: a picture of all; no suffix: a folder of images with masks."),
    ] = Path("drawn-cells.png"),
    phenotypes: Annotated[
        list[str] | None,
        typer.Option("--phenotype", help="dmso, nocodazole, cytochalasin or tnf-alpha, in turns. [default: all]"),
    ] = None,
    scale: Annotated[
        float, typer.Option(min=0.5, max=2, help="Size of the cells; at 1 a nucleus measures about 34 pixels.")
    ] = 1.0,
    confluence: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the places around a cell that another one grew at.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal images.")] = 0,
) -> None:
    """Draws cells that priors are trained on where there are no images, with exact masks and features.

    Example: relumen data cells nfkb -n 200 --phenotype dmso --phenotype tnf-alpha -o drawn/
    """
    from relumen.training.cells import PHENOTYPES, Culture
    from relumen.training.cells_writing import drawn, write_folder, write_picture

    picture = output.suffix.lower() == ".png" and not output.is_dir()
    if picture:
        _check_sheet(output, "A picture")
        if count > _PICTURED:
            raise UserError(f"A picture shows {_PICTURED} cells at most. Name a folder with -o. Received: {count}")
    elif output.suffix and not output.is_dir():
        raise UserError(
            f"Cells are written as a .png, or into a folder, named without a suffix or made before. Received: {output}"
        )
    culture = Culture(stains, tuple(phenotypes or PHENOTYPES), scale=scale, confluence=confluence)
    with progress_bar("cell") as bar:
        made = bar.track(drawn(culture, count, seed), total=count, description="drawing")
        (write_picture if picture else write_folder)(output, made)
    say(f"Written: {output}: drawn, not taken by a microscope.")


@app.command()
def reduce(
    images: Annotated[list[str], typer.Argument(help="Image files, folders, or patterns such as 'day1/*.tif'.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write for one image; a folder for several.")
    ],
    factor: Annotated[int, typer.Option(min=2, help="Pixels that become one on each axis.")] = 16,
    blur: Annotated[float, typer.Option(min=0, help="Blur before: sigma, pixels of the images.")] = 0.0,
    area: Annotated[
        bool, typer.Option("--area", help="The mean, as a camera bins, in place of cubic convolution.")
    ] = False,
    axes: Annotated[str | None, typer.Option(help="Axes where the file tells them wrongly, such as TYX.")] = None,
    type_: Annotated[
        str, typer.Option("--type", help="'input' rounds to the input's type; 'float32' keeps every value.")
    ] = "input",
    existing: Annotated[
        str, typer.Option(help="What to do with results that exist: 'refuse', 'skip' or 'overwrite'.")
    ] = "refuse",
) -> None:
    """Makes low-resolution images of good ones, to try a search on and compare what it finds with the truth.

    Example: relumen data reduce good-images/ --factor 16 -o low/
    """
    from relumen.jobs import plan_jobs, run_jobs
    from relumen.reducing import reduce_file

    jobs = plan_jobs(images, output, existing=existing, output_type=type_, axes=axes, ending=f"{factor}x")
    with progress_bar("image") as bar:
        run_jobs(
            jobs,
            lambda job, _: reduce_file(job, factor, blur=blur, reduction="area" if area else "bicubic"),
            bar,
            say,
        )


def _check_sheet(output: Path, what: str) -> None:
    if output.suffix.lower() not in _SHEETS:
        raise UserError(f"{what} is one of {', '.join(_SHEETS)}. Received: {output}")
    if not output.parent.is_dir():
        raise UserError(f"There is no folder {output.parent} to write {output.name} to.")


def _optics(overrides: list[str]) -> Optics:
    """The filters that a training with such changes would have."""
    from relumen.training.config import CascadeConfig, load_config

    config = load_config("cascade", "compact", overrides, **{"data.folder": "."})
    assert isinstance(config, CascadeConfig)
    return config.optics


def _config(folder: Path, scale: int | None, overrides: list[str] | None) -> DataConfig:
    """How a folder would be read by a training, with patches as ESRGAN's compact preset cuts them."""
    from relumen.training.config import preset_values, read_data_config

    return read_data_config({**preset_values("esrgan", "compact")["data"], "folder": folder}, overrides or [], scale)
