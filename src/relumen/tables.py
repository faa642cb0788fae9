"""Tables as text: for people (Markdown) and for machines (CSV)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table.

    >>> print(markdown(["method", "|x|"], [["a|b", "20.1"]]))
    | method | \|x\| |
    | --- | --- |
    | a\|b | 20.1 |
    """
    table = [columns, ["---"] * len(columns), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in table)
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def as_csv(rows: Iterable[Mapping[str, str | float]]) -> str:
    """Lines that all have the columns of the first."""
    rows, text = list(rows), StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
