"""How good the images of a method are: realism (kernel and Frechet distance) and fidelity (PSNR, MS-SSIM, LPIPS)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relumen.errors import UserError
from relumen.evaluation import set_features
from relumen.evaluation.lpips import LPIPS
from relumen.evaluation.rls_methods import Made
from relumen.evaluation.rls_study import Study
from relumen.metrics import FEWEST_IMAGES, KernelDistance, frechet_distance, kernel_distance, least_side, ms_ssim, psnr

Float32 = NDArray[np.float32]

COLUMNS = (
    "kernel distance",
    "95 %",
    "Frechet distance",
    "MS-SSIM, 4 scales",
    "LPIPS",
    "PSNR",
    "residual",
    "prior distance",
)

_SCALES = 4  # of MS-SSIM


@dataclass(frozen=True)
class Networks:
    """What images are seen by.

    Attributes:
        features: name of the network for the distances, of :data:`relumen.evaluation.set_features.NAMES`.
        weights: its file; None: its own.
        lpips: with its weights, where they are given.
    """

    features: str = "microscopy"
    weights: str | None = None
    lpips: LPIPS | None = None

    def describe(self) -> str:
        """In words."""
        words = f"Distances are {set_features.describe(self.features, self.weights)}."
        return words + (f" LPIPS: {self.lpips.words}." if self.lpips else " LPIPS needs weights that were not given.")


@dataclass(frozen=True)
class Score:
    """A method's row.

    Attributes:
        method: its name.
        distance: kernel distance to the true images, with its interval.
        frechet: Frechet distance to them.
        ms_ssim: of each image, the mean over channels, (n,).
        lpips: of each image; None without weights.
        psnr: of each image, all channels together, over the range 0..1, dB, (n,).
        residual: mean absolute difference at low resolution, (n,).
        prior_distance: mean ||F(w)||, (n,); not a number where no search was.
    """

    method: str
    distance: KernelDistance
    frechet: float
    ms_ssim: NDArray[np.float64]
    lpips: NDArray[np.float64] | None
    psnr: NDArray[np.float64]
    residual: Float32
    prior_distance: Float32

    @property
    def _away(self) -> float | None:
        """The mean distance from the prior; None where no search was."""
        found = self.prior_distance[np.isfinite(self.prior_distance)]
        return float(found.mean()) if found.size else None

    def cells(self) -> list[str]:
        """For :data:`COLUMNS`."""
        return [
            *distance_cells(self.distance),
            f"{self.frechet:.1f}",
            f"{self.ms_ssim.mean():.3f}",
            "" if self.lpips is None else f"{self.lpips.mean():.3f}",
            f"{self.psnr.mean():.2f}",
            f"{self.residual.mean():.4f}",
            "" if self._away is None else f"{self._away:.1f}",
        ]

    def told(self) -> dict[str, str | float]:
        """For a CSV file."""
        return {
            "method": self.method,
            "images": len(self.psnr),
            **distance_told(self.distance),
            "frechet_distance": self.frechet,
            "ms_ssim_4_scales": float(self.ms_ssim.mean()),
            "lpips": "" if self.lpips is None else float(self.lpips.mean()),
            "psnr": float(self.psnr.mean()),
            "residual": float(self.residual.mean()),
            "prior_distance": "" if self._away is None else self._away,
        }


def distance_cells(distance: KernelDistance) -> tuple[str, str]:
    """The value and its interval, for the columns "kernel distance" and "95 %"."""
    return f"{distance.value:.3f}", f"{distance.low:.3f} to {distance.high:.3f}"


def distance_told(distance: KernelDistance) -> dict[str, float]:
    """The same for a CSV file."""
    return {
        "kernel_distance": distance.value,
        "kernel_distance_low": distance.low,
        "kernel_distance_high": distance.high,
    }


def scores(study: Study, made: Mapping[str, Made], networks: Networks) -> list[Score]:
    """A row for each method, in their order."""
    truth, realism = study.truth.images, Realism(study, networks)
    rows = []
    for name, each in made.items():
        distance, frechet = realism(each.images)
        rows.append(
            Score(
                name,
                distance,
                frechet,
                similarity(truth, each.images),
                None if networks.lpips is None else networks.lpips(truth, each.images),
                fidelity(truth, each.images),
                each.residual,
                each.prior_distance,
            )
        )
    return rows


def check_enough(study: Study) -> None:
    """Looks whether a study has images enough for kernel distances, before hours of searches.

    Raises:
        UserError: it hasn't.
    """
    if len(study.truth) < FEWEST_IMAGES:
        raise UserError(
            f"A kernel distance is told by {FEWEST_IMAGES} images at least. Received: {len(study.truth)}. Take more of "
            "each condition."
        )


def check_scores(study: Study) -> None:
    """Looks whether :func:`scores` can be had of a study, before hours of searches.

    Raises:
        UserError: too few images, or too small ones for MS-SSIM.
    """
    check_enough(study)
    size, least = study.truth.images.shape[1], least_side(_SCALES)
    if size < least:
        raise UserError(
            f"MS-SSIM of {_SCALES} scales takes images of {least} pixels or more, and those of {study.prior.path.name} "
            f"measure {size}. Take a prior of larger images."
        )


class Realism:
    """How far sets of images are from a study's true ones; what is seen of these is seen once.

    Args:
        study: whose true images they are.
        networks: what images are seen by.

    Raises:
        UserError: a network that can't be had.
    """

    def __init__(self, study: Study, networks: Networks) -> None:
        self._networks = networks
        self._units = set_features.units_of(study.truth.images)
        self._reference = self._seen(study.truth.images)

    def __call__(self, images: Float32) -> tuple[KernelDistance, float]:
        """Kernel and Frechet distance of images (n, y, x, channels)."""
        seen = self._seen(images)
        return kernel_distance(self._reference, seen), frechet_distance(self._reference, seen)

    def _seen(self, images: Float32) -> Float32:
        return set_features.features_of(images, self._networks.features, self._networks.weights, self._units)


def fidelity(truth: Float32, images: Float32) -> NDArray[np.float64]:
    """PSNR of each image (n, y, x, channels), 0..1, all channels together, dB."""
    size = truth[0].size
    return np.array([psnr(a.reshape(1, size), b.reshape(1, size), 1.0) for a, b in zip(truth, images, strict=True)])


def similarity(truth: Float32, images: Float32) -> NDArray[np.float64]:
    """MS-SSIM with 4 scales of each image over the range 0..1, the mean over channels."""
    channels = range(truth.shape[-1])
    each = [[ms_ssim(a[..., c], b[..., c], 1.0, _SCALES) for c in channels] for a, b in zip(truth, images, strict=True)]
    return np.array(each, np.float64).mean(1, dtype=np.float64)


def images_told(study: Study, rows: Sequence[Score]) -> list[dict[str, str | float]]:
    """A line for each image and method, for a CSV file."""
    return [
        {
            "image": i,
            "condition": str(condition),
            "method": row.method,
            "psnr": float(row.psnr[i]),
            "ms_ssim_4_scales": float(row.ms_ssim[i]),
            "lpips": "" if row.lpips is None else float(row.lpips[i]),
            "residual": float(row.residual[i]),
            "prior_distance": float(row.prior_distance[i]),
        }
        for row in rows
        for i, condition in enumerate(study.truth.conditions)
    ]
