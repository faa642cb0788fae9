"""relumen doctor."""

from __future__ import annotations

import typer

from relumen.cli.progress import console


def doctor() -> None:
    """Checks this machine: GPU, memory, Java, disk; says how to mend what is wrong.

    Example: relumen doctor
    """
    from relumen.doctor import findings_table, run_doctor
    from relumen.export.engines import ENGINES
    from relumen.imagej_bridge.session import COORDINATES

    engines = [engine for engine in ENGINES.values() if engine.missing_here is None]
    findings = run_doctor([*COORDINATES, *(jar for engine in engines for jar in engine.coordinates)])
    console.print(findings_table(findings))
    if any(finding.status == "failed" for finding in findings):
        raise typer.Exit(1)
