"""Robustness of RLS (Sec. 4.3, Fig. 6): low-resolution images are altered by what no prior was trained for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import blurred
from relumen.evaluation.report import Part, Report, report_of_parts
from relumen.evaluation.rls_methods import Made, OnDone
from relumen.evaluation.rls_pictures import as_squares, mosaic
from relumen.evaluation.rls_scores import Networks, Realism, check_enough, distance_cells, distance_told, fidelity
from relumen.evaluation.rls_study import Study
from relumen.evaluation.set_features import describe
from relumen.metrics import KernelDistance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Float32 = NDArray[np.float32]

COLUMNS = ("LR", "method", "kernel distance", "95 %", "PSNR", "residual to this LR", "residual to LR as it was")
UNALTERED = "bicubic"
"""What tables call the low-resolution images as they were: reduced, and nothing else."""
_PURPOSE = 61  # sets the seeds of alterations apart


@dataclass(frozen=True)
class Alteration:
    """What is done to low-resolution images, each channel by itself.

    Attributes:
        name: as the paper calls it, with its strength.
        kind: of it.
        strength: of noise, its standard deviation, where 1 is white; of salt and pepper, the share of pixels that turn
            black or white, half of them each; of a blur, the standard deviation of its Gaussian, low-resolution pixels.
    """

    name: str
    kind: Literal["noise", "salt and pepper", "blur"]
    strength: float

    def __call__(self, low: Float32, seed: int) -> Float32:
        """Low-resolution images (n, m, m, channels), altered, and clipped to 0..1 as files hold them.

        Args:
            low: images of values 0..1.
            seed: with an image's number, of its noise, which is of the same shape at any strength.
        """
        altered = np.stack([self._one(image, (seed, _PURPOSE, i)) for i, image in enumerate(low)])
        return np.clip(altered, 0, 1).astype(np.float32)

    def _one(self, image: Float32, seed: tuple[int, ...]) -> NDArray[Any]:
        rng = np.random.default_rng(seed)
        if self.kind == "blur":
            return np.stack([blurred(plane, self.strength) for plane in np.moveaxis(image, -1, 0)], -1)
        if self.kind == "noise":
            return image + np.float32(self.strength) * rng.standard_normal(image.shape, np.float32)
        drawn = rng.random(image.shape)
        return np.where(drawn < self.strength, np.float32(drawn < self.strength / 2), image)


ALTERATIONS = (
    Alteration("Gaussian noise 0.05", "noise", 0.05),
    Alteration("Gaussian noise 0.1", "noise", 0.1),
    Alteration("salt and pepper 0.05", "salt and pepper", 0.05),
    Alteration("Gaussian blur 0.5", "blur", 0.5),
)
"""Those of Fig. 6."""


@dataclass(frozen=True)
class Row:
    """A method under an alteration.

    Attributes:
        alteration: its name.
        method: its name.
        change: mean absolute difference of the altered low-resolution images to what they were.
        distance: kernel distance to the true images, with its interval.
        psnr: of each image, all channels together, over the range 0..1, dB, (n,).
        to_altered: mean absolute difference of each image, reduced, to what was given, (n,).
        to_unaltered: to what that was before, (n,).
    """

    alteration: str
    method: str
    change: float
    distance: KernelDistance
    psnr: NDArray[np.float64]
    to_altered: NDArray[Any]
    to_unaltered: NDArray[Any]

    def cells(self) -> list[str]:
        """For :data:`COLUMNS`."""
        return [
            f"{self.alteration} (changed by {self.change:.4f})" if self.change else self.alteration,
            self.method,
            *distance_cells(self.distance),
            f"{self.psnr.mean():.2f}",
            f"{self.to_altered.mean():.4f}",
            f"{self.to_unaltered.mean():.4f}",
        ]

    def told(self) -> dict[str, str | float]:
        """For a CSV file."""
        return {
            "alteration": self.alteration,
            "method": self.method,
            "images": len(self.psnr),
            "change": self.change,
            **distance_told(self.distance),
            "psnr": float(self.psnr.mean()),
            "residual_to_altered": float(self.to_altered.mean()),
            "residual_to_unaltered": float(self.to_unaltered.mean()),
        }


def report_on(study: Study, on_done: OnDone = lambda done, total: None) -> Report:
    """What each method makes of low-resolution images as they were and under each of :data:`ALTERATIONS`.

    Args:
        study: of four images or more.
        on_done: told (images done, in all).

    Raises:
        UserError: fewer images.
    """
    check_enough(study)
    lows = {UNALTERED: study.low, **{each.name: each(study.low, study.seed) for each in ALTERATIONS}}
    made = _made(study, lows, on_done)
    networks = Networks()
    realism = Realism(study, networks)
    rows = {name: list(_rows(study, name, lows[name], each, realism)) for name, each in made.items()}
    cells = [[row.cells() for row in block] for block in rows.values()]
    flat = [row for block in rows.values() for row in block]
    return report_of_parts(
        f"Robustness, {study.factor}x",
        [*study.notes(), *_notes(networks)],
        [Part("", COLUMNS, cells)],
        (row.told() for row in flat),
        _images_told(study, flat),
        _figures(study, lows, made),
    )


def _made(study: Study, lows: Mapping[str, Float32], on_done: OnDone) -> dict[str, Mapping[str, Made]]:
    """What each method makes under each alteration, with one account of what is done."""
    each = len(study.methods) * len(study.truth)
    made = {}
    for index, (name, low) in enumerate(lows.items()):

        def told(done: int, total: int, before: int = index * each) -> None:
            on_done(before + done, len(lows) * each)

        made[name] = study.make(told, low)
    return made


def _rows(study: Study, alteration: str, low: Float32, made: Mapping[str, Made], realism: Realism) -> Iterator[Row]:
    for method, each in made.items():
        reduced = study.operator(each.images)
        yield Row(
            alteration,
            method,
            float(np.abs(low - study.low).mean()),
            realism(each.images)[0],
            fidelity(study.truth.images, each.images),
            np.abs(reduced - low).mean((1, 2, 3)),
            np.abs(reduced - study.low).mean((1, 2, 3)),
        )


def _notes(networks: Networks) -> list[str]:
    return [
        "Each channel of a reduced image is altered by itself and clipped to 0 to 1: Gaussian noise of this standard "
        "deviation, salt and pepper on this share of pixels (half black, half white), Gaussian blur of this standard "
        "deviation in low-resolution pixels. No method is told of it: D is the same for all.",
        "Residuals are mean absolute differences at low resolution, of what a method made, reduced, to the image that "
        "it was given, and to what that was before it was altered; 'changed by' is that of these two to each other. A "
        "residual to LR as it was that is smaller than the change says that the method took some of it back.",
        f"The kernel distance is KID's estimator, {describe(networks.features, networks.weights)}; to the true images. "
        "Its interval holds 95 % of the values on random halves. PSNR over 0 to 1, dB, to the true images.",
        "The paper shows Fig. 6 at 16x, and publishes no figures on robustness.",
    ]


def _images_told(study: Study, rows: list[Row]) -> Iterator[dict[str, str | float]]:
    """A line for each image, alteration and method, for a CSV file."""
    for row in rows:
        for image, condition in enumerate(study.truth.conditions):
            yield {
                "image": image,
                "condition": str(condition),
                "alteration": row.alteration,
                "method": row.method,
                "psnr": float(row.psnr[image]),
                "residual_to_altered": float(row.to_altered[image]),
                "residual_to_unaltered": float(row.to_unaltered[image]),
            }


def _figures(
    study: Study, lows: Mapping[str, Float32], made: Mapping[str, Mapping[str, Made]]
) -> Iterator[tuple[str, Figure]]:
    """Fig. 6 for the first image of each condition."""
    for condition in study.truth.names:
        first = int(np.flatnonzero(study.truth.conditions == condition)[0])
        columns = {"LR": as_squares(np.stack([low[first] for low in lows.values()]), study.factor)}
        for method in study.methods:
            images = np.stack([each[method.name].images[first] for each in made.values()])
            columns[method.name] = images
            columns[f"{method.name}, reduced"] = as_squares(study.operator(images), study.factor)
        columns["HR"] = np.stack([study.truth.images[first]] * len(lows))
        name = re.sub(r"[^\w.]+", "-", condition).strip("-")
        yield f"figure-6-{name}.png", mosaic(columns, list(lows), f"{condition}: synthesised, all but LR and HR")
