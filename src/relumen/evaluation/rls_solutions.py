"""Several solutions of one image: Fig. 8 of RLS, and what is known of an image's feature by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import numpy as np

from relumen.evaluation.report import Part, Report, report_of_parts
from relumen.evaluation.rls_methods import ANNEALED, Made, OnDone
from relumen.evaluation.rls_pictures import as_squares, mosaic, spread
from relumen.evaluation.rls_scores import fidelity
from relumen.evaluation.rls_study import Study
from relumen.search.config import Form, UncertaintyConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from relumen.evaluation.assays import Assay

FORMS: tuple[Form, ...] = get_args(Form)
_SHOWN = 4  # images in the figure of a form


def report_on(
    study: Study,
    count: int = 5,
    forms: Sequence[Form] = FORMS,
    assay: Assay | None = None,
    on_done: OnDone = lambda done, total: None,
) -> Report:
    """How solutions by each form differ and fit; with an assay, how well their feature tells that of the true image.

    Args:
        study: which images; its methods aren't used.
        count: of solutions, 2 or more.
        forms: how they are found.
        assay: whose feature is measured on every solution.
        on_done: told (images done, in all).

    Raises:
        UserError: fewer than two solutions.
    """
    n = len(study.truth)
    found: dict[Form, list[Made]] = {}
    for index, form in enumerate(forms):
        settings = UncertaintyConfig(form=form)
        found[form] = []
        for i in range(n):
            found[form].append(study.maker.several(ANNEALED, study.low[i], settings, count))
            on_done(index * n + i + 1, n * len(forms))
    rows = [_row(study, form, made, assay) for form, made in found.items()]
    cells = [[each if isinstance(each, str) else f"{each:.4g}" for each in row.values()] for row in rows]
    notes = [
        *study.notes(),
        "Spread: standard deviation of a pixel over the solutions, the mean over pixels. Residual: mean absolute "
        "difference at low resolution. Both in units of black to white.",
    ]
    if assay is not None:
        notes.append(
            f"{assay.name}: measured on every solution. 'within 2 sd' is the share of images whose true value lies "
            "within two standard deviations of the solutions' mean: about 0.95 if their spread told the error."
        )
    return report_of_parts(
        f"{count} solutions of each image, {study.factor}x",
        notes,
        [Part("", list(rows[0]), [cells])],
        rows,
        figures=[(f"figure-8-{form}.png", _pictures(study, form, made)) for form, made in found.items()],
    )


def _row(study: Study, form: Form, made: Sequence[Made], assay: Assay | None) -> dict[str, str | float]:
    """What is said of a form."""
    images = np.stack([each.images for each in made])  # (n, count, y, x, channels)
    truth = study.truth.images
    row: dict[str, str | float] = {
        "form": form,
        "spread": float(images.std(1).mean()),
        "residual": float(np.mean([each.residual for each in made])),
        "prior distance": float(np.mean([each.prior_distance for each in made])),
        "PSNR of a solution": float(np.mean([fidelity(truth, images[:, i]) for i in range(images.shape[1])])),
        "PSNR of the mean": float(fidelity(truth, images.mean(1)).mean()),
    }
    if assay is None:
        return row
    stains = study.truth.stains
    exact = np.array([assay.measure(image, stains) for image in truth])
    each = np.array([[assay.measure(image, stains) for image in solutions] for solutions in images])
    told = np.isfinite(exact) & (np.isfinite(each).sum(1) > 1)
    mean, deviation = np.nanmean(each[told], 1), np.nanstd(each[told], 1, ddof=1)
    error = np.abs(mean - exact[told])
    first = np.abs(each[told][:, 0] - exact[told])
    return row | {
        f"{assay.name}: images": float(told.sum()),
        "correlation with HR": float(np.corrcoef(mean, exact[told])[0, 1]) if told.sum() > 2 else np.nan,
        "mean error": float(error.mean()) if told.any() else np.nan,
        "error of one solution": float(np.nanmean(first)) if told.any() else np.nan,
        "mean sd": float(deviation.mean()) if told.any() else np.nan,
        "within 2 sd": float((error < 2 * deviation).mean()) if told.any() else np.nan,
    }


def _pictures(study: Study, form: Form, made: Sequence[Made]) -> Figure:
    chosen = spread(study, _SHOWN)
    images = np.stack([made[i].images for i in chosen])
    columns = {"LR": as_squares(study.low[chosen], study.factor)}
    columns |= {f"solution {i + 1}": images[:, i] for i in range(min(images.shape[1], 5))}
    columns |= {"mean": images.mean(1), "sd, x 4": 4 * images.std(1), "HR": study.truth.images[chosen]}
    rows = [str(study.truth.conditions[i]) for i in chosen]
    return mosaic(columns, rows, f"Solutions by the form '{form}': synthesised, all but LR and HR")
