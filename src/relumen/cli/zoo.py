"""relumen zoo: a package on its way to bioimage.io."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from relumen.cli.progress import console, say
from relumen.errors import CheckFailedError, UserError

app: typer.Typer = typer.Typer(no_args_is_help=True)
PackageArgument = Annotated[Path, typer.Argument(help="A package folder or .zip.")]
_NOT_HERE = (
    "What the zoo runs by itself can't be run here: TensorFlow 2.16.1, ONNX Runtime 1.20.1 and bioimageio.core 0.10 on "
    "its machines, and DeepImageJ in Fiji. The rules about opset, IR version and variables stand in for that."
)


@app.command()
def check(
    package: PackageArgument,
    jvm: Annotated[bool, typer.Option("--jvm", help="Run it in Fiji's own engines too, on a Java machine.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the report there, for machines.")] = None,
) -> None:
    """Checks a package as the zoo does: its format with every warning, its test, and its DeepImageJ check.

    Example: relumen zoo check packages/nuclei
    """
    from relumen.cli.verify import verify

    try:
        verify(package, jvm=jvm, json=json)
    finally:
        say(_NOT_HERE)


@app.command()
def prepare(
    package: PackageArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make, or a .zip.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a package that is there.")] = False,
) -> None:
    """Copies what belongs to a package, byte for byte, and tells the steps of the zoo's web form.

    Example: relumen zoo prepare packages/nuclei -o nuclei.zip
    """
    from relumen.export.zoo_folder import STEPS, prepare

    files = prepare(package, output, overwrite=overwrite)
    say(f"{len(files.names)} files, {files.total_bytes / 1e6:.1f} MB: {output}")
    if files.left_out:
        say(f"Left out, since rdf.yaml does not name them: {', '.join(files.left_out)}")
    say("It is not checked: 'relumen zoo check' does that. Then:")
    for number, step in enumerate(STEPS, start=1):
        say(f"  {number}. {step}")


@app.command()
def upload(
    package: PackageArgument,
    server: Annotated[str | None, typer.Option(help="The zoo's server, if not bioimage.io's own.")] = None,
    draft: Annotated[str | None, typer.Option(help="Go on with this draft of an earlier upload.")] = None,
    review: Annotated[bool, typer.Option(help="Ask for review at the end; else it stays a draft.")] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before sending.")] = False,
) -> None:
    """Checks a package, and sends its files as they are to the zoo, as a draft for review.

    The token of your account is read from the environment variable BIOIMAGEIO_HYPHA_UPLOAD_TOKEN.

    Example: relumen zoo upload packages/nuclei
    """
    from relumen.device import describe_device
    from relumen.export.zoo_client import SERVER, TOKEN_VARIABLE, ZooClient
    from relumen.export.zoo_folder import zoo_files
    from relumen.export.zoo_upload import upload as send
    from relumen.package import package_folder

    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise UserError(
            f"There is no token. Log in at https://bioimage.io, make one at https://bioimage.io/#/api?tab=hypha-rpc, "
            f"and set the environment variable {TOKEN_VARIABLE} to it."
        )
    say(describe_device())  # before anything brings TensorFlow in, whose notices it keeps back
    from relumen.export.verify import verify_package

    with package_folder(package) as folder, ZooClient(server or SERVER, token) as client:
        with console.status("Checking"):
            report = verify_package(folder)
        if not report.ok:
            console.print(report.table())
            raise CheckFailedError("Nothing was sent. Mend what failed first.")
        files = zoo_files(folder)
        say(f"To {client.server}: {report.name}, {len(files.names)} files, {files.total_bytes / 1e6:.1f} MB")
        for name in files.names:
            say(f"  {name}")
        say("Sending it means to agree to the zoo's terms: https://bioimage.io/#/toc")
        if not yes:
            typer.confirm("Send them?", abort=True)
        sent = send(files, client, draft=draft, review=review, on_step=say)
    say(f"At the zoo: {sent.artifact}")
    say(sent.address)
    if sent.others:
        say(f"The draft also holds {', '.join(sent.others)}. Remove what does not belong to it on its page.")
    if sent.in_review:
        say("It waits for review. Reviewers write in the comments of its page, and publish it when they accept it.")
    else:
        say("It is a draft that nobody reviews yet. On its page, test it and press Submit for Review.")
