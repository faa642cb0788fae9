"""The configurations of CIN-GAN, cGAN and CycleGAN: defects made, and restored, under limited data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from relumen.configs import Frozen
from relumen.training.settings import Betas, DataConfig, RestorationConfig, Schedule


class ResNetConfig(Frozen):
    """Size of the residual network that CIN-GAN and cGAN are."""

    network: Literal["resnet"] = "resnet"
    width: int = Field(default=64, ge=1, description="Feature maps of the first convolution; a halving doubles them.")
    blocks: int = Field(default=9, ge=1, description="Residual blocks; 12 in CIN-GAN.")
    downsampling: int = Field(
        default=2,
        ge=0,
        le=4,
        description="Halvings before the blocks. Where there is one, the answer to a tile depends on where it begins.",
    )
    dilations: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(1,),
        min_length=1,
        description="Of the blocks' convolutions, one block after the other, again and again.",
    )
    norm: Literal["instance", "frozen", "pixel", "none"] = Field(
        default="instance",
        description="Normalisation: 'instance', over each feature of an image, as in the paper, so that every input "
        "must have the size of the patches; 'frozen', over the training's batches; 'pixel', over a pixel's features.",
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Share of features that a block drops in training.")
    activation: Literal["tanh", "linear"] = Field(default="tanh", description="Of the output, before (x + y) / 2.")
    span: float = Field(
        default=1.0, gt=0, description="What the network counts as 1, in standard deviations of the input."
    )

    @property
    def pinned(self) -> bool:
        """Whether an answer depends on the size of the input."""
        return self.norm == "instance"

    @property
    def multiple(self) -> int:
        """Of which the height and width of an input must be."""
        return 2**self.downsampling


class UNetConfig(Frozen):
    """Size of CARE's U-Net, a baseline."""

    network: Literal["unet"]
    width: int = Field(default=32, ge=1, description="Feature maps of the first level; a halving doubles them.")
    depth: int = Field(
        default=2, ge=1, le=4, description="Halvings. The answer to a tile depends on where the tile begins."
    )
    kernel: Literal[3, 5, 7] = Field(default=5, description="Height and width of the kernels; CSBDeep's are 5.")

    @property
    def pinned(self) -> bool:
        """Whether an answer depends on the size of the input."""
        return False

    @property
    def multiple(self) -> int:
        """Of which the height and width of an input must be."""
        return 2**self.depth


class PatchSizes(Frozen):
    """Size of a discriminator that judges each part of an image by itself."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(64, 128, 256, 512),
        min_length=2,
        description="Feature maps of each convolution but the last; all but the last of these halve the image.",
    )


class PatchDiscriminatorConfig(PatchSizes):
    """The discriminator of CIN-GAN and cGAN."""

    conditional: bool = Field(
        default=True,
        description="Whether it sees what the image was made of: the defective image, or the defect's name.",
    )
    detail: float = Field(
        default=0.0,
        ge=0,
        description="Gain of the fine detail that it sees beside the image; 0: none. Without, a critic counts grain "
        "and sharpness for as little as they are, and a generator leaves them. Not in the paper.",
    )


class AdversarialForm(Frozen):
    """How the adversarial loss of a system is made, where that is a choice."""

    form: Literal["non-saturating", "wasserstein"] = Field(
        default="non-saturating", description="Binary cross-entropy, or the Wasserstein distance."
    )
    penalty: float = Field(default=0.0, ge=0, description="Weight of the gradient penalty.")
    clip: float | None = Field(
        default=None, gt=0, description="Greatest absolute value of a critic's weight; None: any."
    )
    critic_steps: int = Field(default=1, ge=1, description="Steps of the critic before each of the generator.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.form == "wasserstein" and not self.penalty and self.clip is None:
            raise ValueError("a Wasserstein critic grows without bound: set penalty, such as 10, or clip, such as 0.01")
        return self


class DefectImages(RestorationConfig, Schedule):
    """What all say alike: the defects' images."""

    defects: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names of the data's subfolders, one for each defect; None: all, or the folder is one defect.",
    )
    turns: bool = Field(
        default=False, description="Whether patches are turned by quarters too: not where a defect has a direction."
    )

    @model_validator(mode="after")
    def _as_they_are(self) -> Self:
        _check_unused(self.data, ("degradation", "offsets"), "defective images are taken as they are")
        return self


class UnpairedImages(DefectImages):
    """What is said where defective and clean images need not show the same."""

    images: int | None = Field(
        default=None, ge=1, description="Defective images of each defect that are used; None: all."
    )
    clean: Path | None = Field(
        default=None,
        description="Folder of clean images. None: the data's subfolder clean/, or the targets of its pairs.",
    )

    @model_validator(mode="after")
    def _from_anywhere(self) -> Self:
        _check_unused(self.data, ("overlap", "densities"), "patches are drawn from anywhere in an image")
        return self


class FeatureLosses(DefectImages):
    """What CIN-GAN and cGAN say alike: the discriminator, and how the losses are made that compare features."""

    discriminator: PatchDiscriminatorConfig = PatchDiscriminatorConfig()
    features: Literal["microscopy", "vgg16", "vgg19"] = Field(
        default="microscopy",
        description="Network of the content and style losses: 'microscopy' comes with relumen, VGG needs weights.",
    )
    features_weights: Path | None = Field(
        default=None, description="A file with the feature network's weights; see there for None."
    )
    content_layers: tuple[str, ...] = Field(
        default=("block3_conv3",), min_length=1, description="Layers of the content loss: high-level features."
    )

    @property
    def own_weights(self) -> str | None:
        """The file of the feature network's weights, as :func:`relumen.features.perceptual` takes it."""
        return None if self.features_weights is None else str(self.features_weights)


class CINGANLosses(AdversarialForm):
    """The generator's loss (Razdaibiedina et al., Method), adversarial by the Wasserstein distance."""

    form: Literal["non-saturating", "wasserstein"] = Field(
        default="wasserstein", description="Binary cross-entropy, or the Wasserstein distance."
    )
    penalty: float = Field(default=10.0, ge=0, description="Weight of the critic's gradient penalty.")
    critic_steps: int = Field(default=5, ge=1, description="Steps of the critic before each of the generator.")
    adversarial: float = Field(default=0.1, ge=0, description="Weight of L_adv.")
    content: float = Field(default=1.0, ge=0, description="Weight of L_content, against the clean image.")
    style: float = Field(default=1.0, ge=0, description="Weight of L_style, against a real image with the defect.")
    brightness: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the squared difference to the clean image after a wide blur. Few images of a defect are "
        "brighter or darker than the clean ones by chance, which is learned too without it; 0 where the defect itself "
        "changes brightness. Not in the paper.",
    )


class CINGANConfig(FeatureLosses, UnpairedImages):
    """A whole training of CIN-GAN, which makes defects of clean images."""

    system: Literal["cin-gan"] = "cin-gan"
    generator: ResNetConfig = ResNetConfig(blocks=12)
    draw: bool = Field(
        default=False,
        description="Whether the generator sees random numbers beside the image, to make noise of; not in the paper. "
        "Its package has the same grain in every tile.",
    )
    losses: CINGANLosses = CINGANLosses()
    style_layers: tuple[str, ...] = Field(
        default=("block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2"),
        min_length=1,
        description="Layers of the style loss: low-level features.",
    )
    betas: Betas = Field(default=(0.5, 0.9), description="Adam's decay of both moments.")
    average: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="What is kept is a running mean of the generator's weights, of which so much stays at each step; "
        "0: the weights themselves. While it plays against the critic a generator never comes to rest.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_patch(self.data.patch, self.generator.multiple, self.discriminator.widths)
        if not (self.losses.adversarial or self.losses.style):
            raise ValueError("no defect is learnt with losses.adversarial and losses.style both 0")
        return self


class CGANLosses(AdversarialForm):
    """The restorer's loss: L_adv + lambda L_content, each with its weight (Razdaibiedina et al., Method)."""

    adversarial: float = Field(default=0.1, ge=0, description="Weight of L_adv; 0 leaves the discriminator out.")
    content: float = Field(default=1.0, ge=0, description="Weight of L_content, of features.")
    pixel: float = Field(default=0.0, ge=0, description="Weight of the mean absolute difference; none in the paper.")


class SyntheticConfig(Frozen):
    """Pairs whose defects CIN-GAN made."""

    folder: Path = Field(description="What relumen data synthesise wrote.")
    share: float = Field(default=0.5, gt=0, le=1, description="Their share of every batch, in the mean.")
    until: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Part of the training in which they are shown; then real pairs alone correct what made ones taught "
        "wrong. 1, the paper's: in all of it.",
    )


class CGANConfig(FeatureLosses):
    """A whole training of cGAN, one restorer for all defects, or of a baseline in its place."""

    system: Literal["cgan"] = "cgan"
    scale: Literal[1] = 1
    pairs: int | None = Field(default=None, ge=0, description="Real pairs of each defect that are used; None: all.")
    synthetic: SyntheticConfig | None = Field(default=None, description="Made pairs beside the real ones.")
    generator: ResNetConfig | UNetConfig = Field(
        default=ResNetConfig(), discriminator="network", description="The network; CARE's U-Net is a baseline."
    )
    losses: CGANLosses = CGANLosses()
    betas: Betas = Field(default=(0.9, 0.999), description="Adam's decay of both moments.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_patch(
            self.data.patch,
            self.generator.multiple,
            self.discriminator.widths if self.losses.adversarial else (),
        )
        if not (self.losses.adversarial or self.losses.content or self.losses.pixel):
            raise ValueError("nothing is learnt with all weights of losses 0")
        if self.pairs == 0 and self.synthetic is None:
            raise ValueError("without real pairs, synthetic.folder must name made ones")
        if self.synthetic is not None and self.pairs == 0 and self.synthetic.until < 1:
            raise ValueError("without real pairs, made ones must be shown to the end: set synthetic.until=1")
        if self.synthetic is not None and self.synthetic.share == self.synthetic.until == 1 and self.pairs != 0:
            raise ValueError(
                "synthetic.share=1 leaves no place for real pairs: set pairs=0 too, or a smaller share, or "
                "synthetic.until=0.7 to show them at the end"
            )
        return self


class CycleGANLosses(Frozen):
    """The loss of both generators (Zhu et al., Eq. 3 and Sec. 5.2), adversarial by least squares."""

    adversarial: float = Field(default=1.0, gt=0, description="Weight of both adversarial losses.")
    cycle: float = Field(default=10.0, ge=0, description="Weight of the loss of having gone there and back.")
    identity: float = Field(
        default=5.0, ge=0, description="Weight of the loss of changing what is already as it shall be."
    )


class CycleGANConfig(UnpairedImages):
    """A whole training of CycleGAN, a baseline of cGAN without pairs: it restores one defect."""

    system: Literal["cyclegan"] = "cyclegan"
    scale: Literal[1] = 1
    generator: ResNetConfig = Field(default=ResNetConfig(dropout=0.0), description="Of both networks.")
    discriminator: PatchSizes = Field(default=PatchSizes(), description="Of both discriminators.")
    losses: CycleGANLosses = CycleGANLosses()
    betas: Betas = Field(default=(0.5, 0.999), description="Adam's decay of both moments.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_patch(self.data.patch, self.generator.multiple, self.discriminator.widths)
        return self


def _check_unused(data: DataConfig, names: Sequence[str], why: str) -> None:
    """Refuses settings of the data that would have no effect."""
    for name in names:
        value = getattr(data, name)
        if value != DataConfig.model_fields[name].default:
            raise ValueError(f"data.{name} has no effect here, since {why}: leave it out, received {value!r}")


def _check_patch(patch: int, multiple: int, widths: Sequence[int]) -> None:
    halved = max(multiple, 2 ** max(0, len(widths) - 1))
    if patch % halved:
        raise ValueError(f"data.patch must be a multiple of {halved}, received {patch}: the networks halve it")
