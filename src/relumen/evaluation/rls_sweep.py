"""How stable RLS is in its two weights, its likelihood a sum or a mean (Gheisari and Genovesio, Sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relumen.evaluation.report import Part, Report, report_of_parts
from relumen.evaluation.rls_methods import Method, OnDone
from relumen.evaluation.rls_scores import COLUMNS, Networks, Score, check_scores, images_told, scores
from relumen.evaluation.rls_study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DENSITIES = (0.0, 1e-6, 1e-5, 5e-5, 5e-4, 5e-3)
CROSSES = (0.0, 3e-4, 0.001, 0.005, 0.01, 0.05)
PAPERS = {"density": (5e-5, 1e-6, 5e-4), "cross": (0.01, 0.005, 0.05)}
"""Of each weight the paper's choice, and from where to where it found the search to work well."""
_SYMBOLS = {"density": "lambda_w", "cross": "lambda_c"}


@dataclass(frozen=True)
class Point:
    """A setting of the sweep.

    Attributes:
        weight: which is changed, "density" or "cross"; the other is that of the preset rls-annealed.
        value: of it.
        reduce: whether the likelihood is a sum or a mean.
    """

    weight: str
    value: float
    reduce: str

    @property
    def method(self) -> Method:
        """The search."""
        if self.weight == "density":
            changes = (f"density={self.value}",)
        else:
            changes = (f"cross.weight={self.value}",) if self.value else ("cross=null",)
        name = f"{_SYMBOLS[self.weight]} = {self.value:g}, {self.reduce}"
        return Method(name, overrides=(f"likelihood.reduce={self.reduce}", *changes))


POINTS = tuple(
    Point(weight, value, reduce)
    for reduce in ("sum", "mean")
    for weight, values in (("density", DENSITIES), ("cross", CROSSES))
    for value in values
)


def report_on(study: Study, networks: Networks | None = None, on_done: OnDone = lambda done, total: None) -> Report:
    """A row for each weight's value, and how fidelity and realism go with it; the study's own methods aren't used.

    Args:
        study: which images.
        networks: what images are seen by.
        on_done: told (images done, in all).

    Raises:
        UserError: a network that can't be had, or images too few or too small for the scores.
    """
    check_scores(study)
    networks = networks or Networks()
    study = replace(study, methods=tuple(point.method for point in POINTS))
    rows = scores(study, study.make(on_done), networks)
    cells = [[row.method, *row.cells()] for row in rows]
    notes = [
        *study.notes(),
        "The preset rls-annealed, of which one weight is changed. The paper has lambda_w = 5e-5 and lambda_c = 0.01, "
        "found lambda_w from 1e-6 to 5e-4 and lambda_c from 0.005 to 0.05 to work well, without a figure, and leaves "
        "open whether its likelihood is a sum or a mean over pixels.",
        networks.describe(),
    ]
    return report_of_parts(
        f"Weights of the priors, {study.factor}x",
        notes,
        [Part("", ["setting", *COLUMNS], [cells])],
        (row.told() for row in rows),
        images_told(study, rows),
        [("figure-sweep.png", _draw(rows))],
    )


def _draw(rows: list[Score]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 3, squeeze=False)
    measures = {
        "kernel distance": lambda row: row.distance.value,
        "residual at low resolution": lambda row: row.residual.mean(),
        "PSNR, dB": lambda row: row.psnr.mean(),
    }
    for line, weight in zip(axes, ("density", "cross"), strict=True):
        chosen, low, high = PAPERS[weight]
        for axis, (name, measure) in zip(line, measures.items(), strict=True):
            for reduce in ("sum", "mean"):
                at = [i for i, point in enumerate(POINTS) if (point.weight, point.reduce) == (weight, reduce)]
                smallest = min(POINTS[i].value for i in at if POINTS[i].value) / 10  # where 0 is drawn
                values = [POINTS[i].value or smallest for i in at]
                axis.plot(values, [measure(rows[i]) for i in at], "o-", label=f"likelihood: {reduce}", ms=4)
            axis.axvspan(low, high, color="0.9")
            axis.axvline(chosen, color="0.6", lw=1)
            axis.set_xscale("log")
            axis.set_xlabel(f"{_SYMBOLS[weight]} (leftmost: 0)", fontsize=8)
            axis.set_ylabel(name, fontsize=8)
            axis.tick_params(labelsize=7)
    axes[0, 0].legend(fontsize=7)
    figure.suptitle("Grey: where the paper found the search to work well; line: its choice", fontsize=9)
    return figure
