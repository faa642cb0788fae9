"""Fig. 1 of RLS as numbers and a figure: squared norms of latent codes against the chi-squared distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Self

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from relumen.errors import UserError

_BINS = 60
_SHOWN = (0.1, 99.9)  # percentiles of the norms that the figure reaches to
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#66ccee", "#ccbb44")  # Tol's, for any eye


@dataclass(frozen=True)
class Norms:
    """The squared norms of one kind of code, against the chi-squared distribution.

    Attributes:
        name: of the codes, such as "F(w)".
        degrees: d, the dimensions of a code; also the mean of the chi-squared distribution.
        squared: ||x||^2 of each code, (n,).
        mean: of the squared norms.
        deviation: their standard deviation; sqrt(2 d) for the chi-squared distribution.
        distance: the Kolmogorov-Smirnov distance, 0..1: the greatest difference of the two distribution functions. Of
            n true draws it is about 0.87 / sqrt(n), 0.012 for 5,000.
    """

    name: str
    degrees: int
    squared: NDArray[np.float64]
    mean: float
    deviation: float
    distance: float

    @classmethod
    def of(cls, name: str, codes: NDArray[Any]) -> Self:
        """Those of codes (n, d)."""
        squared = np.square(codes, dtype=np.float64).sum(1)
        degrees = codes.shape[1]
        distance = float(stats.kstest(squared, stats.chi2(degrees).cdf).statistic)
        return cls(name, degrees, squared, float(squared.mean()), float(squared.std()), distance)


def gaussianization(codes: Mapping[str, NDArray[Any]]) -> tuple[Norms, ...]:
    """The rows of the table, one for each kind of code.

    Args:
        codes: (n, d) by name, in the order of the rows; RLS draws 5,000 z and shows z, w = G_m(z), PULSE's whitened w
            and F(w). None may be of the codes that the flow was trained on, or that a whitening's statistics are of.

    Raises:
        UserError: no codes, codes that are not (n, d) with one d, or numbers that are not finite.

    >>> z = np.random.default_rng(0).normal(size=(2000, 64))
    >>> [(row.name, row.distance < 0.05) for row in gaussianization({"z": z, "2 z": 2 * z})]
    [('z', True), ('2 z', False)]
    """
    shapes = {name: values.shape for name, values in codes.items()}
    if not codes or any(len(shape) != 2 or not shape[0] for shape in shapes.values()):
        raise UserError(f"Codes are arrays (n, d) with one code at least. Received the shapes: {shapes}")
    if len({shape[1] for shape in shapes.values()}) > 1:
        raise UserError(f"Codes that are compared have the same number of dimensions. Received the shapes: {shapes}")
    for name, values in codes.items():
        if not np.isfinite(values).all():
            raise UserError(f"Codes {name!r} have numbers that are not finite. Look at the transform that made them.")
    return tuple(Norms.of(name, values) for name, values in codes.items())


COLUMNS = ("codes", "mean of squared norm", "standard deviation", "KS distance")
"""Of :func:`cells_of`."""


def cells_of(rows: Sequence[Norms]) -> list[list[str]]:
    """The rows of the table, under the distribution that all are compared with."""
    degrees = rows[0].degrees
    cells = [[f"chi-squared, {degrees} degrees", f"{degrees:.1f}", f"{np.sqrt(2 * degrees):.1f}", "0"]]
    return cells + [[row.name, f"{row.mean:.1f}", f"{row.deviation:.1f}", f"{row.distance:.3f}"] for row in rows]


def told_of(row: Norms) -> dict[str, str | float]:
    """A row for a CSV file, by the names of its columns."""
    return {
        "codes": row.name,
        "count": len(row.squared),
        "degrees": row.degrees,
        "mean": row.mean,
        "deviation": row.deviation,
        "ks_distance": row.distance,
    }


def draw_gaussianization(rows: Sequence[Norms]) -> Figure:
    """Fig. 1: histograms of the squared norms as densities, and the chi-squared density in black."""
    low, high = np.percentile(np.concatenate([row.squared for row in rows]), _SHOWN)
    chi_squared: Any = stats.chi2(rows[0].degrees)  # SciPy's annotation knows no density
    low, high = min(low, chi_squared.ppf(0.001)), max(high, chi_squared.ppf(0.999))
    edges = np.linspace(low, high, _BINS + 1)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for row, colour in zip(rows, cycle(_COLOURS)):
        weights = np.full(len(row.squared), 1 / (len(row.squared) * (edges[1] - edges[0])))
        label = f"{row.name} (KS {row.distance:.3f})"
        axes.hist(row.squared, edges, weights=weights, histtype="stepfilled", color=colour, alpha=0.35)
        axes.hist(row.squared, edges, weights=weights, histtype="step", color=colour, label=label)
    x = np.linspace(low, high, 400)
    axes.plot(x, chi_squared.pdf(x), color="black", label=f"chi-squared, {rows[0].degrees} degrees")
    axes.set_xlabel("squared norm")
    axes.set_ylabel("density")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
