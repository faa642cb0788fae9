"""What a verification found: for a person as a table and a list of what to change, for a machine as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

Status = Literal["passed", "failed", "advice", "skipped"]
Matter = Literal["fiji", "zoo", "better"]
Verdict = Literal["yes", "no", "not known"]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: what was checked.
        status: "skipped" is never silent: the message says why. "advice" is a fault that does no harm.
        message: what holds, or what is wrong and what to do.
        value: what was measured: a difference in standard deviations of the output.
        limit: the largest value that passes.
        matters: for what: so that Fiji runs it ("fiji"), so that the zoo accepts it ("zoo"), or just "better".
        change: the lines to write into rdf.yaml, where they can be given exactly.
    """

    name: str
    status: Status
    message: str
    value: float | None = None
    limit: float | None = None
    matters: Matter = "fiji"
    change: str | None = None


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

    def failed(self, matters: Matter) -> list[Check]:
        """What failed of the checks that matter for one thing."""
        return [check for check in self.checks if check.status == "failed" and check.matters == matters]

    def verdict(self, matters: Matter) -> Verdict:
        """Whether it runs in Fiji, or is accepted by the zoo; not known where a check of that was not run."""
        if self.failed(matters) or not self.checks:
            return "no"
        skipped = any(check.status == "skipped" and check.matters == matters for check in self.checks)
        return "not known" if skipped else "yes"

    @property
    def summary(self) -> str:
        """The verdicts in one line."""
        parts = []
        goals: tuple[tuple[Matter, str], ...] = (("fiji", "Runs in Fiji"), ("zoo", "the zoo accepts it"))
        for matters, words in goals:
            verdict = self.verdict(matters)
            count = len(self.failed(matters))
            more = {"yes": "", "no": f", {_things(count)} to change", "not known": " (see what was not run)"}[verdict]
            parts.append(f"{words}: {verdict}{more}")
        advised = sum(check.status == "advice" for check in self.checks)
        if advised:
            parts.append(f"{_things(advised)} could be better")
        return f"{'; '.join(parts)}."

    def to_json(self) -> str:
        """The report for machines."""
        facts = {
            "package": self.name,
            "source": str(self.source),
            "ok": self.ok,
            "tolerance": self.tolerance,
            "versions": self.versions,
            "checks": [asdict(check) for check in self.checks],
            "runs_in_fiji": self.verdict("fiji"),
            "zoo_accepts": self.verdict("zoo"),
            "summary": self.summary,
        }
        return json.dumps(facts, indent=2)

    def table(self) -> Group:
        """The report for people: what holds as a table, then what to change, the most urgent first."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(f"{self.name} ({self.source})"))
        table.add_column("")
        table.add_column("Check", overflow="fold")
        table.add_column("Difference", no_wrap=True)
        table.add_column("Limit", no_wrap=True)
        table.add_column("What it says", overflow="fold")
        passed = [check for check in self.checks if check.status == "passed"]
        held = [check for check in passed if check.name.startswith("rule: ")]
        if held:
            table.add_row(Text("ok", "green"), f"{len(held)} rules hold", "", "", "")
        for check in passed:
            if check in held:
                continue
            numbers = ["" if number is None else f"{number:.1e}" for number in (check.value, check.limit)]
            table.add_row(Text("ok", "green"), Text(for_people(check.name)), *numbers, Text(check.message))
        failed = sum(check.status == "failed" for check in self.checks)
        count = len(self.checks)
        end = f"{failed} of {count} checks failed." if failed else f"{len(passed)} of {count} checks passed."
        if len(passed) == count:
            end = f"All {count} checks passed."
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        parts = [table, *self._lists(), Text(end, "bold red" if failed else "bold green"), Text(versions, "dim")]
        return Group(*parts, Text(self.summary, "bold"))

    def _lists(self) -> Iterator[RenderableType]:
        """What to change, and what was not run, under a heading each."""
        from rich.padding import Padding
        from rich.text import Text

        lists = (
            ("To change, so that it runs in Fiji", "bold red", self.failed("fiji")),
            ("To change, so that the zoo accepts it", "bold red", self.failed("zoo")),
            ("Could be better", "bold yellow", [check for check in self.checks if check.status == "advice"]),
            ("Not run", "bold yellow", [check for check in self.checks if check.status == "skipped"]),
        )
        for heading, style, checks in lists:
            if not checks:
                continue
            yield Text(f"\n{heading}:", style)
            for number, check in enumerate(checks, start=1):
                measured = "" if check.value is None else f" (difference {check.value:.1e}, limit {check.limit:.1e})"
                yield Text(f"{number}. {for_people(check.name)}: {check.message}{measured}")
                if check.change:
                    yield Padding(Text(check.change, "cyan"), (0, 0, 0, 4))
        yield Text("")


def for_people(name: str) -> str:
    """A check's name with the formats named as people name them."""
    for form, word in (("tensorflow_saved_model_bundle", "SavedModel"), ("keras_v3", "Keras"), ("onnx", "ONNX")):
        name = re.sub(rf"\b{form}\b", word, name)
    return name


def _things(count: int) -> str:
    return "1 thing" if count == 1 else f"{count} things"
