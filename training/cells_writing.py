"""Drawn cells as files: a picture of some, or a folder of images with exact masks and features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relumen import image_writing
from relumen.errors import UserError
from relumen.images import Image
from relumen.pictures import grid
from relumen.run import write_text
from relumen.training.cells import Cells, Culture, draw_one


def drawn(culture: Culture, count: int, seed: int) -> Iterator[Cells]:
    """Cells, phenotypes in turn, each drawn when it is asked for; cell i is a function of the culture, seed and i."""
    return (draw_one(culture, seed, i) for i in range(count))


def write_picture(path: Path, cells: Iterable[Cells]) -> None:
    """Cells in colour, a row for each phenotype.

    Raises:
        UserError: the folder isn't there, or can't be written to.
    """
    rows: dict[str, list[NDArray[np.float32]]] = {}
    for each in cells:
        rows.setdefault(each.phenotype, []).append(each.image)
    columns = max(map(len, rows.values()))
    dark = np.zeros_like(next(iter(rows.values()))[0])
    images = [image for row in rows.values() for image in [*row, *[dark] * (columns - len(row))]]
    image_writing.write_picture(path, grid(np.stack(images), columns))


def write_folder(folder: Path, cells: Iterable[Cells]) -> None:
    """Images (C, Y, X) of 16 bits in images/, labels in nuclei/ and cells/, and features.csv.

    Each cell is written before the next is asked for; features.csv comes last, so that a folder with it is whole.

    Raises:
        UserError: the folder holds something, or can't be made: told before any cell is asked for.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} holds something already. Name a folder yet to be made.")
    try:
        for part in ("images", "nuclei", "cells"):
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{folder} can't be made a folder ({error.strerror}). Name another one.") from error
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
