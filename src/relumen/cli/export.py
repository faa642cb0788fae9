"""relumen export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import say
from relumen.errors import UserError

_MODEL = "A Keras model that was trained elsewhere"


def export(
    run: Annotated[Path | None, typer.Argument(help="A run folder; or leave it out and give --keras.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Package folder to make. [default: packages/RUN]")
    ] = None,
    defect: Annotated[
        str | None,
        typer.Option(help="Of a run of CIN-GAN, the defect to make. [default: a package RUN-DEFECT for each]"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model. [default: from the run]")] = None,
    author: Annotated[list[str] | None, typer.Option(help="Author; give it again for each.")] = None,
    github_user: Annotated[
        str | None, typer.Option(help="GitHub name of the first author, whom the zoo asks about the model.")
    ] = None,
    email: Annotated[str | None, typer.Option(help="Address of the first author, who uploads it to the zoo.")] = None,
    data_link: Annotated[str | None, typer.Option(help="Where the training images can be had, https://...")] = None,
    limitation: Annotated[
        list[str] | None, typer.Option(help="What the model is not good for, for its card; give it again for each.")
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Between the pixel-only network (0) and the last one (1): from faithful to sharp."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a package that is there.")] = False,
    keras: Annotated[
        Path | None, typer.Option(rich_help_panel=_MODEL, help="Its file, model.keras, in place of a run.")
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(rich_help_panel=_MODEL, help="A real image like those that it was trained on.")
    ] = None,
    axes: Annotated[
        str, typer.Option(rich_help_panel=_MODEL, help="Of the network's input: byxc, or bcyx for channels first.")
    ] = "byxc",
    summary: Annotated[
        str | None, typer.Option(rich_help_panel=_MODEL, help="What it does, in one or two sentences.")
    ] = None,
    normalise: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_MODEL,
            help="What an image becomes before it enters: input (mean 0 and standard deviation 1 over the image), "
            "together (the same over all its channels), none, or MEAN,DEVIATION such as 0,255 for an image / 255.",
        ),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_MODEL,
            help="What comes out: image, in the units in which the input enters, which the macro undoes; or own, such "
            "as probabilities.",
        ),
    ] = None,
    cite: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_MODEL, help="What users should cite, TEXT=DOI or TEXT=https://...; give it again for each."
        ),
    ] = None,
    code: Annotated[
        list[Path] | None,
        typer.Option(
            rich_help_panel=_MODEL,
            help="A Python file with classes that the model needs. It is imported, so its code runs.",
        ),
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_MODEL, help="Name of a channel of the input; give it again for each."),
    ] = None,
    output_channel: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_MODEL, help="Name of a channel of the answer; give it again for each."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(rich_help_panel=_MODEL, help="The images that it was trained on, in words.")
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(rich_help_panel=_MODEL, help="Of the training images, in micrometres. [default: the sample's]"),
    ] = None,
    license: Annotated[
        str, typer.Option(rich_help_panel=_MODEL, help="SPDX name of the weights' licence.")
    ] = "CC-BY-4.0",
    git_repo: Annotated[
        str | None, typer.Option(rich_help_panel=_MODEL, help="Where the code that made the model lives, https://...")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=_MODEL, help="A word for the zoo's search; give it again for each."),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(rich_help_panel=_MODEL, help="Side of Fiji's tiles, pixels. [default: as suits the network]"),
    ] = None,
    fixed_size: Annotated[
        bool,
        typer.Option(
            "--fixed-size",
            rich_help_panel=_MODEL,
            help="Allow tiles that don't fit each other, where the answer depends on the whole image: seams will show.",
        ),
    ] = False,
) -> None:
    """Exports a run, or a Keras 3 model of anyone, as a bioimage.io package that DeepImageJ runs in Fiji.

    Example: relumen export runs/nuclei --author "A. Biologist" --github-user abiologist --email a@b.org

    Example: relumen export --keras model.keras --sample image.tif --normalise input --answer image
    --name "My denoiser" --summary "Denoises nuclei." --cite "Biologist 2026=https://example.org/paper"
    """
    from relumen.device import describe_device
    from relumen.export.from_run import Credits, export_run, packages_of
    from relumen.run import RunFolder
    from relumen.training.interpolation import interpolated

    credits = Credits(tuple(author or Credits.authors), github_user, email, data_link, tuple(limitation or ()))
    of_a_model = {
        "--sample": sample, "--summary": summary, "--normalise": normalise, "--answer": answer, "--cite": cite,
        "--code": code, "--channel": channel, "--output-channel": output_channel, "--data": data,
        "--pixel-size": pixel_size, "--git-repo": git_repo, "--tag": tag, "--tile": tile, "--fixed-size": fixed_size,
    }  # fmt: skip
    untold = {"--author": author, "--github-user": github_user, "--email": email, "--data-link": data_link}
    if keras is None:
        _check_alone("a run", of_a_model)
        if run is None:
            raise UserError("Name a run folder, or a Keras model by --keras model.keras.")
        packages = packages_of(run, output, defect, overwrite)
        say(describe_device())
        trained = None if alpha is None else interpolated(RunFolder.open(run), alpha, say)
        for each, made in packages.items():
            export_run(
                run, made, trained=trained, defect=each, name=name, credits=credits, overwrite=overwrite, say=say
            )
        folders = list(packages.values())
    else:
        from relumen.export.from_keras import Stated, citation, export_keras

        _check_alone("a Keras model", {"RUN": run, "--defect": defect, "--alpha": alpha})
        wanted = {name: of_a_model[name] for name in ("--sample", "--summary", "--normalise", "--answer", "--cite")}
        if missing := [option for option, value in {"--name": name, **wanted}.items() if not value]:
            raise UserError(
                f"Of a Keras model, {', '.join(missing)} can't be measured: say what it is. relumen export --help "
                "tells what each means."
            )
        stated = Stated(
            name=name or "",
            summary=summary or "",
            axes=axes,
            normalise=normalise or "",
            answer=answer or "",
            cite=tuple(map(citation, cite or ())),
            channels=tuple(channel or ()),
            output_channels=tuple(output_channel or ()),
            credits=credits,
            data=data,
            license=license,
            git_repo=git_repo,
            tags=tuple(tag or ()),
            pixel_size_um=pixel_size,
            tile=tile,
            fixed_size=fixed_size,
        )
        say(describe_device())
        say(f"The weights' licence will be {license}, as --license says")
        folders = [output or Path("packages") / keras.stem]
        export_keras(keras, sample or Path(), folders[0], stated, code=tuple(code or ()), overwrite=overwrite, say=say)
        untold |= {"--data": data, "--git-repo": git_repo}
    if missing := [option for option, value in untold.items() if not value]:
        say(f"The zoo wants to know more, and verify will say so: give {', '.join(missing)} (and --overwrite).")
    for folder in folders:
        say(f"Package: {folder}. Next: relumen verify {folder}")


def _check_alone(what: str, others: Mapping[str, object]) -> None:
    """Refuses options that say nothing of what is exported."""
    if given := [option for option, value in others.items() if value not in (None, False, [])]:
        raise UserError(f"{', '.join(given)} can't be said of {what}. Leave that out, or export the other.")
