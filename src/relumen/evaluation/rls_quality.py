"""Image quality of RLS and other methods: Table 1, Fig. 2, and the ablation of Fig. 7."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from relumen.evaluation.gheisari_genovesio import ABLATED, FIGURE_7, QUALITY, SOURCE, TABLE_1
from relumen.evaluation.report import Part, Report, report_of_parts
from relumen.evaluation.rls_methods import Made, OnDone
from relumen.evaluation.rls_pictures import as_squares, mosaic, spread
from relumen.evaluation.rls_scores import COLUMNS, Networks, Realism, check_scores, distance_cells, images_told, scores
from relumen.evaluation.rls_study import Study
from relumen.evaluation.rls_truth import load_truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

What = Literal["table 1", "figure 7"]
OTHERS = "other true images"


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
        UserError: a network that can't be had, or images too few or too small for the scores.
    """
    check_scores(study)
    networks = networks or Networks()
    made = study.make(on_done)
    rows = scores(study, made, networks)
    floor = _floor(study, networks)
    last = rows[-1]
    columns = ["method", *COLUMNS, f"{last.method} is nearer on"]
    nearer = ["" if row is last else f"{last.distance.nearer_than(row.distance):.0%} of halves" for row in rows]
    cells = [[row.method, *row.cells(), share] for row, share in zip(rows, nearer, strict=True)] + floor
    heading = f"{what.capitalize()}, {study.factor}x"
    notes = [
        *study.notes(),
        networks.describe()
        + " The kernel distance is KID's estimator; its interval holds 95 % of the values on random "
        "halves. The same halves are drawn for all methods: the last column compares on them one by one. "
        "A Frechet distance of fewer images than features is biased: look at the kernel distance first.",
        "PSNR over 0 to 1, dB; residual: mean absolute difference at low resolution; prior distance: mean ||F(w)||, of "
        f"which {study.prior.generator.architecture.w_dim**0.5:.1f} is typical of the prior.",
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
    return [[OTHERS, *distance_cells(distance), f"{frechet:.1f}", *[""] * (len(COLUMNS) - 2)]]


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
