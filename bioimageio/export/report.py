"""What a verification found: for a person as a table, for a machine as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Group

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: what was checked.
        status: "skipped" is never silent: the message says why.
        message: what holds, or what is wrong and what to do.
        value: what was measured: a difference in standard deviations of the output.
        limit: the largest value that passes.
    """

    name: str
    status: Status
    message: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Report:
    """All checks of a package.

    Attributes:
        source: the package's file or folder.
        name: the model's name, where it can be read.
        tolerance: largest difference that passes, in standard deviations of the output.
        versions: of what took part.
        checks: in the order they were made.
    """

    source: Path
    name: str
    tolerance: float
    versions: dict[str, str]
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return bool(self.checks) and all(check.status != "failed" for check in self.checks)

    def to_json(self) -> str:
        """The report for machines."""
        facts = {
            "package": self.name,
            "source": str(self.source),
            "ok": self.ok,
            "tolerance": self.tolerance,
            "versions": self.versions,
            "checks": [asdict(check) for check in self.checks],
        }
        return json.dumps(facts, indent=2)

    def table(self) -> Group:
        """The report for people: rules that hold take one row together."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        marks = {"passed": ("ok", "green"), "failed": ("FAILED", "bold red"), "skipped": ("skipped", "yellow")}
        table = Table(title=f"{self.name} ({self.source})")
        table.add_column("")
        table.add_column("Check", overflow="fold")
        table.add_column("Difference", no_wrap=True)
        table.add_column("Limit", no_wrap=True)
        table.add_column("What it says", overflow="fold")
        held = [check for check in self.checks if check.name.startswith("rule: ") and check.status == "passed"]
        if held:
            table.add_row(Text("ok", "green"), f"{len(held)} rules hold", "", "", "")
        for check in self.checks:
            if check in held:
                continue
            mark, colour = marks[check.status]
            numbers = ["" if number is None else f"{number:.1e}" for number in (check.value, check.limit)]
            table.add_row(Text(mark, colour), Text(_for_people(check.name)), *numbers, Text(check.message))
        failed = sum(check.status == "failed" for check in self.checks)
        end = f"{failed} of {len(self.checks)} checks failed." if failed else f"All {len(self.checks)} checks passed."
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return Group(table, Text(end, "bold red" if failed else "bold green"), Text(versions, "dim"))


def _for_people(name: str) -> str:
    """A check's name with the formats named as people name them."""
    for form, word in (("tensorflow_saved_model_bundle", "SavedModel"), ("keras_v3", "Keras"), ("onnx", "ONNX")):
        name = re.sub(rf"\b{form}\b", word, name)
    return name
