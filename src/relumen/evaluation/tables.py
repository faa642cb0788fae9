"""An evaluation as tables: for people (Markdown, terminal) and for machines (CSV)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from relumen.evaluation.scores import MEAN, Evaluation, Score
from relumen.tables import as_csv, markdown

if TYPE_CHECKING:
    from rich.table import Table

Cells = list[list[str]]


def heading(evaluation: Evaluation) -> list[str]:
    """The columns of the tables of figures: method, kind, each channel, the mean of several, and what is published."""
    channels = [channel or "all images" for channel in evaluation.channels]
    beside = evaluation.paper.beside
    return ["method", "PSNR / SSIM", *channels, *([MEAN] if len(channels) > 1 else []), *([beside] if beside else [])]


def lines(evaluation: Evaluation, condition: str) -> list[Cells]:
    """The lines of each method under one condition: raw, affine-fitted, and as published where the data is the paper's.

    For other data see :func:`published_lines`: the paper's channels are none of its columns.
    """
    paper = evaluation.paper
    blocks = []
    for method in evaluation.methods:
        means = {score.channel: score for score in evaluation.means(condition, method.name)}
        columns = [*evaluation.channels, *([MEAN] if len(evaluation.channels) > 1 else [])]
        block = [
            [method.name, "raw", *(means[c].raw if c in means else "" for c in columns)],
            ["", "affine fit", *(means[c].fitted if c in means else "" for c in columns)],
        ]
        if method.published and evaluation.papers_data:
            told: dict[str, str] = dict(zip(paper.columns, method.published.figures, strict=True))
            block.append(["", f"published: {method.published.name}", *(told.get(c, "") for c in columns)])
        if paper.beside:
            row = method.published
            for line, cell in zip(block, (f"{row.figures[0]} ({row.name})" if row else "", ""), strict=True):
                line.append(cell)
        blocks.append(block)
    return blocks


def published_lines(evaluation: Evaluation) -> Cells:
    """The published rows, each with the methods that it stands beside."""
    return [
        [row.name, ", ".join(m.name for m in evaluation.methods if m.published is row), *row.figures, row.where]
        for row in evaluation.paper.rows
    ]


def as_markdown(evaluation: Evaluation) -> str:
    """Everything, with the notes above the tables."""
    paper = evaluation.paper
    parts = [f"# {paper.system} on held-out images", "\n".join(f"- {note}" for note in evaluation.notes)]
    for condition in evaluation.conditions:
        parts.append(f"## Input: {condition}")
        parts.append(markdown(heading(evaluation), [row for block in lines(evaluation, condition) for row in block]))
    parts.append(f"## Published on {paper.data}, for reference ({paper.source})")
    parts.append(markdown(["published", "beside", *paper.columns, "where"], published_lines(evaluation)))
    return "\n\n".join(parts) + "\n"


def for_terminal(evaluation: Evaluation) -> Iterator[Table]:
    """The table of each condition, then the published rows that stand beside a method, unless they do so in these."""
    paper = evaluation.paper
    columns = heading(evaluation)
    for condition in evaluation.conditions:
        yield terminal(f"Input: {condition}", columns, lines(evaluation, condition))
    if not evaluation.papers_data and not paper.beside:
        beside = [row[:-1] for row in published_lines(evaluation) if row[1]]
        yield terminal(f"Published on {paper.data}, for reference", ["published", "beside", *paper.columns], [beside])


def terminal(title: str, columns: Sequence[str], blocks: Iterable[Cells]) -> Table:
    """A table for the terminal, with a line between blocks of rows; its words are not cut, however narrow that is."""
    from rich.markup import escape
    from rich.table import Table

    blocks = list(blocks)
    table = Table(title=escape(title), title_justify="left")
    for name, *cells in zip(columns, *(row for block in blocks for row in block), strict=True):
        words = (word for text in (name, *cells) for word in text.split())
        table.add_column(escape(name), min_width=max(map(len, words), default=0))
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
            columns = evaluation.paper.columns
            figures = method.published.figures if method.published else [""] * len(columns)
            told = {
                "published": method.published.name if method.published else "",
                **{f"published {column}": figure for column, figure in zip(columns, figures, strict=True)},
            }
            for score in evaluation.means(condition, method.name):
                row = told_of(score)
                row["images"] = row.pop("image")
                rows.append({**row, **told})
    return as_csv(rows)


def images_csv(evaluation: Evaluation) -> str:
    """One line for each image and method."""
    return as_csv(map(told_of, evaluation.scores))


def told_of(score: Score) -> dict[str, str | float]:
    """A score by the names of its columns, without figures that are not wanted."""
    return {name: value for name, value in asdict(score).items() if value is not None}
