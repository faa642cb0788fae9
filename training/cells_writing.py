"""Drawn cells as files: a picture of some, or a folder of images with exact masks and features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from relumen import image_writing
from relumen.images import Image
from relumen.pictures import grid
from relumen.run import write_text
from relumen.training.cells import Cells, Culture, draw_one


def drawn(culture: Culture, count: int, seed: int) -> list[Cells]:
    """Cells, phenotypes in turn; cell i is a function of the culture, the seed and i."""
    return [draw_one(culture, seed, i) for i in range(count)]


def write_picture(path: Path, cells: Sequence[Cells]) -> None:
    """Cells in colour, a row for each phenotype.

    Raises:
        UserError: the folder isn't there, or can't be written to.
    """
    names = list(dict.fromkeys(each.phenotype for each in cells))
    columns = -(-len(cells) // len(names))
    dark = np.zeros_like(cells[0].image)
    rows = [[each.image for each in cells if each.phenotype == name] for name in names]
    images = [image for row in rows for image in [*row, *[dark] * (columns - len(row))]]
    image_writing.write_picture(path, grid(np.stack(images), columns))


def write_folder(folder: Path, cells: Sequence[Cells]) -> None:
    """Images (C, Y, X) of 16 bits in images/, labels in nuclei/ and cells/, and features.csv."""
    for part in ("images", "nuclei", "cells"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for i, each in enumerate(cells):
        name = f"{i:05d}-{each.phenotype}.tif"
        about = {"Info": f"drawn by relumen, {each.stain_set}, {each.phenotype}: no microscope took it"}
        pixels = np.rint(np.moveaxis(each.image, -1, 0) * 65535).astype(np.uint16)
        image_writing.write_image(folder / "images" / name, Image(pixels, "CYX", metadata=about))
        for part, labels in (("nuclei", each.nuclei), ("cells", each.cells)):
            image_writing.write_image(folder / part / name, Image(labels.astype(np.uint16), "YX"))
        told = {"image": name, "phenotype": each.phenotype, **asdict(each.features)}
        lines = lines or [",".join(told)]
        lines.append(",".join("" if value is None else str(value) for value in told.values()))
    write_text(folder / "features.csv", "\n".join(lines) + "\n")
