"""What a package says of networks of one kind, whichever images they were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relumen.citations import WORKS, Reference
from relumen.errors import UserError
from relumen.run import kind_of, part


@dataclass(frozen=True)
class System:
    """One kind of network.

    Attributes:
        summary: what it does; {scale} stands for its magnification, {defects} for what it restores, or makes.
        tags: for the zoo's search.
        limitations: what none of its networks is good for.
        made_inputs: the same, of networks whose training inputs were made; {degradation} stands for how.
        adversarial: the same, of networks that were trained with an adversarial loss, where that is a choice.
    """

    summary: str
    tags: tuple[str, ...]
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
    "It has not been tried on images that were really taken at low magnification: its training inputs were made from "
    "high-resolution images ({degradation}). Compare with a few high-resolution fields before you rely on it."
)
_TEXTURE = (
    "Texture: the adversarial loss rewards what looks real, so the network invents texture where the input tells none."
)

_DEFECTS = (
    "Other defects than those it was trained on, and these at other strengths: it may leave them as they are, or take "
    "structure for them.",
    "What a defect destroyed: it is inferred from the clean images of the training, not seen. Measure intensities and "
    "structures only beside clean images.",
)
_OTHER_DEFECTS = "Other defects than the training's: its inputs were made by {degradation}."


def _restorer(words: str, tag: str) -> System:
    """A network of the same size in and out, for one defect or several."""
    return System(
        summary=f"Restoration of fluorescence micrographs: {{defects}} ({words}).",
        tags=(tag, "denoising", "fluorescence-light-microscopy"),
        limitations=_DEFECTS,
        made_inputs=_OTHER_DEFECTS,
        adversarial=_TEXTURE,
    )


_KINDS = {
    "esrgan": System(
        summary="Joint denoising and {scale}x super-resolution of fluorescence micrographs (ESRGAN).",
        tags=("esrgan", "denoising", "fluorescence-light-microscopy"),
        limitations=(
            "Stains, magnifications and noise that are far from the training's: details may then be invented or lost.",
            "Measuring intensities of single pixels, or structures at the limit of resolution, without a control.",
        ),
        made_inputs="Degradations other than the stated one, such as a point spread function of another kind.",
    ),
    "cascade": System(
        summary="{scale}x super-resolution of phase contrast images (cascaded refinement GAN).",
        tags=("cascade", "phase-contrast-microscopy"),
        limitations=_PHASE_CONTRAST,
        made_inputs=_LOW_MAGNIFICATION,
        adversarial=_TEXTURE,
    ),
    "lapsrn": System(
        summary="{scale}x super-resolution of phase contrast images (LapSRN, a baseline).",
        tags=("lapsrn", "phase-contrast-microscopy"),
        limitations=_PHASE_CONTRAST,
        made_inputs=_LOW_MAGNIFICATION,
        adversarial=_TEXTURE,
    ),
    "cgan": _restorer("cGAN", "cgan"),
    "care": _restorer("CARE's U-Net, a baseline", "care"),
    "deblurgan": _restorer("DeblurGAN, a baseline", "deblurgan"),
    "cyclegan": _restorer("CycleGAN, a baseline without pairs", "cyclegan"),
    "cin-gan": System(
        summary="Defect simulator: makes {defects} of clean fluorescence micrographs (CIN-GAN). What it makes is "
        "synthetic.",
        tags=("cin-gan", "defect-simulation", "data-augmentation", "fluorescence-light-microscopy"),
        limitations=(
            "Anything quantitative: what it makes is synthetic, and no measurement. Its intensities, its noise and its "
            "resolution are those that its training found hard to tell from real ones, not those of a microscope.",
            "Restoring images: it makes them worse, for training and testing what restores them.",
            "Images that have a defect already, and other specimens, stains and magnifications than the training's "
            "clean images.",
            "Defects of a chosen strength, or drawn anew: one image always gets the same answer.",
        ),
        made_inputs=_OTHER_DEFECTS,
    ),
}


def system_of(config: Mapping[str, Any]) -> System:
    """The kind of a run's network, from the run's configuration as plain values.

    Raises:
        UserError: networks of that kind are no packages.
    """
    kind = kind_of(config)
    if kind not in _KINDS:
        raise UserError(f"A run of {kind} can't be exported: packages are made of runs of {', '.join(_KINDS)}.")
    return _KINDS[kind]


def works_of(config: Mapping[str, Any]) -> tuple[Reference, ...]:
    """The works that a run's network stands on, its own paper first."""
    return WORKS[kind_of(config)]


def is_adversarial(config: Mapping[str, Any]) -> bool:
    """Whether a run of a system that leaves the choice was trained with an adversarial loss."""
    return bool(part(config, "losses").get("adversarial"))
