"""How good a prior is: whether its flow makes style vectors Gaussian (Fig. 1 of RLS), and what its images look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relumen.evaluation.gaussianization import (
    COLUMNS,
    Norms,
    cells_of,
    draw_gaussianization,
    gaussianization,
    told_of,
)
from relumen.evaluation.report import Part, Report, report_of_parts
from relumen.prior.folder import Prior
from relumen.prior.samples import samples
from relumen.prior.whitening import Whitening

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CODES = 5_000  # of the figure (Gheisari and Genovesio, Fig. 1)
_WHITENED_BY = 100_000  # codes of which PULSE's statistics are; PULSE draws a million
_JUDGED, _WHITENING = 31, 32  # purposes that set the seeds of codes apart
_SHOWN, _COLUMNS = 48, 8


def norms_of(prior: Prior, *, count: int = CODES, seed: int = 0) -> tuple[Norms, ...]:
    """Squared norms of z, w, PULSE's whitened w and F(w), of codes that no statistics were taken of.

    Args:
        prior: with its flow.
        count: of codes.
        seed: equal seeds give equal codes.

    Raises:
        UserError: the prior has no flow.
    """
    from relumen.training.flow import transformed

    flow = prior.flow
    z, w = prior.style_vectors(count, (seed, _JUDGED))
    whitening = Whitening.of(prior.style_vectors(_WHITENED_BY, (seed, _WHITENING))[1])
    return gaussianization({"z": z, "w": w, "PULSE": whitening(w), "F(w)": transformed(flow, w)[0]})


def report_on(prior: Prior, *, count: int = CODES, seed: int = 0) -> Report:
    """The table and Fig. 1 of a prior, and a grid of its images.

    Raises:
        UserError: the prior has no flow.
    """
    rows = norms_of(prior, count=count, seed=seed)
    return report_of_parts(
        "Squared norms",
        [f"Squared norms of {count} codes that the flow was not trained on, and of which no statistics are."],
        [Part("", COLUMNS, [cells_of(rows)])],
        map(told_of, rows),
        figures=[("figure-1.png", draw_gaussianization(rows)), ("figure-samples.png", _draw_samples(prior, seed))],
    )


def _draw_samples(prior: Prior, seed: int) -> Figure:
    from matplotlib.figure import Figure

    from relumen.pictures import grid

    picture = grid(samples(prior, _SHOWN, seed), _COLUMNS)
    figure = Figure(figsize=(8, 8 * picture.shape[0] / picture.shape[1] + 0.3), layout="constrained")
    axes = figure.subplots()
    axes.imshow(picture)
    axes.axis("off")
    axes.set_title(f"Synthesised by {prior.path.name}: no microscope took these", fontsize=9)
    return figure
