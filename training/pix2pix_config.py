"""The configuration of Pix2Pix's training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from relumen.configs import Frozen
from relumen.training.limited_config import PatchSizes
from relumen.training.prior_config import ImagesConfig
from relumen.training.settings import Betas, Schedule


class Pix2PixGenerator(Frozen):
    """Size of the U-Net."""

    width: int = Field(
        default=64, ge=1, description="Feature maps of the first layer; the innermost have eight times as many."
    )
    norm: Literal["batch", "instance"] = Field(
        default="batch",
        description="Normalisation of each feature: over a batch, by stored statistics once trained, or over each "
        "image, which is what batch normalisation is as published with batches of one.",
    )
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="Share of features that the decoder's first blocks drop in training."
    )


class Pix2PixLosses(Frozen):
    """The generator's loss: adversarial * L_cGAN + pixel * L_L1 (Isola et al., Eq. 4)."""

    adversarial: float = Field(default=1.0, ge=0, description="Weight of L_cGAN; 0 leaves the discriminator out.")
    pixel: float = Field(default=100.0, gt=0, description="Weight lambda of L_L1, of images between -1 and 1.")


class Pix2PixConfig(ImagesConfig, Schedule):
    """A whole training of Pix2Pix, the supervised baseline of regularized latent search."""

    system: Literal["pix2pix"] = "pix2pix"
    factor: int = Field(default=16, ge=2, description="Of the reduction that is undone; each factor is a training.")
    generator: Pix2PixGenerator = Pix2PixGenerator()
    discriminator: PatchSizes = Field(
        default=PatchSizes(), description="The discriminator; at its default each logit sees 70 x 70 pixels."
    )
    losses: Pix2PixLosses = Pix2PixLosses()
    betas: Betas = Field(
        default=(0.5, 0.999), description="Adam's decays of the mean and of the mean square, of both networks."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.size % self.factor:
            raise ValueError(f"factor divides size ({self.size}), such as 16 or 32; received {self.factor}")
        if self.generator.norm == "batch" and self.batch == 1:
            raise ValueError("one image is no batch to store statistics of: set batch, or generator.norm=instance")
        least = 2 ** len(self.discriminator.widths)
        if self.losses.adversarial and self.size < least:
            raise ValueError(f"size is at least {least} with so many discriminator.widths, received {self.size}")
        return self
