"""Fig. 5 of RLS: do features that people measure still tell conditions apart in the images that a search finds?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.evaluation.assays import Assay, assay_named
from relumen.evaluation.gheisari_genovesio import SOURCE
from relumen.evaluation.report import Part, Report, report_of_parts
from relumen.evaluation.rls_methods import Made, OnDone
from relumen.evaluation.rls_pictures import as_squares, mosaic, spread
from relumen.evaluation.rls_study import Study

Float64 = NDArray[np.float64]

HR = "HR"
EXACT = "exact, before the microscope"
_RESAMPLINGS = 2_000
_INTERVAL = (2.5, 97.5)
_COLOURS = ("#bbbbbb", "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")  # Tol's, for any eye
_PAIR, _STEP = 0.4, 1.1  # from one box to the next of a method, and to the next method


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap interval; not numbers where too little was measured.

    Attributes:
        value: of all images.
        low: the 2.5th percentile of its resamplings.
        high: the 97.5th.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return _number(self.value) if np.isnan(self.low) else f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Row:
    """A method's measurements.

    Attributes:
        method: its name, :data:`HR` or :data:`EXACT`.
        values: of the images, in the study's order, (n,); not a number where nothing could be measured.
        quartiles: first, second and third, by condition.
        lacking: how many could not be measured, by condition.
        auc: how well the value tells treated images from untreated ones; 0.5 is chance.
        correlation: with HR's measurements, image by image.
        deviation: mean absolute difference from HR's measurements.
        exactly: correlation with the exact feature of drawn cells; None of other images.
    """

    method: str
    values: Float64
    quartiles: Mapping[str, tuple[float, float, float]]
    lacking: Mapping[str, int]
    auc: Estimate
    correlation: Estimate
    deviation: float
    exactly: Estimate | None


def report_on(study: Study, assay: str, on_done: OnDone = lambda done, total: None) -> Report:
    """Fig. 5 on a study's images: the table, the box plots, and images in the manner of Figs. 3 and 4.

    Args:
        study: of two conditions, the control first.
        assay: a name of :data:`ASSAYS`.
        on_done: told (images made, in all).

    Raises:
        UserError: no such assay, images without its stains, or another number of conditions than two.
    """
    chosen = _assay(study, assay)
    made = study.make(on_done)
    images = {HR: study.truth.images, **{name: each.images for name, each in made.items()}}
    values = {
        name: np.array([chosen.measure(image, study.truth.stains) for image in each]) for name, each in images.items()
    }
    if study.truth.features is not None:
        values[EXACT] = np.array([chosen.exact(each) for each in study.truth.features])
    rows = [_row(study, chosen, name, values) for name in values]
    columns, cells = _table(study, rows)
    return report_of_parts(
        f"{chosen.name} at {study.factor}x: Fig. {chosen.boxes} of RLS ({SOURCE})",
        list(_notes(study, chosen)),
        [Part("", columns, [cells])],
        map(_told, rows),
        _of_images(study, values, made),
        [
            (f"figure-{chosen.boxes}.png", draw_boxes(study, chosen, values)),
            (f"figure-{chosen.panels}.png", draw_panels(study, chosen, images, values)),
        ],
    )


def area_under_curve(control: Float64, treated: Float64, *, raises: bool, seed: int = 0) -> Estimate:
    """The chance that a treated image has the larger value of a pair (the smaller, unless ``raises``); ties are halves.

    The area under the ROC curve, which is Mann and Whitney's statistic. The interval is of resamplings of both
    conditions, each within itself. What is not a number is left out.

    >>> area_under_curve(np.array([1.0, 2.0]), np.array([2.0, 3.0]), raises=True).value
    0.875
    """
    control, treated = (values[np.isfinite(values)] for values in (control, treated))
    if not len(control) or not len(treated):
        return Estimate(np.nan, np.nan, np.nan)
    wins = (treated[:, np.newaxis] > control) + 0.5 * (treated[:, np.newaxis] == control)
    wins = wins if raises else 1 - wins
    rng = np.random.default_rng(seed)
    often, much = (rng.multinomial(len(v), np.full(len(v), 1 / len(v)), _RESAMPLINGS) for v in (treated, control))
    return _estimate(float(wins.mean()), ((often @ wins) * much).sum(1) / wins.size)


def correlation_of(one: Float64, other: Float64, *, seed: int = 0) -> Estimate:
    """Pearson's correlation of the pairs that are numbers, with the interval of resamplings of the pairs."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3 or np.ptp(one[both]) == 0 or np.ptp(other[both]) == 0:
        return Estimate(np.nan, np.nan, np.nan)
    pairs = np.stack([one[both], other[both]])
    at = np.random.default_rng(seed).integers(pairs.shape[1], size=(_RESAMPLINGS, pairs.shape[1]))
    return _estimate(float(_pearson(pairs)), _pearson(pairs[:, at]))


def draw_boxes(study: Study, assay: Assay, values: Mapping[str, Float64]) -> Figure:
    """Fig. 5: of each method a solid box of the control and a dotted one of the treated images, HR first.

    Boxes reach from the first to the third quartile with a line at the median, whiskers over 1.5 of that at most.
    """
    shown = [name for name in values if name != EXACT]
    figure = Figure(figsize=(1.8 + 1.15 * len(shown), 4.0), layout="constrained")
    axes = figure.subplots()
    for which, condition in enumerate(study.truth.names):
        of = study.truth.conditions == condition
        boxes = axes.boxplot(
            [values[name][of & np.isfinite(values[name])] for name in shown],
            positions=np.arange(len(shown)) * _STEP + which * _PAIR,
            widths=0.85 * _PAIR,
            patch_artist=True,
            manage_ticks=False,
            medianprops={"color": "black"},
            flierprops={"markersize": 2},
        )
        for number, box in enumerate(boxes["boxes"]):
            box.set_facecolor(_COLOURS[number % len(_COLOURS)])
            box.set_hatch(_hatch(which))
    axes.set_xticks(np.arange(len(shown)) * _STEP + _PAIR / 2, shown, fontsize=8)
    axes.set_xlim(-_PAIR, (len(shown) - 1) * _STEP + 2 * _PAIR)
    axes.set_ylabel(assay.label)
    axes.set_title(f"{study.truth.words}, {study.factor}x", fontsize=9)
    axes.grid(axis="y", alpha=0.3)
    handles = [
        Patch(facecolor="white", edgecolor="black", hatch=_hatch(which), label=condition)
        for which, condition in enumerate(study.truth.names)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def draw_panels(
    study: Study, assay: Assay, images: Mapping[str, NDArray[np.float32]], values: Mapping[str, Float64]
) -> Figure:
    """Figs. 3 and 4: the low-resolution image, what each method makes of it, and HR, with the measured values.

    The first images of each condition are shown, not the best.
    """
    chosen = spread(study)
    names = [*(name for name in images if name != HR), HR]
    columns = {"LR": as_squares(study.low[chosen], study.factor)} | {name: images[name][chosen] for name in names}
    return mosaic(
        columns,
        [str(study.truth.conditions[i]) for i in chosen],
        f"Beneath each image: {assay.label}; - where it can't be measured",
        {name: [_number(float(value)) for value in values[name][chosen]] for name in names},
    )


def _assay(study: Study, name: str) -> Assay:
    truth = study.truth
    assay = assay_named(name, truth.stains, truth.words)
    if len(truth.names) != 2:
        raise UserError(
            f"An assay compares two conditions, the control and then the treated one. Received {len(truth.names)}: "
            f"{', '.join(truth.names)}. Name two as conditions in the YAML file of the images, such as "
            f"{{untreated: [...], {assay.treated}: [...]}}."
        )
    return assay


def _row(study: Study, assay: Assay, method: str, values: Mapping[str, Float64]) -> Row:
    own, hr, exact = values[method], values[HR], values.get(EXACT)
    groups = {name: own[study.truth.conditions == name] for name in study.truth.names}
    control, treated = groups.values()
    difference = np.abs(own - hr)[np.isfinite(own) & np.isfinite(hr)]
    return Row(
        method=method,
        values=own,
        quartiles={name: _quartiles(each) for name, each in groups.items()},
        lacking={name: int(np.isnan(each).sum()) for name, each in groups.items()},
        auc=area_under_curve(control, treated, raises=assay.raises, seed=study.seed),
        correlation=correlation_of(own, hr, seed=study.seed),
        deviation=float(difference.mean()) if len(difference) else np.nan,
        exactly=None if exact is None else correlation_of(own, exact, seed=study.seed),
    )


def _pearson(pairs: Float64) -> Float64:
    """Of pairs (2, ..., n); not a number where a resampling has only one value."""
    one, other = pairs - pairs.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return (one * other).sum(-1) / np.sqrt((one**2).sum(-1) * (other**2).sum(-1))


def _estimate(value: float, resampled: Float64) -> Estimate:
    low, high = np.nanpercentile(resampled, _INTERVAL)
    return Estimate(value, float(low), float(high))


def _quartiles(values: Float64) -> tuple[float, float, float]:
    finite = values[np.isfinite(values)]
    first, second, third = np.percentile(finite, (25, 50, 75)) if len(finite) else (np.nan,) * 3
    return float(first), float(second), float(third)


def _table(study: Study, rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    names = study.truth.names
    drawn = rows[0].exactly is not None
    columns = ["images", *(f"{name}: median (quartiles)" for name in names), "not measured", "AUC [95 %]"]
    columns += ["r with HR [95 %]", "mean deviation from HR", *(["r with exact [95 %]"] if drawn else [])]
    cells = []
    for row in rows:
        spread = [_spread(row.quartiles[name]) for name in names]
        lacking = " + ".join(str(row.lacking[name]) for name in names)
        itself = row.method == HR
        told = [str(row.auc), "" if itself else str(row.correlation), "" if itself else _number(row.deviation)]
        exactly = [] if row.exactly is None else ["" if row.method == EXACT else str(row.exactly)]
        cells.append([row.method, *spread, lacking, *told, *exactly])
    return columns, cells


def _told(row: Row) -> dict[str, str | float]:
    """A row for a CSV file; nothing where it is not a number."""
    told: dict[str, str | float] = {"images": row.method}
    for name, quartiles in row.quartiles.items():
        words = zip(("first quartile", "median", "third quartile"), quartiles, strict=True)
        told |= {f"{name} {word}": _or_nothing(value) for word, value in words}
        told[f"{name} not measured"] = row.lacking[name]
    estimates = {"auc": row.auc, "r_hr": row.correlation} | ({} if row.exactly is None else {"r_exact": row.exactly})
    for name, estimate in estimates.items():
        for end, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high)):
            told[f"{name}{end}"] = _or_nothing(value)
    return told | {"deviation_hr": _or_nothing(row.deviation)}


def _of_images(
    study: Study, values: Mapping[str, Float64], made: Mapping[str, Made]
) -> Iterator[dict[str, str | float]]:
    """One line for each image and method."""
    for i, condition in enumerate(study.truth.conditions.tolist()):
        for method, own in values.items():
            found = made.get(method)
            yield {
                "image": i,
                "condition": condition,
                "images": method,
                "value": _or_nothing(own[i]),
                "residual": "" if found is None else _or_nothing(found.residual[i]),
                "prior_distance": "" if found is None else _or_nothing(found.prior_distance[i]),
            }


def _notes(study: Study, assay: Assay) -> Iterator[str]:
    control, treated = study.truth.names
    larger = "larger" if assay.raises else "smaller"
    yield from study.notes()
    yield f"Measured alike on all images, high-resolution ones (HR) as well: {assay.how}."
    yield (
        f"AUC: the chance that an image of {treated} has the {larger} value beside one of {control}; "
        f"0.5 tells nothing. Images that can't be measured (no nucleus near the middle, or nothing to measure "
        f"around it) are left out and counted, {control} + {treated}."
    )
    yield (
        "r: Pearson's correlation image by image, of both conditions together, where both could be measured. Intervals "
        f"are of {_RESAMPLINGS} bootstrap resamplings of the images, for AUC within each condition, as if "
        "no two images had anything in common; crops that overlap have."
    )
    if study.truth.features is not None:
        yield f"The row {EXACT!r} is no measurement: it is the feature of the drawing itself."
    yield f"The paper draws box plots (Fig. {assay.boxes}) and prints no numbers, so no published row stands here."


def _hatch(which: int) -> str:
    return "...." if which else ""


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _spread(quartiles: tuple[float, float, float]) -> str:
    first, median, third = quartiles
    return "-" if np.isnan(median) else f"{median:.2f} ({first:.2f} to {third:.2f})"


def _or_nothing(value: float) -> str | float:
    return "" if np.isnan(value) else float(value)
