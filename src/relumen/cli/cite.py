"""relumen cite."""

from __future__ import annotations

from typing import Annotated

import typer

from relumen.cli.progress import say


def cite(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[SYSTEM|MODEL]",
            help="'esrgan', 'cascade', 'limited' (CIN-GAN and cGAN), 'rls', a run, or a package.",
        ),
    ] = None,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="As BibTeX.")] = False,
) -> None:
    """Says how to cite relumen, the papers behind a system, or a model.

    Example: relumen cite esrgan --bibtex
    """
    from relumen.citations import SYSTEMS, references

    for reference in references(what):
        say(reference.as_bibtex() if bibtex else reference.as_text())
    if what is None and not bibtex:
        say(f"\nAnd the papers of the method that you used: relumen cite {' | '.join(SYSTEMS)}, or relumen cite MODEL.")
