"""How images are searched: windows over the planes of a stack, and what is found put together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import ForwardOperator
from relumen.errors import UserError
from relumen.images import Image, PixelSize
from relumen.normalisation import check_finite
from relumen.prior.folder import Prior, digest
from relumen.run import software
from relumen.search import METHOD
from relumen.search.config import SearchConfig, UncertaintyConfig
from relumen.search.fields import Mosaic, Tiling, windows
from relumen.search.intensity import Channels, Intensities
from relumen.search.states import Solutions

Float32 = NDArray[np.float32]
Row = dict[str, float | str]

_POOLED, _FEWEST = 4_000_000, 64  # pixels by which intensities are matched: in all, and of a plane at least
OF_FRAMES = ("finterval", "fps", "loop")
"""ImageJ's entries that are true of a result too, where its frames are the image's."""


def kinds(solutions: int) -> tuple[str, ...]:
    """Results by what they are: the solution that fits best, mean and standard deviation, and each by its number."""
    return ("best",) if solutions == 1 else ("best", "mean", "std", *(str(i + 1) for i in range(solutions)))


@dataclass(frozen=True)
class Settings:
    """What a search of images is told beside prior, operator and objective.

    Attributes:
        solutions: for each window.
        uncertainty: how several are found.
        tiling: how a prior's view is laid over larger fields.
        seed: of what is drawn.
        method: name of the objective's settings, for the record.
    """

    solutions: int = 1
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    tiling: Tiling = "auto"
    seed: int = 0
    method: str = METHOD


@dataclass(frozen=True)
class Window:
    """What is searched by itself.

    Attributes:
        position: (T, Z) of its plane, as {axis: index}.
        place: its top and left, low-resolution pixels.
        seed: of what is drawn for it.
    """

    position: Mapping[str, int]
    place: tuple[int, int]
    seed: int


@dataclass(frozen=True)
class Found:
    """What was found in one window.

    Attributes:
        window: where.
        solutions: one, or several.
    """

    window: Window
    solutions: Solutions

    @property
    def best(self) -> int:
        """Which solution fits best at low resolution."""
        return int(np.argmin(self.solutions.residual))

    def rows(self) -> list[Row]:
        """What is known of each solution, by the names of a table's columns; planes and solutions counted from 1."""
        s = self.solutions
        return [
            {
                **{axis: index + 1 for axis, index in self.window.position.items()},
                "top": self.window.place[0],
                "left": self.window.place[1],
                "solution": i + 1,
                "best": int(i == self.best),
                "residual": float(s.residual[i]),
                "prior_distance": "" if s.prior_distance is None else float(s.prior_distance[i].mean()),
                "iteration": int(s.iteration[i]),
                **{name: float(values[i]) for name, values in s.terms.items()},
            }
            for i in range(len(s.residual))
        ]


@dataclass(frozen=True)
class Plan:
    """What the searches of images have in common that share channels and intensities.

    Attributes:
        prior: generator and flow.
        operator: D.
        config: what is minimised.
        settings: all else.
        channels: which of the images' channels is which of the prior's.
        intensities: what the prior's black and white are in the images.
    """

    prior: Prior
    operator: ForwardOperator
    config: SearchConfig
    settings: Settings
    channels: Channels
    intensities: Intensities

    @property
    def identity(self) -> str:
        """Tells what is found in an image from what would be found by any other prior, D, objective or mapping."""
        told = (
            digest(self.prior.generator),
            self.operator.description,
            self.config.model_dump_json(),
            self.settings,
            self.channels,
            self.intensities.black.tolist(),
            self.intensities.white.tolist(),
            software(),
        )
        return "\n".join(map(str, told))

    def windows(self, image: Image) -> list[Window]:
        """The windows of an image, plane by plane.

        Raises:
            UserError: as :func:`~relumen.search.fields.windows`.
        """
        laid = lay(image, self.channels, self.operator, self.settings.tiling)
        return [Window(position, place, self.settings.seed + i) for i, (position, place) in enumerate(laid)]

    def low(self, image: Image, window: Window) -> Float32:
        """What is searched for: (m, m, channels of the prior), 0 the black and 1 the white of its images."""
        view, (top, left) = self.operator.low_size, window.place
        at = np.s_[top : top + view, left : left + view]
        return self.intensities.to_prior(measured_pixels(image, window.position, self.channels, at))

    def shape(self, image: Image) -> tuple[int, ...]:
        """Of a result: T and Z where the image has them, channels, height and width."""
        sizes = image.sizes
        before = [sizes[axis] for axis in image.axes if axis in "TZ"]
        height, width = (self.operator.factor * sizes[axis] for axis in "YX")
        return (*before, len(self.channels.stains), height, width)

    def pixel_size(self, image: Image) -> PixelSize | None:
        """Of a result."""
        return None if image.pixel_size is None else image.pixel_size.divided(self.operator.factor)

    def metadata(self, image: Image, about: Mapping[str, Any]) -> dict[str, Any]:
        """Of a result, with what is known of it as its Info."""
        metadata = {key: value for key, value in image.metadata.items() if key in OF_FRAMES}
        metadata["Info"] = "\n".join(f"{key}: {value}" for key, value in about.items())
        if len(self.channels.stains) > 1:
            metadata["mode"] = "composite"
        return metadata

    def put_together(self, plane: Sequence[Found], image: Image) -> dict[str, Float32]:
        """The results of a plane by kind (see :func:`kinds`), (y, x, channels) in the image's units."""
        n = self.settings.solutions
        shape = (image.sizes["Y"], image.sizes["X"])
        mosaics = [
            Mosaic(shape, self.operator.factor, self.operator.low_size, len(self.channels.stains)) for _ in range(n + 1)
        ]
        for each in plane:
            for mosaic, index in zip(mosaics, (each.best, *range(n)), strict=True):
                mosaic.add(each.window.place, each.solutions.images[index])
        fields = [mosaic.field for mosaic in mosaics]
        undone = [self.intensities.undone(field) for field in fields]
        if n == 1:
            return {"best": undone[0]}
        spread = self.intensities.spread_undone(np.std(fields[1:], axis=0))
        results = {"best": undone[0], "mean": np.mean(undone[1:], axis=0), "std": spread}
        return results | {str(i + 1): field for i, field in enumerate(undone[1:])}

    def about(self, rows: Sequence[Row]) -> dict[str, Any]:
        """What is known of a result, for its metadata; of the rows of the best solution in each window."""
        settings, typical = self.settings, self.prior.generator.architecture.w_dim**0.5
        several = {} if settings.solutions == 1 else {"uncertainty": settings.uncertainty.model_dump_json()}
        terms = [name for name in self.config.weights if name in rows[0]]
        return {
            "synthesised": "by relumen search. No microscope took this image: it is one of many that fit the "
            "low-resolution image.",
            "prior": f"{self.prior.path.name}, generator {digest(self.prior.generator)[:12]}",
            "D": self.operator.description,
            "method": f"{settings.method} {self.config.model_dump_json(exclude_defaults=True)}",
            "solutions": settings.solutions,
            **several,
            "seed": settings.seed,
            "channels": self.channels.describe(),
            "intensities, black to white": self.intensities.describe(self.channels.stains),
            "windows": len(rows),
            "residual": f"{_told(rows, 'residual')}, mean absolute difference at low resolution; 1 is black to white",
            "prior distance": f"{_told(rows, 'prior_distance')}, mean ||F(w)||; {typical:.1f} is typical of the prior",
            "losses": ", ".join(f"{name} {_told(rows, name)}" for name in terms),
            "software": software(),
        }


def lay(
    image: Image, channels: Channels, operator: ForwardOperator, tiling: Tiling
) -> list[tuple[dict[str, int], tuple[int, int]]]:
    """The windows of every plane of an image, each with the plane's position.

    Raises:
        UserError: as :func:`~relumen.search.fields.windows`, or a pixel is no finite number.
    """
    dna = channels.nuclei
    laid = []
    for position in image.positions():
        pixels = measured_pixels(image, position, channels)
        check_finite(pixels)
        nuclei = None if dna is None else pixels[..., dna]
        height, width, _ = pixels.shape
        found = windows(nuclei, (height, width), operator.low_size, operator.factor, tiling)
        laid += [(position, window) for window in found]
    return laid


def measured_pixels(
    image: Image, position: Mapping[str, int], channels: Channels, window: tuple[slice, slice] = np.s_[:, :]
) -> Float32:
    """A window of a plane (y, x, channels of the prior) in the image's units; 0 where a channel wasn't measured."""
    seen = {index: image.plane(position, index)[window] for index in channels.source if index is not None}
    none = np.zeros_like(next(iter(seen.values())))
    return np.stack([none if i is None else seen[i] for i in channels.source], -1).astype(np.float32)


def pooled_pixels(images: Sequence[Image], channels: Channels) -> Float32:
    """Pixels (n, channels of the prior) of all images, drawn at random where there are many; 0 where not measured.

    Those that are not finite are left out: an image that has some is refused when its turn comes.

    Raises:
        UserError: there is no other.
    """
    rng = np.random.default_rng(0)
    planes = [(image, position) for image in images for position in image.positions()]
    most = max(_POOLED // len(planes), _FEWEST)
    pool = []
    for image, position in planes:
        pixels = measured_pixels(image, position, channels).reshape(-1, len(channels.stains))
        drawn = pixels if len(pixels) <= most else pixels[rng.integers(len(pixels), size=most)]
        pool.append(drawn[np.isfinite(drawn).all(-1)])
    if not sum(map(len, pool)):
        raise UserError("The images have no pixel that is a finite number (all are NaN or infinite).")
    return np.concatenate(pool)


def _told(rows: Sequence[Row], name: str) -> str:
    """The mean over windows, and the greatest."""
    values = [float(row[name]) for row in rows if row[name] != ""]
    if not values:
        return "unknown: no flow"
    return f"{np.mean(values):.4g}" + (f" (at most {max(values):.4g})" if len(values) > 1 else "")
