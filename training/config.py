"""The configuration of each training: frozen, validated, read from a preset, the command line, or a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from relumen import configs
from relumen.configs import Frozen
from relumen.data import fields, records
from relumen.errors import UserError
from relumen.models.optics import Optics
from relumen.training.flow_config import FlowConfig
from relumen.training.limited_config import CGANConfig, CINGANConfig, CycleGANConfig
from relumen.training.pix2pix_config import Pix2PixConfig
from relumen.training.prior_config import PriorConfig
from relumen.training.settings import DataConfig, LoopConfig, RestorationConfig, Schedule

_PRESETS = "relumen.training.presets"


class GeneratorConfig(Frozen):
    """Size of the generator."""

    blocks: int = Field(default=23, ge=1, description="Number of RRDBs.")
    width: int = Field(default=64, ge=1, description="Feature maps of the trunk.")
    growth: int = Field(default=32, ge=1, description="Feature maps that each conv of a dense block adds.")


class DiscriminatorConfig(Frozen):
    """Size of the discriminator."""

    width: int = Field(default=64, ge=1, description="Feature maps of the first conv.")
    dense: int = Field(default=1024, ge=1, description="Units of the first dense layer.")


class Losses(Frozen):
    """Weights of the generator's loss terms."""

    pixel: float = Field(default=1e-2, ge=0, description="Difference of the pixels.")
    perceptual: float = Field(default=0.0, ge=0, description="Difference of features, see 'features'.")
    texture: float = Field(default=0.0, ge=0, description="Difference of the features' Gram matrices.")
    adversarial: float = Field(default=0.0, ge=0, description="Relativistic average GAN, as BCE with logits.")
    distance: Literal["l1", "l2"] = Field(
        default="l1", description="What a difference is: mean absolute ('l1') or mean squared ('l2') error."
    )

    @property
    def wants_any(self) -> bool:
        """Whether a term has a weight."""
        return self.wants_features or self.pixel > 0 or self.adversarial > 0

    @property
    def wants_features(self) -> bool:
        """Whether a term is over the feature network's output."""
        return self.perceptual > 0 or self.texture > 0


class Phase(Schedule):
    """One phase of the training: its length, losses and learning rate."""

    losses: Losses = Losses()


class ESRGANConfig(RestorationConfig):
    """A whole ESRGAN training."""

    system: Literal["esrgan"] = "esrgan"
    scale: Literal[2, 4, 8] = Field(default=2, description="Magnification.")
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    features: Literal["none", "microscopy", "vgg19"] = Field(
        default="none",
        description="Network of the perceptual and texture losses: 'microscopy' comes with relumen, 'vgg19' is that of "
        "the paper and needs ImageNet weights.",
    )
    features_weights: Path | None = Field(
        default=None,
        description="A file with the feature network's weights. None: those that come with relumen, or for 'vgg19' "
        "ImageNet's, which Keras downloads.",
    )
    phase_1: Phase = Field(description="The generator alone on the pixel loss.")
    phase_2: Phase | None = Field(default=None, description="All losses, from phase 1's weights; None leaves it out.")

    @property
    def own_weights(self) -> str | None:
        """The file of the feature network's weights, as :func:`relumen.features.perceptual` takes it."""
        return None if self.features_weights is None else str(self.features_weights)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_factor(self.data, self.scale)
        if (self.data.patch * self.scale) % 16:
            raise ValueError(f"data.patch x scale must be a multiple of 16, received {self.data.patch * self.scale}")
        for name, phase in (("phase_1", self.phase_1), ("phase_2", self.phase_2)):
            if phase and not phase.losses.wants_any:
                raise ValueError(f"nothing is learnt in {name} with all weights of its losses 0")
            if phase and phase.losses.wants_features and self.features == "none":
                raise ValueError("a perceptual or texture loss needs features: microscopy, or vgg19")
        if self.phase_1.losses.adversarial > 0:
            raise ValueError("phase_1 trains the generator alone: set its losses.adversarial to 0")
        return self


class CascadeGeneratorConfig(Frozen):
    """Size of the cascade's generator."""

    network: Literal["cascade"] = "cascade"
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(512, 512, 256, 256),
        min_length=1,
        description="Feature maps before the first upsampling, then of each level; the last stands for all after it.",
    )
    multiplier: float = Field(default=1.0, gt=0, description="What all widths are multiplied by.")
    stem: int = Field(default=2, ge=0, description="Convolutions before the first upsampling.")
    convs: int = Field(default=2, ge=1, description="Convolutions of a level.")
    norm: Literal["pixel", "paper"] = Field(
        default="pixel",
        description="Layer normalisation: 'pixel', over the channels of each pixel, so that any image can be tiled; "
        "'paper', over all features of an image, so that every input must have the size of the patches.",
    )
    skip: bool = Field(
        default=False, description="Whether each level's image is what is added to the bilinearly enlarged input."
    )
    enrichment: Literal["filters", "repeat", "none"] = Field(
        default="filters",
        description="What the generator sees: the image through the diffraction pattern filters, as many copies of it, "
        "or the image.",
    )
    keep_image: bool = Field(default=False, description="Whether the enriched stack has the image itself too.")


class LapSRNConfig(Frozen):
    """Size of LapSRN, the baseline."""

    network: Literal["lapsrn"]
    width: int = Field(default=64, ge=1, description="Feature maps of every convolution.")
    depth: int = Field(default=5, ge=1, description="Convolutions of a level; 5 for 8x in the paper, else 10.")


class CascadeDiscriminatorConfig(Frozen):
    """Size of the cascade's discriminator."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(32, 64, 128, 256), min_length=1, description="Feature maps of each module; each halves the image."
    )
    patches: bool = Field(
        default=True, description="Whether it gives a map of logits, as the authors' does, or one, as in the paper."
    )


class CascadeLosses(Frozen):
    """The generator's loss: adversarial * L_adv + alpha * L_con (Han and Yin, Eqs. 2-4)."""

    adversarial: float = Field(default=1.0, ge=0, description="Weight of L_adv; 0 leaves the discriminator out.")
    alpha: float = Field(default=1.0, ge=0, description="Weight of L_con.")
    form: Literal["non-saturating", "minimax"] = Field(
        default="non-saturating", description="L_adv is -log D ('non-saturating'), or log(1 - D) ('minimax', Eq. 3)."
    )
    distance: Literal["l1", "charbonnier"] = Field(
        default="l1", description="What a difference in L_con is: absolute, or LapSRN's smooth one."
    )
    filtered: bool = Field(
        default=True, description="Whether L_con compares images through the filters (Eq. 4), or the images alone."
    )
    reduction: Literal["mean", "sum"] = Field(
        default="mean",
        description="L_con is the mean or the sum over pixels and filters; over levels it is the sum, over images the "
        "mean. What alpha means depends on it, and on the images' range: units of the input's standard deviation.",
    )


class CascadeConfig(RestorationConfig, Schedule):
    """A whole training of the cascaded refinement GAN, or of LapSRN in its place."""

    system: Literal["cascade"] = "cascade"
    scale: Literal[2, 4, 8, 16] = Field(default=8, description="Magnification.")
    generator: CascadeGeneratorConfig | LapSRNConfig = Field(
        default=CascadeGeneratorConfig(), discriminator="network", description="The network; LapSRN is the baseline."
    )
    discriminator: CascadeDiscriminatorConfig = CascadeDiscriminatorConfig()
    optics: Optics = Field(default=Optics(), description="The microscope that the diffraction pattern filters are of.")
    losses: CascadeLosses = CascadeLosses()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_factor(self.data, self.scale)
        if not self.losses.adversarial and not self.losses.alpha:
            raise ValueError("nothing is learnt with losses.adversarial and losses.alpha both 0")
        halved = 2 ** len(self.discriminator.widths)
        if self.losses.adversarial and (self.data.patch * self.scale) % halved:
            raise ValueError(
                f"data.patch x scale must be a multiple of {halved}, received {self.data.patch * self.scale}: the "
                f"discriminator halves the image {len(self.discriminator.widths)} times"
            )
        return self

    def optics_at(self, pixel_um: float | None) -> Optics:
        """The microscope, with the pixel size of the inputs that the data tell, where the optics state none.

        Raises:
            UserError: the filters depend on it, and neither tells it.
        """
        if pixel_um is None or self.optics.pixel_um is not None:
            pixel_um = self.optics.pixel_um
        if self.optics.mode == "physical" and pixel_um is None:
            raise UserError(
                "Physical filters depend on the pixel size, and the images tell none. State that of the inputs in "
                f"micrometres, {self.scale} times that of the images, with --pixel-size."
            )
        return replace(self.optics, pixel_um=pixel_um)


class FeaturesConfig(LoopConfig):
    """A whole training of the feature network."""

    system: Literal["features"] = "features"
    width: int = Field(default=32, ge=1, description="Feature maps of the first block; the last has four times more.")
    patch: int = Field(default=64, ge=16, le=256, description="Height and width of a patch, pixels.")
    batch: int = Field(default=32, ge=1, description="Patches a step.")
    steps: int = Field(gt=0, description="Length of the training.")
    learning_rate: float = Field(
        default=1e-3, gt=0, description="At the first step; it falls along half a cosine, to nothing."
    )
    degradation: float = Field(
        default=1.0, ge=0, description="Weight of telling blur and noise, beside 1 for telling what is seen."
    )
    blur: float = Field(default=3.0, ge=0, description="Greatest standard deviation of the added blur, pixels.")
    photons: tuple[float, float] = Field(
        default=(10.0, 3000.0), description="Photons at the image's brightest, from and to: the added noise."
    )
    read_noise: float = Field(
        default=2.0, ge=0, description="Standard deviation of the read-out noise, photoelectrons."
    )
    procedural: int = Field(default=24, ge=1, description="Procedural images of each family.")
    procedural_size: int = Field(default=256, ge=64, description="Height and width of a procedural image, pixels.")
    held_out: tuple[str, ...] = Field(
        min_length=1,
        description="Fields of view of the shipped images that are not trained on; data/manifest.json names them, and "
        "the name of a folder, such as ht29, stands for all of its fields.",
    )

    @field_validator("held_out")
    @classmethod
    def _judged_on(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if fields(names).isdisjoint(record.field for record in records("fluorescence").values()):
            raise ValueError("no fluorescence image is held out, which the network would be judged on")
        return names

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.procedural_size < self.patch:
            raise ValueError(f"a patch of {self.patch} does not fit an image of {self.procedural_size} pixels")
        if not 0 < self.photons[0] <= self.photons[1]:
            raise ValueError(f"photons are two numbers above 0, the smaller first, received {self.photons}")
        return self


def _check_factor(data: DataConfig, scale: int) -> None:
    if data.degradation is not None and data.degradation.factor != scale:
        raise ValueError(f"scale is {scale} and data.degradation.factor is {data.degradation.factor}")


Config = (
    ESRGANConfig
    | CascadeConfig
    | CINGANConfig
    | CGANConfig
    | CycleGANConfig
    | FeaturesConfig
    | PriorConfig
    | Pix2PixConfig
)
"""The configuration of any system."""
_KINDS: tuple[type[Config], ...] = (
    ESRGANConfig,
    CascadeConfig,
    CINGANConfig,
    CGANConfig,
    CycleGANConfig,
    FeaturesConfig,
    PriorConfig,
    Pix2PixConfig,
)


def presets(system: str) -> list[str]:
    """Names of a system's presets."""
    return configs.preset_names(_PRESETS, f"{system}-")


def load_config(system: str, preset: str, overrides: Sequence[str] = (), **fields: Any) -> Config:  # noqa: ANN401
    """A preset with changes.

    Args:
        system: such as "esrgan".
        preset: one of :func:`presets`, or the path of a YAML file.
        overrides: "path.to.field=value" with YAML values, such as "phase_1.steps=100".
        **fields: the same, as dotted names to values that are already parsed.

    Raises:
        UserError: no such preset, or a value that is not allowed.
    """
    values = {"system": system, **preset_values(system, preset)}
    if values["system"] != system:
        raise UserError(f"{preset} is of another system: use it with relumen train {values['system']}.")
    for name, value in fields.items():
        configs.set_value(values, name, value)
    configs.override(values, overrides, "phase_1.steps=100")
    return parse_config(values)


def load_flow_config(preset: str, overrides: Sequence[str] = ()) -> FlowConfig:
    """A preset of a flow's training with changes; arguments and errors as of :func:`load_config`."""
    values = preset_values("flow", preset)
    configs.override(values, overrides, "hidden=512")
    return configs.validated(FlowConfig, values)


def preset_values(system: str, preset: str) -> dict[str, Any]:
    """What a preset of a system says, as plain values; arguments and errors as of :func:`load_config`."""
    return configs.preset_values(_PRESETS, preset, f"{system}-")


def parse_config(values: Mapping[str, Any]) -> Config:
    """Validates plain values; their ``system`` says which configuration they are.

    Raises:
        UserError: one line for each fault, with its place.
    """
    kinds = {kind.model_fields["system"].default: kind for kind in _KINDS}
    kind = kinds.get(values.get("system", ""))
    if kind is None:
        raise UserError(f"system is one of {', '.join(kinds)}. Received: {values.get('system')!r}")
    return configs.validated(kind, values)


def read_data_config(values: Mapping[str, Any], overrides: Sequence[str] = (), scale: int | None = None) -> DataConfig:
    """How a data folder is read, for any system.

    Args:
        values: plain values of a :class:`~relumen.training.settings.DataConfig`, its folder at least.
        overrides: changes, "data.name=value" with YAML values.
        scale: magnification, by which made inputs are smaller; None: by what the degradation says.

    Raises:
        UserError: a value that is not allowed.
    """
    reading: dict[str, Any] = {"data": dict(values)}
    for override in overrides:
        name, value = configs.parsed(override, "data.source=wf")
        if not name.startswith("data."):
            raise UserError(f"How images are read is changed by such as data.source=wf. Received: {override!r}")
        configs.set_value(reading, name, value)
    return configs.validated(_Reading, reading if scale is None else {**reading, "scale": scale}).data


class _Reading(RestorationConfig):
    """What all systems say of the data that they are trained on."""

    scale: Literal[1, 2, 4, 8, 16] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.scale is not None:
            _check_factor(self.data, self.scale)
        return self
