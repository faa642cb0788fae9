"""Image quality of RLS and other methods: Table 1, Fig. 2, and the ablation of Fig. 7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from relumen.evaluation.gheisari_genovesio import ABLATED, FIGURE_7, QUALITY, SOURCE, TABLE_1
from relumen.evaluation.report import Part, Report, report_of_parts
from relumen.evaluation.rls_methods import Made, OnDone
from relumen.evaluation.rls_scores import COLUMNS, Networks, Realism, images_told, scores
from relumen.evaluation.rls_study import Study
from relumen.evaluation.rls_truth import load_truth
from relumen.pictures import in_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

What = Literal["table 1", "figure 7"]
OTHERS = "other true images"
_ROWS = 6  # of pictures


def report_on(
    study: Study, what: What, networks: Networks | None = None, on_done: OnDone = lambda done, total: None
) -> Report:
    """The table, and pictures of what each method makes.

    Args:
        study: whose methods are the rows.
        what: which of the paper's.
        networks: what images are seen by.
        on_done: told (images done, in all).

    Raises:
        UserError: a network that can't be had.
    """
    networks = networks or Networks()
    made = study.make(on_done)
    rows = scores(study, made, networks)
    floor = _floor(study, networks)
    columns = ["method", *COLUMNS]
    cells = [[row.method, *row.cells()] for row in rows] + floor
    heading = f"{what.capitalize()}, {study.factor}x"
    notes = [
        *study.notes(),
        networks.describe()
        + " The kernel distance is KID's estimator; its interval holds 95 % of the values on random "
        "halves. A Frechet distance of fewer images than features is biased: look at the kernel distance first.",
        "PSNR over 0 to 1, dB; residual: mean absolute difference at low resolution; ||F(w)||: "
        f"{study.prior.generator.architecture.w_dim**0.5:.1f} is typical of the prior.",
    ]
    told, published = _published(study.factor, what)
    beside = f"Published on other images, for reference ({SOURCE})"
    return report_of_parts(
        heading,
        notes,
        [Part("", columns, [cells]), *([Part(beside, told, [published])] if published else [])],
        (row.told() for row in rows),
        images_told(study, rows),
        [(f"figure-{'2' if what == 'table 1' else '7'}.png", _pictures(study, made))],
    )


def _floor(study: Study, networks: Networks) -> list[list[str]]:
    """The distance of other true images of the same kind, which no method can be expected to come below."""
    if study.config.drawn is None:
        return []
    count = len(study.truth.of(study.truth.names[0]))
    others = load_truth(study.config, study.truth.images.shape[1], count, study.seed + 1)
    distance, frechet = Realism(study, networks)(others.images)
    interval = f"{distance.low:.3f} to {distance.high:.3f}"
    return [[OTHERS, f"{distance.value:.3f}", interval, f"{frechet:.1f}", *[""] * (len(COLUMNS) - 3)]]


def _published(factor: int, what: What) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the paper's table at this factor; no row where it has none."""
    rows = TABLE_1.get(factor, {}) if what == "table 1" else (FIGURE_7 if factor == 16 else {})
    columns = QUALITY if what == "table 1" else ABLATED
    return ["method", *columns], [[name, *figures] for name, figures in rows.items()]


def _pictures(study: Study, made: Mapping[str, Made]) -> Figure:
    """Fig. 2: rows of images of all conditions; LR, what each method makes, HR."""
    chosen = spread(study)
    columns = {
        "LR": as_squares(study.low[chosen], study.factor),
        **{name: each.images[chosen] for name, each in made.items()},
    }
    columns["HR"] = study.truth.images[chosen]
    return mosaic(columns, [str(study.truth.conditions[i]) for i in chosen], "All but LR and HR are synthesised")


def spread(study: Study, count: int = _ROWS) -> NDArray[np.intp]:
    """Images of all conditions in turn."""
    of = [np.flatnonzero(study.truth.conditions == name) for name in study.truth.names]
    return np.array([part[i] for i in range(count) for part in of if i < len(part)][:count])


def as_squares(low: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Low-resolution images (n, m, m, channels) with their pixels as squares."""
    return low.repeat(factor, 1).repeat(factor, 2)


def mosaic(columns: Mapping[str, NDArray], rows: Sequence[str], title: str) -> Figure:
    """Images in rows and named columns.

    Args:
        columns: by name, images (rows, y, x, channels), 0..1.
        rows: what each row is of.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 * len(columns) + 0.5, 1.62 * len(rows) + 0.7), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for column, (name, images) in enumerate(columns.items()):
        axes[0, column].set_title(name, fontsize=9)
        for row, image in enumerate(images):
            axes[row, column].imshow(in_colour(image))
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
    for row, name in enumerate(rows):
        axes[row, 0].set_ylabel(name, fontsize=8)
    figure.suptitle(title, fontsize=9)
    return figure
