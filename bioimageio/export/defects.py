"""A run of CIN-GAN as packages, each with one of its defects in its graph: DeepImageJ runs networks of one input."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from relumen.errors import UserError
from relumen.run import About, RunFolder

from .description import Table
from .tiles import tile_of

if TYPE_CHECKING:
    import keras

_MADE = "divergence, "
_REAL = "divergence, real "


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


def divergence(run: RunFolder, about: About, defect: str) -> tuple[Table, ...]:
    """How far what is made of clean images is from them, beside how far real images with the defect are.

    Args:
        run: of CIN-GAN.
        about: what is known of it.
        defect: its name.
    """
    last: dict[str, str] = {}
    if run.validation_file.is_file():
        with run.validation_file.open(encoding="utf-8", newline="") as stream:
            last = list(csv.DictReader(stream))[-1]
    made, real = last.get(_MADE + defect), about.measures.get(_REAL + defect)
    if not made:
        return ()
    rows = [("what it makes", f"{float(made):.2f}")]
    if real is not None:
        rows.append(("real images with the defect", f"{real:.2f}"))
    caption = "PSNR against clean held-out images, in the mean: the nearer both figures, the nearer the strengths."
    return (Table(caption=caption, columns=(in_words(defect), "PSNR (dB)"), rows=tuple(rows)),)
