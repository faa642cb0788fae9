"""How far the defects of CIN-GAN go from the clean image, as a run keeps it: Fig. 7 of Razdaibiedina et al.

The one owner of the names by which a training writes it down, and of reading it.
"""

from __future__ import annotations

import csv

from relumen.run import RunFolder

MADE, REAL = "divergence, ", "divergence, real "
"""What stands before a defect's name, in columns of validation.csv and in measures of about.json."""


def divergence_curves(run: RunFolder) -> tuple[dict[str, list[tuple[int, float]]], dict[str, float]]:
    """What Fig. 7 shows of a run of CIN-GAN: (step, PSNR) of the made defects by name, and PSNR of the real ones."""
    curves: dict[str, list[tuple[int, float]]] = {}
    if run.validation_file.is_file():
        with run.validation_file.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column, value in row.items():
                    if column.startswith(MADE) and value:
                        curves.setdefault(column.removeprefix(MADE), []).append((int(row["step"]), float(value)))
    measures = run.about().measures
    return curves, {key.removeprefix(REAL): value for key, value in measures.items() if key.startswith(REAL)}
