"""relumen verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import checking, console, say


def verify(
    package: Annotated[Path, typer.Argument(help="A package folder or .zip, of anyone.")],
    jvm: Annotated[bool, typer.Option("--jvm", help="Run it in Fiji's own engines too, on a Java machine.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the report there, for machines.")] = None,
) -> None:
    """Checks that a bioimage.io package runs in Fiji and is accepted by the zoo.

    Example: relumen verify packages/nuclei --jvm
    """
    from relumen.device import describe_device
    from relumen.whole import check_room

    if json is not None:
        check_room(json)
    say(describe_device())  # before anything brings TensorFlow in, whose notices it keeps back
    from relumen.export.verify import verify_package
    from relumen.run import write_text

    with checking() as on_check:
        report = verify_package(package, jvm=jvm, on_check=on_check)
    console.print(report.table())
    if json is not None:
        write_text(json, report.to_json())
        say(f"Report: {json}")
    if not report.ok:
        raise typer.Exit(1)
