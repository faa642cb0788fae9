"""The configuration of a training: frozen, validated, read from a preset, the command line, or a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from relumen.degrade import Degradation
from relumen.errors import UserError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Frozen):
    """Which images, and how patches are cut from them."""

    folder: Path = Field(
        description="Pairs in low/ and high/ under equal names, high-quality images alone, W2S as published, or a .npz "
        "file of CSBDeep. A subfolder validation/ of the same layout is held out; beside train/, test/ is."
    )
    source: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Subfolders of the inputs, where pairs are not in low/ and high/, low/ and GT/, or LR/ and HR/.",
    )
    target: str | None = Field(default=None, description="Subfolder of the targets; stated together with source.")
    averages: tuple[int, ...] = Field(
        default=(1,),
        min_length=1,
        description="W2S: the inputs are the averages of so many frames, such as [1, 2, 4, 8, 16]; each is a pair.",
    )
    patch: int = Field(default=64, ge=8, description="Height and width of a low-resolution patch, pixels.")
    overlap: float = Field(default=0.5, ge=0, lt=1, description="Share of a patch that its neighbour shows too.")
    keep_empty: float = Field(default=1.0, ge=0, le=1, description="Share of patches without structure that is used.")
    validation: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the images held out where there is no validation/ folder."
    )
    degradation: Degradation | None = Field(
        default=None, description="How inputs are made from high-quality images; None where there are real pairs."
    )
    pixel_size_um: float | None = Field(
        default=None,
        gt=0,
        description="Pixel size of the inputs, micrometres; read from the files where they tell it.",
    )

    @field_validator("source", "averages", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, int | str) else value

    @model_validator(mode="after")
    def _both_subfolders(self) -> Self:
        if (self.source is None) != (self.target is None):
            raise ValueError("source and target name the subfolders of inputs and targets: state both, or neither")
        return self


class GeneratorConfig(_Frozen):
    """Size of the generator."""

    blocks: int = Field(default=23, ge=1, description="Number of RRDBs.")
    width: int = Field(default=64, ge=1, description="Feature maps of the trunk.")
    growth: int = Field(default=32, ge=1, description="Feature maps that each conv of a dense block adds.")


class DiscriminatorConfig(_Frozen):
    """Size of the discriminator."""

    width: int = Field(default=64, ge=1, description="Feature maps of the first conv.")
    dense: int = Field(default=1024, ge=1, description="Units of the first dense layer.")


class LearningRate(_Frozen):
    """Learning rate as a function of the step within a phase."""

    initial: float = Field(default=1e-4, gt=0, description="At the first step.")
    schedule: Literal["halve", "cosine"] = Field(
        default="halve",
        description="'halve': by two after each epoch (Chatton, Sec. 3.1); 'cosine': down to the floor.",
    )
    floor: float = Field(
        default=1e-7,
        ge=0,
        description="Never below. Halving 50 times reaches 1e-19: the published schedule has floor 0.",
    )


class Losses(_Frozen):
    """Weights of the generator's loss terms."""

    pixel: float = Field(default=1e-2, ge=0, description="Difference of the pixels.")
    perceptual: float = Field(default=0.0, ge=0, description="Difference of features, see 'features'.")
    texture: float = Field(default=0.0, ge=0, description="Difference of the features' Gram matrices.")
    adversarial: float = Field(default=0.0, ge=0, description="Relativistic average GAN, as BCE with logits.")
    distance: Literal["l1", "l2"] = Field(
        default="l1", description="What a difference is: mean absolute ('l1') or mean squared ('l2') error."
    )

    @property
    def wants_features(self) -> bool:
        """Whether a term is over the feature network's output."""
        return self.perceptual > 0 or self.texture > 0


class Phase(_Frozen):
    """One phase of the training: its length, losses and learning rate."""

    epochs: float | None = Field(default=None, gt=0, description="Length as passes over all patches.")
    steps: int | None = Field(default=None, gt=0, description="Length in steps, in place of epochs.")
    losses: Losses = Losses()
    learning_rate: LearningRate = LearningRate()

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("a phase has either epochs or steps")
        return self


class LoopConfig(_Frozen):
    """What the training loop needs of every system's configuration."""

    seed: int = Field(default=0, ge=0, description="Everything random is a function of the seed and the step.")
    devices: tuple[str, ...] | None = Field(
        default=None, description="Devices that share a batch, such as [GPU:0, GPU:1]; None: all GPUs, or the CPU."
    )
    precision: Literal["float32", "mixed_bfloat16"] = Field(
        default="float32",
        description="'mixed_bfloat16' computes in 16 bits and keeps the weights in 32: faster on GPUs since 2020 and "
        "on CPUs with AVX-512 BF16.",
    )
    log_every: int = Field(default=20, ge=1, description="Steps between two rows of history.csv.")
    check_every: int = Field(default=500, ge=1, description="Steps between two checkpoints, validations and pictures.")

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if self.check_every % self.log_every:
            raise ValueError(f"check_every ({self.check_every}) must be a multiple of log_every ({self.log_every})")
        return self


class ESRGANConfig(LoopConfig):
    """A whole ESRGAN training."""

    system: Literal["esrgan"] = "esrgan"
    data: DataConfig
    scale: Literal[2, 4, 8] = Field(default=2, description="Magnification.")
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    features: Literal["none", "microscopy", "vgg19"] = Field(
        default="none",
        description="Network of the perceptual and texture losses: 'microscopy' comes with relumen, 'vgg19' is that of "
        "the paper and needs ImageNet weights.",
    )
    features_weights: str | None = Field(
        default=None,
        description="A file with the feature network's weights. None: those that come with relumen, or for 'vgg19' "
        "ImageNet's, which Keras downloads.",
    )
    batch: int = Field(default=8, ge=1, description="Patches a step.")
    augment: float = Field(
        default=0.5, ge=0, le=1, description="Chance that a patch is changed by flips and quarter turns."
    )
    phase_1: Phase = Field(description="The generator alone on the pixel loss.")
    phase_2: Phase | None = Field(default=None, description="All losses, from phase 1's weights; None leaves it out.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        degradation = self.data.degradation
        if degradation is not None and degradation.factor != self.scale:
            raise ValueError(f"scale is {self.scale} and data.degradation.factor is {degradation.factor}")
        if (self.data.patch * self.scale) % 16:
            raise ValueError(f"data.patch x scale must be a multiple of 16, received {self.data.patch * self.scale}")
        for phase in (self.phase_1, self.phase_2):
            if phase and phase.losses.wants_features and self.features == "none":
                raise ValueError("a perceptual or texture loss needs features: microscopy, or vgg19")
        if self.phase_1.losses.adversarial > 0:
            raise ValueError("phase_1 trains the generator alone: set its losses.adversarial to 0")
        return self


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
        default=(),
        description="Fields of view of the shipped images that are not trained on; data/manifest.json names them.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.procedural_size < self.patch:
            raise ValueError(f"a patch of {self.patch} does not fit an image of {self.procedural_size} pixels")
        if not 0 < self.photons[0] <= self.photons[1]:
            raise ValueError(f"photons are two numbers above 0, the smaller first, received {self.photons}")
        return self


Config = ESRGANConfig | FeaturesConfig
"""The configuration of any system."""
_KINDS: tuple[type[Config], ...] = (ESRGANConfig, FeaturesConfig)


def presets(system: str) -> list[str]:
    """Names of a system's presets."""
    names = (entry.name for entry in files("relumen.training.presets").iterdir())
    return sorted(name[len(system) + 1 : -len(".yaml")] for name in names if name.startswith(f"{system}-"))


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
    if preset in presets(system):
        text = files("relumen.training.presets").joinpath(f"{system}-{preset}.yaml").read_text(encoding="utf-8")
    elif preset.endswith((".yaml", ".yml")) and Path(preset).is_file():
        text = Path(preset).read_text(encoding="utf-8")
    else:
        raise UserError(f"There is no preset {preset!r}. Choose one of {', '.join(presets(system))}, or a .yaml file.")
    values = {"system": system, **yaml.safe_load(text)}
    for name, value in fields.items():
        _set(values, name, value)
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"An override reads name=value, such as phase_1.steps=100. Received: {override!r}")
        _set(values, name, yaml.safe_load(value))
    return parse_config(values)


def parse_config(values: Mapping[str, Any]) -> Config:
    """Validates plain values; their ``system`` says which configuration they are.

    Raises:
        UserError: one line for each fault, with its place.
    """
    kinds = {kind.model_fields["system"].default: kind for kind in _KINDS}
    kind = kinds.get(values.get("system", ""))
    if kind is None:
        raise UserError(f"system is one of {', '.join(kinds)}. Received: {values.get('system')!r}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults = [
            f"  {'.'.join(map(str, fault['loc'])) or 'as a whole'}: {fault['msg'].removeprefix('Value error, ')}"
            + ("" if isinstance(fault["input"], dict) else f" (received {fault['input']!r})")
            for fault in error.errors()
        ]
        raise UserError("\n".join(["The configuration has faults:", *faults])) from error


def _set(values: dict[str, Any], name: str, value: Any) -> None:  # noqa: ANN401
    *parents, last = name.split(".")
    for parent in parents:
        child = values.setdefault(parent, {})
        if not isinstance(child, dict):
            child = values[parent] = {}
        values = child
    values[last] = value
