"""The configuration of a training: frozen, validated, read from a preset, the command line, or a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from relumen.degrade import Degradation
from relumen.errors import UserError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Frozen):
    """Which images, and how patches are cut from them."""

    folder: Path = Field(
        description="Pairs in low/ and high/ under equal names, or high-quality images alone. "
        "A subfolder validation/ of the same layout is held out."
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

    pixel: float = Field(default=1e-2, ge=0, description="Mean absolute error of the pixels.")
    perceptual: float = Field(default=0.0, ge=0, description="Mean absolute error of features, see 'features'.")
    adversarial: float = Field(default=0.0, ge=0, description="Relativistic average GAN, as BCE with logits.")


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
    features: Literal["none", "vgg19"] = Field(
        default="none",
        description="Network of the perceptual loss. 'vgg19' needs ImageNet weights, see features_weights.",
    )
    features_weights: str = Field(
        default="imagenet", description="'imagenet' (downloaded by Keras) or a local .h5 file."
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
            if phase and phase.losses.perceptual > 0 and self.features == "none":
                raise ValueError("a perceptual loss needs features: vgg19; or set losses.perceptual to 0")
        if self.phase_1.losses.adversarial > 0:
            raise ValueError("phase_1 trains the generator alone: set its losses.adversarial to 0")
        return self


def presets() -> list[str]:
    """Names of the ESRGAN presets."""
    folder = files("relumen.training.presets")
    return sorted(p.name.removeprefix("esrgan-").removesuffix(".yaml") for p in folder.iterdir()
                  if p.name.startswith("esrgan-"))  # fmt: skip


def load_config(preset: str, overrides: Sequence[str] = (), **fields: Any) -> ESRGANConfig:  # noqa: ANN401
    """A preset with changes.

    Args:
        preset: one of :func:`presets`, or the path of a YAML file.
        overrides: "path.to.field=value" with YAML values, such as "phase_1.steps=100".
        **fields: the same, as dotted names to values that are already parsed.

    Raises:
        UserError: no such preset, or a value that is not allowed.
    """
    if preset in presets():
        text = files("relumen.training.presets").joinpath(f"esrgan-{preset}.yaml").read_text(encoding="utf-8")
    elif preset.endswith((".yaml", ".yml")) and Path(preset).is_file():
        text = Path(preset).read_text(encoding="utf-8")
    else:
        raise UserError(f"There is no preset {preset!r}. Choose one of {', '.join(presets())}, or a .yaml file.")
    values = yaml.safe_load(text)
    for name, value in fields.items():
        _set(values, name, value)
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"An override reads name=value, such as phase_1.steps=100. Received: {override!r}")
        _set(values, name, yaml.safe_load(value))
    return parse_config(values)


def parse_config(values: Mapping[str, Any]) -> ESRGANConfig:
    """Validates plain values.

    Raises:
        UserError: one line for each fault, with its place.
    """
    try:
        return ESRGANConfig.model_validate(values)
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
