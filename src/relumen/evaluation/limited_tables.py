"""Table 2 of Razdaibiedina et al. on any data, for people (Markdown, terminal) and for machines (CSV)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from relumen.evaluation.limited_rows import LimitedEvaluation, Pooled, Row
from relumen.evaluation.made_defects import Share
from relumen.evaluation.tables import Cells, published_lines, terminal, told_of
from relumen.tables import as_csv, markdown

if TYPE_CHECKING:
    from rich.table import Table

_WAYS = (
    ("as they are", ""),
    ("after CSBDeep's affine fit", "_fitted"),
    ("as the authors rescaled, each image by its own extremes", "_rescaled"),
)
"""How images are judged: in words, and how the names of its figures end."""


def tables(found: LimitedEvaluation) -> Iterator[tuple[str, list[str], Cells]]:
    """Every table of what was found here: title, columns, rows."""
    defects = found.evaluation.conditions
    for words, suffix in _WAYS:
        rows = [
            [row.method, row.pairs, _networks(row, found), *(_cell(row, found, name, suffix) for name in defects)]
            for row in found.rows
        ]
        yield f"PSNR / SSIM {words}", ["method", "real pairs", "networks", *defects], rows
    if told := list(_told(found)):
        yield "Which defect an image has, as told by a simple classifier", ["images", *defects], told
    if found.made:
        columns = ["run", "defect", "made", "real"]
        yield "PSNR (dB) between clean images and those with the defect", columns, list(_divergence(found))
    if differences := list(_differences(found)):
        columns = ["run", "defects", "mean absolute difference"]
        yield "One input, several defects, in standard deviations of the input", columns, differences


def published_table(found: LimitedEvaluation) -> tuple[str, list[str], Cells]:
    """What was published, never on these very images, with the rows of the same training."""
    paper = found.evaluation.paper
    beside = {
        row.published.name: ", ".join(_label(each) for each in found.rows if each.published is row.published)
        for row in found.rows
        if row.published
    }
    rows = [[name, beside.get(name, ""), *more] for name, _, *more in published_lines(found.evaluation)]
    whose = "images not named" if found.evaluation.papers_data else "other images"
    columns = ["published", "beside", *(f"{column}, {whose}" for column in paper.columns), "where"]
    return f"Published on {paper.data}, for reference ({paper.source})", columns, rows


def as_markdown(found: LimitedEvaluation) -> str:
    """Everything, with the notes above the tables."""
    evaluation = found.evaluation
    parts = [f"# {evaluation.paper.system} on held-out images", "\n".join(f"- {note}" for note in evaluation.notes)]
    for title, columns, rows in (*tables(found), published_table(found)):
        parts += [f"## {title}", markdown(columns, rows)]
    return "\n\n".join(parts) + "\n"


def for_terminal(found: LimitedEvaluation) -> Iterator[Table]:
    """All tables, and of the published rows those that stand beside one of these."""
    for title, columns, rows in tables(found):
        yield terminal(title, columns, [rows])
    title, columns, rows = published_table(found)
    yield terminal(title, columns[:-1], [[row[:-1] for row in rows if row[1]]])


def table_csv(found: LimitedEvaluation) -> str:
    """One line for each method and defect: means, deviations over the seeds, and the published row beside them."""
    paper = found.evaluation.paper
    lines = []
    for row in found.rows:
        figures = row.published.figures if row.published else [""] * len(paper.columns)
        for defect in found.evaluation.conditions:
            pooled = row.pooled(found.evaluation, defect)
            if pooled is None:
                continue
            told = told_of(pooled.mean)
            numbers = {name: value for name, value in told.items() if isinstance(value, float)}
            lines.append(
                {
                    "method": row.method,
                    "pairs": row.pairs,
                    "defect": defect,
                    "networks": "; ".join(row.networks),
                    "seeds": pooled.seeds,
                    "images": pooled.mean.image,
                    **numbers,
                    **{f"{name}_sd": pooled.deviation.get(name, "") for name in numbers},
                    "published": row.published.name if row.published else "",
                    **{f"published {c}": figure for c, figure in zip(paper.columns, figures, strict=True)},
                }
            )
    return as_csv(lines)


def images_csv(found: LimitedEvaluation) -> str:
    """One line for each image and network, with the row that the network is in."""
    rows = {name: row for row in found.rows for name in row.networks}
    lines = []
    for score in found.evaluation.scores:
        told = told_of(score)
        row = rows[score.method]
        place = {"defect": told.pop("condition"), "network": told.pop("method")}
        lines.append({"method": row.method, "pairs": row.pairs, **place, **told})
    return as_csv(lines)


def _networks(row: Row, found: LimitedEvaluation) -> str:
    """How many there are for a defect."""
    if row is found.rows[0]:
        return ""
    counts = [pooled.seeds for name in found.evaluation.conditions if (pooled := row.pooled(found.evaluation, name))]
    number = str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"{number} for each defect" if row.apart else number


def _cell(row: Row, found: LimitedEvaluation, defect: str, suffix: str) -> str:
    pooled = row.pooled(found.evaluation, defect)
    return "" if pooled is None else f"{_figure(pooled, 'psnr' + suffix, 2)} / {_figure(pooled, 'ssim' + suffix, 3)}"


def _figure(pooled: Pooled, name: str, digits: int) -> str:
    deviation = pooled.deviation.get(name)
    words = f"{getattr(pooled.mean, name):.{digits}f}"
    return words if deviation is None else f"{words} +- {deviation:.{digits}f}"


def _label(row: Row) -> str:
    return f"{row.method}, {row.pairs}" if row.pairs else row.method


def _told(found: LimitedEvaluation) -> Iterator[list[str]]:
    """Real images once for each size of the parts, then the made ones of each run."""
    defects = found.evaluation.conditions
    for side in dict.fromkeys(made.side for made in found.made):
        runs = [made for made in found.made if made.side == side and made.made]
        real = {name: share for made in runs for name, share in made.real.items()}
        if runs:
            yield [f"real, held out, {side} x {side}", *(_share(real.get(name)) for name in defects)]
        for made in runs:
            yield [f"made by {made.run}", *(_share(made.made.get(name)) for name in defects)]


def _share(share: Share | None) -> str:
    return f"{100 * share.right / share.total:.0f} % of {share.total}" if share and share.total else ""


def _divergence(found: LimitedEvaluation) -> Iterator[list[str]]:
    for made in found.made:
        for name, figures in made.divergence.items():
            yield [made.run, name, *(f"{value:.2f}" for value in figures)]


def _differences(found: LimitedEvaluation) -> Iterator[list[str]]:
    for made in found.made:
        for (a, b), value in made.differences.items():
            yield [made.run, f"{a} - {b}", f"{value:.3f}"]
