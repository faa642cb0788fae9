"""What a run of CIN-GAN tells of how far its defects go: the data of Fig. 7 of Razdaibiedina et al."""

from __future__ import annotations

import csv

from relumen.run import RunFolder

_MADE, _REAL = "divergence, ", "divergence, real "
"""How columns of validation.csv begin, and measures of about.json."""


def divergence_curves(run: RunFolder) -> tuple[dict[str, list[tuple[int, float]]], dict[str, float]]:
    """What Fig. 7 shows of a run of CIN-GAN: (step, PSNR) of the made defects by name, and PSNR of the real ones."""
    curves: dict[str, list[tuple[int, float]]] = {}
    if run.validation_file.is_file():
        with run.validation_file.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column, value in row.items():
                    if column.startswith(_MADE) and value:
                        curves.setdefault(column.removeprefix(_MADE), []).append((int(row["step"]), float(value)))
    measures = run.about().measures
    return curves, {key.removeprefix(_REAL): value for key, value in measures.items() if key.startswith(_REAL)}
