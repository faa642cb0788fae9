"""A run of CIN-GAN as packages, each with one of its defects in its graph: DeepImageJ runs networks of one input."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relumen.divergence import divergence_curves
from relumen.errors import UserError
from relumen.run import RunFolder

from .description import Table
from .tiles import tile_of

if TYPE_CHECKING:
    import keras


def network_of(run: RunFolder, defect: str) -> keras.Model:
    """The run's network for one of its defects, which is no input any more, nor are random numbers.

    Raises:
        UserError: the run makes no defects, or others.
    """
    from relumen.models.limited import with_defect

    index, config = index_of(run, defect), run.config()
    settings = {name: value for name, value in config["generator"].items() if name != "network"}
    if run.about().draws:
        settings["draw"] = tile_of(run.about())
    return with_defect(run.network(), index, **settings)


def index_of(run: RunFolder, defect: str) -> int:
    """The place of a defect among those of its run.

    Raises:
        UserError: the run makes no defects, or others.
    """
    defects = run.about().defects
    if not defects:
        raise UserError(f"{run.path} restores images, and makes no defects to choose from. Leave out --defect.")
    if defect not in defects:
        raise UserError(f"{run.path} makes the defects {', '.join(defects)}. Received: {defect}")
    return defects.index(defect)


def in_words(defect: str) -> str:
    """A defect's name, which is that of a folder, with the signs alone that a model's name may have."""
    return re.sub(r"[^A-Za-z0-9_+\-. ()]+", "-", defect)


def divergence(run: RunFolder, defect: str) -> tuple[Table, ...]:
    """How far what is made of clean images is from them, beside how far real images with the defect are.

    Args:
        run: of CIN-GAN.
        defect: its name.
    """
    curves, reals = divergence_curves(run)
    if defect not in curves:
        return ()
    made, real = curves[defect][-1][1], reals.get(defect)
    rows = [("what it makes", f"{made:.2f}")]
    if real is not None:
        rows.append(("real images with the defect", f"{real:.2f}"))
    caption = "PSNR against clean held-out images, in the mean: the nearer both figures, the nearer the strengths."
    return (Table(caption=caption, columns=(in_words(defect), "PSNR (dB)"), rows=tuple(rows)),)
