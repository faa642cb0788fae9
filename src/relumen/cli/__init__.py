"""The command line: ``relumen --help`` lists the commands; a user's mistake ends with a plain message."""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console

from relumen.cli import (
    cite,
    data,
    demo,
    doctor,
    evaluate,
    export,
    fiji,
    models,
    prior,
    restore,
    search,
    serve,
    train,
    verify,
    zoo,
)
from relumen.errors import CheckFailedError, UserError

_INTERRUPTED = 130

app: typer.Typer = typer.Typer(
    help="Restore and super-resolve microscopy images, and carry the models into Fiji.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(data.app, name="data", help="List, check, describe and copy images to train on.")
app.add_typer(train.app, name="train", help="Train a network.")
app.add_typer(evaluate.app, name="evaluate", help="Judge networks on held-out images, as the papers do.")
app.add_typer(prior.app, name="prior", help="Import a StyleGAN2-ADA, and see what a prior makes.")
app.add_typer(fiji.app, name="fiji")
app.add_typer(zoo.app, name="zoo", help="Check, prepare and upload a package for bioimage.io.")
app.command("restore")(restore.restore)
app.command("search")(search.search)
app.command("serve")(serve.serve)
app.command("export")(export.export)
app.command("verify")(verify.verify)
app.command("models")(models.models)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("cite")(cite.cite)


def main() -> None:
    """Runs the command line; exit codes: 0 good, 1 failed, 2 wrong use, 130 interrupted."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters reaches us as an exception
    error = Console(stderr=True, highlight=False)
    try:
        app()
    except UserError as mistake:
        error.print(f"[red]Error:[/red] {_plain(mistake)}", soft_wrap=True)
        sys.exit(2)
    except CheckFailedError as failure:
        error.print(f"[red]Failed:[/red] {_plain(failure)}", soft_wrap=True)
        sys.exit(1)
    except OSError as failure:  # a disk that is full or goes away can fail anywhere
        error.print(f"[red]Failed:[/red] {_plain(failure)}", soft_wrap=True)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # what Typer makes of Ctrl-C
            error.print("Interrupted.")
        raise


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))
