"""What `relumen evaluate limited` leaves: its tables, and the figures for which there are networks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure

from relumen.evaluation.limited_figures import Restored, draw_boxes, draw_divergence, draw_made, draw_restored
from relumen.evaluation.limited_rows import LimitedEvaluation, Row
from relumen.evaluation.limited_tables import as_markdown, for_terminal, images_csv, table_csv
from relumen.evaluation.razdaibiedina import CARE, CYCLEGAN, DEBLURGAN, OURS, OURS_ALONE, PAIRS, REAL, SEPARATE
from relumen.evaluation.report import Report
from relumen.evaluation.scores import Evaluation, Float32, Sample


def report_on(found: LimitedEvaluation) -> Report:
    """Tables and figures of an evaluation."""
    texts = {"table.md": as_markdown(found), "table.csv": table_csv(found), "images.csv": images_csv(found)}
    return Report(found.evaluation.notes, tuple(for_terminal(found)), texts, figures(found))


def figures(found: LimitedEvaluation) -> Iterator[tuple[str, Figure]]:
    """Figs. 3 to 7, each where there are networks for it, with the name of its file."""
    evaluation, rows = found.evaluation, found.rows
    if restorers := _ours(rows):
        shown = next((row for row in restorers if row.pairs == str(PAIRS)), restorers[0])
        yield "figure-3.png", draw_restored(_restored(evaluation, [shown]))
    compared = _compared(rows)
    for pairs, group in compared.items():
        name = "figure-4.png" if len(compared) == 1 else f"figure-4-{_words(pairs)}.png"
        yield name, draw_restored(_restored(evaluation, group))
    boxed = [row for row in rows if row.kind in (REAL, SEPARATE, OURS)]
    if len({row.kind for row in boxed}) > 1:
        yield "figure-5.png", draw_boxes(_spread_of_psnr(evaluation, boxed))
    for made in found.made:
        end = f"-{_words(made.run)}.png" if len(found.made) > 1 else ".png"
        yield f"figure-6{end}", draw_made(made.examples)
        if made.curves:
            yield f"figure-7{end}", draw_divergence(made.curves, made.real_curves)


def _ours(rows: Sequence[Row]) -> list[Row]:
    """The rows of Fig. 3: restorers that saw CIN-GAN's defects; where there are none, all that are no baseline."""
    ours = [row for row in rows if row.kind in (OURS, OURS_ALONE)]
    return ours or [row for row in rows[1:] if row.kind not in (CARE, DEBLURGAN, CYCLEGAN)]


def _compared(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of Fig. 4 by the number of pairs: CARE, DeblurGAN, ours, CycleGAN; without pairs the latter two."""
    unpaired = [row for row in rows if row.kind == CYCLEGAN]
    found = {
        pairs: [row for row in rows if row.pairs == pairs and row.kind in (CARE, DEBLURGAN, OURS)] + unpaired
        for pairs in dict.fromkeys(row.pairs for row in rows if row.kind in (CARE, DEBLURGAN))
    }
    if not found and unpaired:
        return {unpaired[0].pairs: unpaired + [row for row in rows if row.kind == OURS_ALONE]}
    return found


def _restored(evaluation: Evaluation, rows: Sequence[Row]) -> list[Restored]:
    """The first example of each defect, as far as a network was made for it."""
    found = []
    for defect in evaluation.conditions:
        sample = next(each for each in evaluation.samples if each.scores[0].condition == defect)
        cells = [cell for row in rows for cell in _cell(row, sample)]
        if cells:
            untouched = sample.scores[0]
            image = untouched.image.removeprefix(f"{defect}/")
            first = ("input", untouched.raw, sample.images[0])
            found.append(Restored(defect, (first, *cells), sample.target, image))
    return found


def _cell(row: Row, sample: Sample) -> Iterator[tuple[str, str, Float32]]:
    """What a row's first network that takes the image makes of it."""
    for score, image in zip(sample.scores, sample.images, strict=True):
        if score.method in row.networks:
            yield f"{row.method}\nreal pairs: {row.pairs}", score.raw, image
            return


def _spread_of_psnr(evaluation: Evaluation, rows: Sequence[Row]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """PSNR of all images by defect, then number of pairs, then method, without what is empty."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for defect in evaluation.conditions:
        for row in rows:
            if values := row.psnr(evaluation, defect):
                found.setdefault(defect, {}).setdefault(row.pairs, {})[row.method] = values
    return found


def _words(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name).strip("-")
