"""relumen fiji."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import say

app: typer.Typer = typer.Typer(rich_markup_mode="rich")


@app.callback(invoke_without_command=True)
def fiji(
    context: typer.Context,
    fiji: Annotated[
        Path | None, typer.Option(help="A Fiji's folder, such as Fiji.app. [default: plain ImageJ, from Maven Central]")
    ] = None,
    headless: Annotated[
        Path | None, typer.Option(metavar="MACRO", help="Run this .ijm without a window, and end.")
    ] = None,
    argument: Annotated[str, typer.Option(help="What getArgument() gives in the macro.")] = "",
    server: Annotated[
        str | None,
        typer.Option(
            help="Address of a running relumen serve; its token is in the variable RELUMEN_TOKEN. "
            "[default: a server in this process]"
        ),
    ] = None,
    prior: Annotated[
        list[Path] | None,
        typer.Option(help="A prior that the server in this process has beside the shipped ones; again for each."),
    ] = None,
) -> None:
    """Starts ImageJ or Fiji with relumen's commands, or runs a macro with them. All results are synthesised.

    Example: relumen fiji --headless super_resolve.ijm --argument "input=low.tif;output=high.tif"
    """
    if context.invoked_subcommand is not None:
        return
    from relumen.errors import UserError

    if headless is None and argument:
        raise UserError("--argument is for a macro. Name it with --headless MACRO.")
    if headless is not None and not headless.is_file():
        raise UserError(f"There is no macro at {headless}.")
    if server is None:
        from relumen.device import describe_device

        say(describe_device())  # before anything brings TensorFlow in, whose notices it keeps back
    from relumen.imagej_bridge.fiji import open, show
    from relumen.imagej_bridge.program import end_process

    if headless is None:
        show(fiji, server=server, priors=prior or (), say=say)
        end_process()
    with open(fiji, server=server, priors=prior or ()) as session:
        say(f"Running {headless} in ImageJ {session.imagej.version}.")
        try:
            returned = session.run_macro(headless, argument)
        finally:
            printed, _, _ = session.imagej.printed.partition("Macro Error: ")  # which is told as a failure
            if printed:
                say(printed.rstrip())
    if returned:
        say(returned)
    end_process()


@app.command()
def install(
    folder: Annotated[Path, typer.Argument(help="A Fiji's folder, such as Fiji.app, or a plain ImageJ's.")],
) -> None:
    """Puts relumen's commands, macros and packages into a Fiji; replaces older versions of its commands alone.

    Example: relumen fiji install ~/Fiji.app
    """
    from relumen.imagej_bridge.fiji_folder import install as install_into

    for done in install_into(folder.expanduser()):
        say(done)
    say(
        "Next: restart Fiji; start `relumen serve` in a terminal; open an image, and choose "
        "Plugins > relumen > RLS Super-Resolution..."
    )
