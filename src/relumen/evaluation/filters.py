"""The diffraction pattern filters, and an image through them, in the layout of Han and Yin's Fig. 2.

How much the filters of a bank differ is told by singular values: see :class:`Bank`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from relumen.degrade import Reduction, crop_to_multiple, reduced
from relumen.errors import UserError
from relumen.evaluation.zoom import liveliest
from relumen.images import Image
from relumen.models.optics import Optics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

SCALES = (1, 2, 4, 8, 16)
_COLUMNS = 6  # so that, of twelve filters, one and its negative stand in one column
_LEFT, _CELL = 3.1, 1.55  # inches: width of the left column, of a filter
_PART = 32  # input pixels of the part that is shown enlarged: the paper's patch
_PERCENTILES = (0.5, 99.8)
_ONE_IMAGE = 0.05  # below this ratio of singular values, what differs is less than noise


@dataclass(frozen=True)
class Bank:
    """All filters of a level, and how much they differ.

    Attributes:
        level: size of the image as a multiple of the network's input.
        pixel_um: of the image, micrometres, where it is known.
        size: height and width of the kernels, pixels.
        ratio: second by first singular value of the filters as rows of a matrix; there is no third. 0: all are one
            filter, but for a factor.
        cosine: smallest absolute cosine between two of the filters; 1: all are one filter, but for a factor. (Of an
            even number the largest is always 1, since the second half are the negatives of the first.)
    """

    level: int
    pixel_um: float | None
    size: int
    ratio: float
    cosine: float

    @classmethod
    def of(cls, optics: Optics, level: int) -> Bank:
        """The bank of an optics at a level."""
        kernels = optics.kernels(level).reshape(optics.count, -1)
        directions = kernels / np.linalg.norm(kernels, axis=1, keepdims=True)
        return cls(
            level=level,
            pixel_um=None if optics.pixel_um is None else optics.pixel_um / level,
            size=2 * optics.kernel_radius(level) + 1,
            ratio=optics.singular_value_ratio(level),
            cosine=float(np.abs(directions @ directions.T).min()),
        )

    def describe(self) -> str:
        """The bank in words."""
        pixel = "" if self.pixel_um is None else f", pixels of {self.pixel_um:.4g} um"
        return f"level {self.level}{pixel}, kernels of {self.size} x {self.size}, singular-value ratio {self.ratio:.2g}"


@dataclass(frozen=True)
class Description:
    """The filters at every level.

    Attributes:
        banks: of each level, coarse to fine.
    """

    banks: tuple[Bank, ...]

    def table(self) -> Table:
        """One row a level, for the terminal."""
        from rich.table import Table

        table = Table("Level", "Pixel, um", "Kernel", "Singular-value ratio", "Smallest |cos|")
        for bank in self.banks:
            name = f"{bank.level} (input)" if bank.level == 1 else str(bank.level)
            pixel = "-" if bank.pixel_um is None else f"{bank.pixel_um:.3f}"
            table.add_row(name, pixel, f"{bank.size} x {bank.size}", f"{bank.ratio:.4f}", f"{bank.cosine:.4f}")
        return table

    def meaning(self) -> str:
        """What the numbers say of the filters, in words."""
        words = (
            "Each filter adds two images with weights of its own: the image itself, and the image through the airy "
            "pattern of the phase ring. The singular-value ratio says how much the second one brings."
        )
        alike = [bank.level for bank in self.banks if bank.ratio < _ONE_IMAGE]
        if alike:
            where = "every level" if len(alike) == len(self.banks) else f"level {', '.join(map(str, alike))}"
            words += f" At {where} it brings next to nothing: all filters see the same image, up to sign."
        return words


def enrich(
    image: Image, optics: Optics, *, scale: int, level: int = 1, reduction: Reduction = "area"
) -> tuple[Description, Figure]:
    """Draws the filters of a level above what they make of an image, and says how much the filters differ.

    Args:
        image: a high-resolution image; of several planes, the first.
        optics: the filters; "physical" needs the pixel size of the network's input, here or in the image.
        scale: by which the image is reduced to the network's input, as in training; 1: it is the input.
        level: whose filters are drawn, 1 (the input) to ``scale``.
        reduction: how the image is reduced.

    Raises:
        UserError: the image can't be reduced so, shows nothing, or the pixel size isn't known.
    """
    if scale not in SCALES:
        raise UserError(f"The scale is one of {', '.join(map(str, SCALES))}. Received: {scale}")
    levels = [each for each in SCALES if each <= scale]
    if level not in levels:
        raise UserError(f"At scale {scale} the level is one of {', '.join(map(str, levels))}. Received: {level}")
    optics = _at_pixel_size(optics, image, scale)
    seen = _at_level(image, scale, level, reduction)
    description = Description(tuple(Bank.of(optics, each) for each in levels))
    return description, _drawn(seen, optics, description.banks[levels.index(level)])


def _at_pixel_size(optics: Optics, image: Image, scale: int) -> Optics:
    if optics.pixel_um is None:
        size = image.pixel_size and image.pixel_size.micrometres
        if size:
            return replace(optics, pixel_um=size * scale)
        if optics.mode == "physical":
            raise UserError(
                "Physical filters depend on the pixel size, and the image tells none. State that of the input in "
                f"micrometres, {scale} times that of the image, with --pixel-size."
            )
    return optics


def _at_level(image: Image, scale: int, level: int, reduction: Reduction) -> NDArray[np.float64]:
    """The image (y, x) at a level, in the units of the network's input."""
    plane = image.plane(next(image.positions()), 0).astype(np.float64)
    height, width = plane.shape
    if min(height, width) < 8 * scale:
        raise UserError(
            f"The image is {height} x {width}, and at 1/{scale} of its size too little is left: it should measure "
            f"{8 * scale} at least. Name a larger one, or a smaller --scale."
        )
    if not np.isfinite(plane).all():
        raise UserError("The image holds pixels that are no finite numbers (NaN or infinite).")
    plane = crop_to_multiple(plane, scale)
    low = reduced(plane, scale, reduction)
    if low.max() == low.min():
        raise UserError(f"The image shows nothing: all pixels are {low.flat[0]:g}.")
    seen = reduced(plane, scale // level, reduction) if level < scale else plane
    return np.asarray((seen - float(low.mean())) / float(low.std()), np.float64)


def _drawn(image: NDArray[Any], optics: Optics, bank: Bank) -> Figure:
    """On the left the image, on the right each filter and beneath it a part of the image through it."""
    kernels = optics.kernels(bank.level)
    size = min(_PART * bank.level, *image.shape)
    y, x = liveliest(image, size)
    part = slice(y, y + size), slice(x, x + size)
    enriched = [oaconvolve(image, kernel, mode="same")[part] for kernel in kernels]
    # One contrast for all, the same on both sides of 0, so that a filter that turns the sign shows as a negative.
    contrast = float(np.percentile(np.abs([image[part], *enriched]), _PERCENTILES[1]))
    colours = np.sign(kernels) * np.sqrt(np.abs(kernels))  # else the rings are too faint to be seen
    strongest = float(np.abs(colours).max())

    rows = -(-optics.count // _COLUMNS)
    figure = Figure(figsize=(_LEFT + _CELL * _COLUMNS, 0.9 + (2 * _CELL + 0.35) * rows), layout="constrained")
    figure.suptitle(
        f"Diffraction pattern filters ({optics.mode}): {bank.describe()}\n"
        "Each filter by number and retardation, red above 0 and blue below, by square root; beneath it the boxed part "
        "through it, and its correlation r with the part",
        fontsize=9,
    )
    parts: Any = figure.subfigures(1, 2, width_ratios=(_LEFT, _CELL * _COLUMNS))
    left, right = parts
    whole, enlarged = left.subplots(2, 1)
    _show(whole, image, *np.percentile(image, _PERCENTILES))
    whole.add_patch(Rectangle((x - 0.5, y - 0.5), size, size, fill=False, edgecolor="red", linewidth=1.2))
    whole.set_title(f"the image at level {bank.level}, {image.shape[0]} x {image.shape[1]}", fontsize=9)
    _show(enlarged, image[part], -contrast, contrast)
    enlarged.set_title("its boxed part, in units of the\ninput's standard deviation", fontsize=9)
    grid = right.subplots(2 * rows, _COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for m, (kernel, through) in enumerate(zip(colours, enriched, strict=True)):
        above, beneath = grid[2 * (m // _COLUMNS) :, m % _COLUMNS][:2]
        above.imshow(kernel, cmap="RdBu_r", vmin=-strongest, vmax=strongest, interpolation="nearest")
        above.set_title(f"{m + 1}: {360 * (m + 1) / optics.count:g}°", fontsize=9)
        _show(beneath, through, -contrast, contrast)
        beneath.set_title(f"r = {np.corrcoef(through.ravel(), image[part].ravel())[0, 1]:.2f}", fontsize=8)
    return figure


def _show(axes: Axes, image: NDArray[Any], low: float, high: float) -> None:
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axes.set_axis_off()
