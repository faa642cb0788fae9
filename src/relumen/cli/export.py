"""relumen export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relumen.cli.progress import say
from relumen.errors import UserError

if TYPE_CHECKING:
    from relumen.export.from_keras import Stated
    from relumen.export.from_run import Credits

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
    license: Annotated[
        str, typer.Option(help="SPDX name of the licence under which the weights may be used.")
    ] = "CC-BY-4.0",
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
        str | None,
        typer.Option(
            rich_help_panel=_MODEL, help="Of the network's input: byxc, or bcyx for channels first. [default: byxc]"
        ),
    ] = None,
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
    from relumen.export.from_run import Credits

    people = (tuple(author or Credits.authors), github_user, email)
    credits = Credits(*people, data_link, tuple(limitation or ()), license)
    untold = {"--author": author, "--github-user": github_user, "--email": email, "--data-link": data_link}
    if keras is None:
        of_a_model = {
            "--sample": sample, "--axes": axes, "--summary": summary, "--normalise": normalise, "--answer": answer,
            "--cite": cite, "--code": code, "--channel": channel, "--output-channel": output_channel, "--data": data,
            "--pixel-size": pixel_size, "--git-repo": git_repo, "--tag": tag, "--tile": tile,
            "--fixed-size": fixed_size or None,
        }  # fmt: skip
        _refuse(of_a_model, "a run")
        folders = _export_run(run, output, defect, name, alpha, credits, overwrite)
    else:
        _refuse({"RUN": run, "--defect": defect, "--alpha": alpha}, "a Keras model")
        if not (name and sample and summary and normalise and answer and cite):
            asked = {
                "--name": name, "--sample": sample, "--summary": summary, "--normalise": normalise, "--answer": answer,
                "--cite": cite,
            }  # fmt: skip
            missing = ", ".join(option for option, value in asked.items() if not value)
            raise UserError(
                f"Of a Keras model, {missing} can't be measured: say what it is. relumen export --help tells what each "
                "means."
            )
        from relumen.device import describe_device

        say(describe_device())  # before anything brings TensorFlow in, whose notices it keeps back
        from relumen.export.from_keras import Stated, citation

        stated = Stated(
            name=name,
            summary=summary,
            axes=axes or "byxc",
            normalise=normalise,
            answer=answer,
            cite=tuple(map(citation, cite)),
            channels=tuple(channel or ()),
            output_channels=tuple(output_channel or ()),
            credits=credits,
            data=data,
            git_repo=git_repo,
            tags=tuple(tag or ()),
            pixel_size_um=pixel_size,
            tile=tile,
            fixed_size=fixed_size,
        )
        folders = [_export_model(keras, sample, output, stated, code or (), overwrite)]
        untold |= {"--data": data, "--git-repo": git_repo}
    if missing := [option for option, value in untold.items() if not value]:
        say(f"The zoo wants to know more, and verify will say so: give {', '.join(missing)} (and --overwrite).")
    for folder in folders:
        say(f"Package: {folder}. Next: relumen verify {folder}")


def _export_run(
    run: Path | None,
    output: Path | None,
    defect: str | None,
    name: str | None,
    alpha: float | None,
    credits: Credits,
    overwrite: bool,
) -> list[Path]:
    """Exports a run; gives its packages."""
    from relumen.device import describe_device
    from relumen.export.from_run import export_run, packages_of

    if run is None:
        raise UserError("Name a run folder, or a Keras model by --keras model.keras.")
    packages = packages_of(run, output, defect, overwrite)
    say(describe_device())
    trained = None
    if alpha is not None:
        from relumen.run import RunFolder
        from relumen.training.interpolation import interpolated

        trained = interpolated(RunFolder.open(run), alpha, say)
    for each, package in packages.items():
        export_run(run, package, trained=trained, defect=each, name=name, credits=credits, overwrite=overwrite, say=say)
    return list(packages.values())


def _export_model(
    keras: Path, sample: Path, output: Path | None, stated: Stated, code: Sequence[Path], overwrite: bool
) -> Path:
    """Exports a Keras model; gives its package."""
    from relumen.export.from_keras import export_keras

    say(f"The weights' licence will be {stated.credits.license}, as --license says")
    folder = output or Path("packages") / keras.stem
    return export_keras(keras, sample, folder, stated, code=code, overwrite=overwrite, say=say)


def _refuse(options: Mapping[str, object], of: str) -> None:
    """Refuses options that say nothing of what is exported."""
    if given := [option for option, value in options.items() if value is not None and value != []]:
        raise UserError(f"{', '.join(given)} can't be said of {of}. Leave that out, or export the other.")
