"""An evaluation as tables: for people (Markdown, terminal) and for machines (CSV)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from io import StringIO
from typing import TYPE_CHECKING

from relumen.evaluation.published import CHANNELS, ROWS, SOURCE
from relumen.evaluation.scores import MEAN, Evaluation

if TYPE_CHECKING:
    from rich.table import Table

Cells = list[list[str]]


def heading(evaluation: Evaluation) -> list[str]:
    """The columns of the tables of figures: method, kind, each channel, and the mean of several channels."""
    channels = [channel or "all images" for channel in evaluation.channels]
    return ["method", "PSNR / SSIM", *channels, *([MEAN] if len(channels) > 1 else [])]


def lines(evaluation: Evaluation, condition: str) -> list[Cells]:
    """The lines of each method under one condition: raw, affine-fitted, and as published where the data is W2S.

    For other data see :func:`published_lines`: W2S's channels are none of its columns.
    """
    blocks = []
    for method in evaluation.methods:
        means = {score.channel: score for score in evaluation.means(condition, method.name)}
        columns = [*evaluation.channels, *([MEAN] if len(evaluation.channels) > 1 else [])]
        block = [
            [method.name, "raw", *(means[c].raw if c in means else "" for c in columns)],
            ["", "affine fit", *(means[c].fitted if c in means else "" for c in columns)],
        ]
        if method.published and evaluation.on_w2s:
            told: dict[str, str] = dict(zip(CHANNELS, method.published.figures, strict=True))
            block.append(["", f"published: {method.published.name}", *(told.get(c, "") for c in columns)])
        blocks.append(block)
    return blocks


def published_lines(evaluation: Evaluation) -> Cells:
    """The published rows, each with the methods that it stands beside."""
    return [
        [row.name, ", ".join(m.name for m in evaluation.methods if m.published is row), *row.figures, row.where]
        for row in ROWS
    ]


def as_markdown(evaluation: Evaluation) -> str:
    """Everything, with the notes above the tables."""
    parts = ["# ESRGAN on held-out images", "\n".join(f"- {note}" for note in evaluation.notes)]
    for condition in evaluation.conditions:
        parts.append(f"## Input: {condition}")
        parts.append(_markdown(heading(evaluation), [row for block in lines(evaluation, condition) for row in block]))
    parts.append(f"## Published on W2S, for reference ({SOURCE})")
    parts.append(_markdown(["published", "beside", *CHANNELS, "where"], published_lines(evaluation)))
    return "\n\n".join(parts) + "\n"


def _markdown(columns: list[str], rows: Cells) -> str:
    table = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def for_terminal(evaluation: Evaluation) -> Iterator[Table]:
    """The table of each condition, then the published rows that stand beside a method, where the data is not W2S."""
    columns = heading(evaluation)
    for condition in evaluation.conditions:
        yield _terminal(f"Input: {condition}", columns, lines(evaluation, condition))
    if not evaluation.on_w2s:
        beside = [row[:-1] for row in published_lines(evaluation) if row[1]]
        yield _terminal("Published on W2S, for reference", ["published", "beside", *CHANNELS], [beside])


def _terminal(title: str, columns: list[str], blocks: Iterable[Cells]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*map(escape, columns), title=escape(title), title_justify="left")
    for block in blocks:
        for row in block:
            table.add_row(*map(escape, row))
        table.add_section()
    return table


def table_csv(evaluation: Evaluation) -> str:
    """One line for each condition, channel and method: means, and the published row beside them."""
    rows = []
    for condition in evaluation.conditions:
        for method in evaluation.methods:
            figures = method.published.figures if method.published else ("", "", "")
            told = {
                "published": method.published.name if method.published else "",
                **{f"published {channel}": figure for channel, figure in zip(CHANNELS, figures, strict=True)},
            }
            for score in evaluation.means(condition, method.name):
                row = asdict(score)
                row["images"] = row.pop("image")
                rows.append({**row, **told})
    return _csv(rows)


def images_csv(evaluation: Evaluation) -> str:
    """One line for each image and method."""
    return _csv(asdict(score) for score in evaluation.scores)


def _csv(rows: Iterable[Mapping[str, str | float]]) -> str:
    rows, text = list(rows), StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
