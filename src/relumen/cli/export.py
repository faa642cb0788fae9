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
) -> None:
    """Exports a run as a bioimage.io package that DeepImageJ runs in Fiji.

    Example: relumen export runs/nuclei --author "A. Biologist" --github-user abiologist --email a@b.org
    """
    from relumen.device import describe_device
    from relumen.export.from_run import Credits, export_run, packages_of
    from relumen.run import RunFolder
    from relumen.training.interpolation import interpolated

    packages = packages_of(run, output, defect, overwrite)
    say(describe_device())
    trained = None if alpha is None else interpolated(RunFolder.open(run), alpha, say)
    credits = Credits(tuple(author or Credits.authors), github_user, email, data_link, tuple(limitation or ()))
    for each, folder in packages.items():
        export_run(run, folder, trained=trained, defect=each, name=name, credits=credits, overwrite=overwrite, say=say)
    untold = {"--author": author, "--github-user": github_user, "--email": email, "--data-link": data_link}
    if missing := [option for option, value in untold.items() if not value]:
        say(f"The zoo wants to know more, and verify will say so: give {', '.join(missing)} (and --overwrite).")
    for folder in packages.values():
        say(f"Package: {folder}. Next: relumen verify {folder}")
