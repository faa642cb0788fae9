"""What a package says of networks of one kind, whichever images they were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relumen.citations import LAI, SYSTEMS, Reference


@dataclass(frozen=True)
class System:
    """One kind of network.

    Attributes:
        summary: what it does; {scale} stands for its magnification.
        tags: for the zoo's search.
        cite: the works that it stands on, the method's paper first.
        limitations: what none of its networks is good for.
        made_inputs: the same, of networks whose training inputs were made; {degradation} stands for how.
        adversarial: the same, of networks that were trained with an adversarial loss, where that is a choice.
    """

    summary: str
    tags: tuple[str, ...]
    cite: tuple[Reference, ...]
    limitations: tuple[str, ...]
    made_inputs: str
    adversarial: str | None = None


_PHASE_CONTRAST = (
    "Detail finer than the input's pixels: it is inferred from the cells of the training images, not seen. Measure and "
    "count it only beside real images of high resolution.",
    "Other cell types, phase objectives and magnifications than the training's; brightfield and DIC, whose images are "
    "made in another way.",
    "Images at the training's output resolution are not inputs: a native frame is as fine as the network's results.",
)
_LOW_MAGNIFICATION = (
    "Images that were taken at a low magnification: the training inputs were made of high-resolution images "
    "({degradation}), and have no other point spread function or noise than these."
)
_TEXTURE = (
    "Texture: the adversarial loss rewards what looks real, so the network invents texture where the input tells none."
)

_KINDS = {
    "esrgan": System(
        summary="Joint denoising and {scale}x super-resolution of fluorescence micrographs (ESRGAN).",
        tags=("esrgan", "denoising", "fluorescence-light-microscopy"),
        cite=SYSTEMS["esrgan"],
        limitations=(
            "Stains, magnifications and noise that are far from the training's: details may then be invented or lost.",
            "Measuring intensities of single pixels, or structures at the limit of resolution, without a control.",
        ),
        made_inputs="Degradations other than the stated one, such as a point spread function of another kind.",
    ),
    "cascade": System(
        summary="{scale}x super-resolution of phase contrast images (cascaded refinement GAN).",
        tags=("cascade", "phase-contrast-microscopy"),
        cite=SYSTEMS["cascade"],
        limitations=_PHASE_CONTRAST,
        made_inputs=_LOW_MAGNIFICATION,
        adversarial=_TEXTURE,
    ),
    "lapsrn": System(
        summary="{scale}x super-resolution of phase contrast images (LapSRN, a baseline).",
        tags=("lapsrn", "phase-contrast-microscopy"),
        cite=(LAI, *SYSTEMS["cascade"]),
        limitations=_PHASE_CONTRAST,
        made_inputs=_LOW_MAGNIFICATION,
        adversarial=_TEXTURE,
    ),
}


def system_of(config: Mapping[str, Any]) -> System:
    """The kind of a run's network, from the run's configuration as plain values."""
    return _KINDS[config.get("generator", {}).get("network", config["system"])]


def is_adversarial(config: Mapping[str, Any]) -> bool:
    """Whether a run of a system that leaves the choice was trained with an adversarial loss."""
    return bool(config.get("losses", {}).get("adversarial"))
