"""relumen doctor."""

from __future__ import annotations

import typer

from relumen.cli.progress import console


def doctor() -> None:
    """Checks this machine: GPU, memory, Java, disk; says how to mend what is wrong.

    Example: relumen doctor
    """
    from relumen.doctor import findings_table, run_doctor

    findings = run_doctor()
    console.print(findings_table(findings))
    if any(finding.status == "failed" for finding in findings):
        raise typer.Exit(1)
