"""The configuration of a prior's training, StyleGAN2-ADA, and what others say alike that see the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from relumen.configs import Frozen
from relumen.training.bbbc021 import BBBC021Config
from relumen.training.crops import CropsConfig
from relumen.training.settings import LoopConfig

_R1 = 0.0002


class PriorImages(Frozen):
    """What a prior is trained on; every source that is named adds its images."""

    stains: Literal["cells", "nfkb", "golgi"] | None = Field(
        default=None,
        description="Stain set of drawn cells: 'cells' (actin, tubulin, DNA), 'nfkb' (DNA, NF-kB) or 'golgi' (DNA, "
        "Golgi); None where images are one's own.",
    )
    drawn: int = Field(default=0, ge=0, description="Drawn images of that stain set, of all phenotypes.")
    scale: float = Field(
        default=1.0, ge=0.5, le=2, description="Size of the drawn cells; at 1 a nucleus measures about 34 pixels."
    )
    confluence: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the places around a drawn cell that another one grew at: what lies around the cell in "
        "the middle varies most, and takes a generator longest to learn.",
    )
    unseen: int = Field(default=500, ge=8, description="More drawn images, held out to judge by.")
    shipped: bool = Field(
        default=False, description="Whether the crops of the shipped real images with these stains are used too."
    )
    share: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of real crops, of all kinds by their number, in a batch, beside drawn images; None: as many "
        "as there are of each.",
    )
    crops: CropsConfig | None = Field(default=None, description="One's own images, cut into crops centred on nuclei.")
    bbbc021: BBBC021Config | None = Field(default=None, description="BBBC021 as published, and which crops of it.")
    binning: Literal[1, 2, 4] = Field(
        default=1, description="Pixels of these images that become one on each axis: cells of the same view, smaller."
    )
    cache: Path = Field(default=Path("runs/images"), description="Where drawn images are kept.")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.drawn or self.shipped or self.crops or self.bbbc021):
            raise ValueError("no images are named: set images.drawn, images.shipped, images.crops or images.bbbc021")
        if (self.drawn or self.shipped) and self.stains is None:
            raise ValueError("drawn and shipped images need images.stains: cells, nfkb or golgi")
        if self.share is not None and not (self.drawn and (self.shipped or self.crops or self.bbbc021)):
            raise ValueError("images.share is of real crops beside drawn images: name both, or set images.share=null")
        return self


class Widths(Frozen):
    """Feature maps of a network: ``base`` over the height of the features, at most ``most``."""

    base: int = Field(default=16384, ge=32, description="Feature maps times the height of the features, pixels.")
    most: int = Field(default=512, ge=1, description="Greatest number of feature maps.")


class PriorGenerator(Widths):
    """Size of the generator."""

    z_dim: int = Field(default=512, ge=1, description="Length of a latent code z.")
    w_dim: int = Field(default=512, ge=1, description="Length of a style vector w.")
    mapping_layers: int = Field(default=2, ge=1, description="Dense layers from z to w: 2 of 'auto', 8 of 'paper256'.")


class PriorDiscriminator(Widths):
    """Size of the discriminator."""

    group: int = Field(default=4, ge=1, description="Images over which the minibatch's deviation is taken.")


class Regularisation(Frozen):
    """Regularisation, each only at every so many steps (StyleGAN2, Sec. 3 and 4, Appendix B)."""

    r1: float | None = Field(
        default=None,
        ge=0,
        description="Weight gamma of R1: gamma / 2 times the squared gradient; None: 0.0002 times the pixels of an "
        "image, over the images of a step (StyleGAN2-ADA's 'auto').",
    )
    r1_every: int = Field(default=16, ge=1, description="Steps from one R1 to the next.")
    path_length: float = Field(default=2.0, ge=0, description="Weight of the path length regularisation.")
    path_every: int = Field(default=4, ge=1, description="Steps from one path length regularisation to the next.")
    path_share: int = Field(default=2, ge=1, description="It sees one of so many images of a batch.")


class ADA(Frozen):
    """Adaptive discriminator augmentation (Karras et al. 2020, Sec. 3)."""

    target: float | None = Field(
        default=0.6, ge=0, lt=1, description="r_t, the mean sign of D(real), that is aimed at; None: no augmentation."
    )
    kimg: float = Field(
        default=500.0, gt=0, description="Thousands of images in which the strength may go from 0 to 1."
    )
    every: int = Field(default=4, ge=1, description="Steps from one adjustment to the next.")
    geometric: bool = Field(default=True, description="Flips, turns, shifts, scales and rotations.")
    intensity: bool = Field(default=True, description="Brightness and gain of each channel by itself.")


class ImagesConfig(LoopConfig):
    """What every training says alike whose images are a prior's."""

    images: PriorImages
    size: Literal[8, 16, 32, 64, 128, 256, 512] = Field(
        default=128, description="Height and width of an image, pixels."
    )
    batch: int = Field(default=32, ge=1, description="Images a step.")
    turned: bool = Field(
        default=True, description="Whether images are shown flipped and turned by quarters: cells have no upright."
    )


class PriorConfig(ImagesConfig):
    """A whole training of StyleGAN2-ADA, the prior of regularized latent search."""

    system: Literal["prior"] = "prior"
    generator: PriorGenerator = PriorGenerator()
    discriminator: PriorDiscriminator = PriorDiscriminator()
    init: Path | None = Field(
        default=None,
        description="A prior to begin as: all weights and noise maps of the same name and shape are taken over, so "
        "that a prior of smaller images or other stains is a start.",
    )
    kimg: float = Field(gt=0, description="Length of the training, thousands of real images shown.")
    batch: int = Field(default=32, ge=2, description="Images a step.")
    learning_rate: float = Field(default=2.5e-3, gt=0, description="Of both networks.")
    mixing: float = Field(
        default=0.9, ge=0, le=1, description="Chance that an image has the styles of two latent codes."
    )
    noise_from: int = Field(
        default=4,
        ge=4,
        description="Height of the features from which on noise is added; 4: to all, as published. What coarse noise "
        "decides, such as where a cell's neighbours lie, no style vector decides, and a search can't find it.",
    )
    regularisation: Regularisation = Regularisation()
    ada: ADA = ADA()
    ema_kimg: float = Field(default=10.0, gt=0, description="Half-life of the kept generator's average, thousands.")
    ema_rampup: float | None = Field(
        default=0.05, gt=0, description="The half-life is at most this share of the images so far; None: no ramp-up."
    )
    judged_on: int = Field(default=500, ge=4, description="Images for the kernel distance at each validation.")

    @property
    def r1_weight(self) -> float:
        """Gamma of R1, as it is set or by the rule."""
        given = self.regularisation.r1
        return _R1 * self.size**2 / self.batch if given is None else given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.batch % min(self.discriminator.group, self.batch):
            raise ValueError(f"batch ({self.batch}) must be a multiple of discriminator.group")
        if self.batch < self.regularisation.path_share:
            raise ValueError(f"batch ({self.batch}) must be at least regularisation.path_share")
        for name, network in (("generator", self.generator), ("discriminator", self.discriminator)):
            if network.base < self.size:
                raise ValueError(f"{name}.base is at least size ({self.size}), which leaves one feature map there")
        return self
