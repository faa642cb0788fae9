"""Settings that several systems share: the images, the length and learning rate of a training, the loop."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from relumen.configs import Frozen
from relumen.degrade import Degradation
from relumen.errors import UserError


class Region(Frozen):
    """A band along one side of every image that is never trained on; held-out images show nothing else.

    For frames of one field, which the last frames alone would not hold out.
    """

    side: Literal["top", "bottom", "left", "right"] = Field(description="Where the band lies.")
    share: float = Field(gt=0, lt=1, description="Its share of the image's height or width.")
    gap: int = Field(default=8, ge=0, description="Rows or columns beside it that are used for nothing, input pixels.")

    def inside(self, shape: tuple[int, int], *, held_out: bool) -> tuple[slice, slice]:
        """The part of an input (y, x) that is held out, or trained on.

        Raises:
            UserError: there is none.
        """
        axis = 0 if self.side in ("top", "bottom") else 1
        length = shape[axis]
        band = round(self.share * length)
        reach = band if held_out else max(0, length - band - self.gap)
        if not reach:
            raise UserError(
                f"With region.share={self.share:g}, {'no row or column' if held_out else 'nothing'} of an image of "
                f"{shape[0]} x {shape[1]} pixels is left to {'judge' if held_out else 'train'} on."
            )
        near = (self.side in ("top", "left")) == held_out
        part = slice(0, reach) if near else slice(length - reach, length)
        return (part, slice(0, shape[1])) if axis == 0 else (slice(0, shape[0]), part)

    @property
    def band(self) -> str:
        """What is held out, in words."""
        return f"the {self.side} {100 * self.share:g} %"

    def describe(self) -> str:
        """What is not trained on, in words."""
        return f"{self.band} (and {self.gap} rows or columns beside it)"


class DataConfig(Frozen):
    """Which images, and how patches are cut from them."""

    folder: Path = Field(
        description="Pairs in low/ and high/ under equal names, high-quality images alone, W2S or a set of CARE as "
        "published, or a .npz file of CSBDeep. A subfolder validation/ of the same layout is held out; beside train/, "
        "test/ is."
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
    region: Region | None = Field(
        default=None,
        description="A band of every image that is held out beside whole images; None: no band.",
    )
    densities: int = Field(
        default=1,
        ge=1,
        description="Classes of cell density, from empty to full, that are shown equally often; 1: as they come.",
    )
    degradation: Degradation | None = Field(
        default=None, description="How inputs are made from high-quality images; None where there are real pairs."
    )
    offsets: int = Field(
        default=1,
        ge=1,
        description="Positions of the camera's pixel grid, along y and along x, at which inputs are made: more inputs "
        "of the same images, whose details lie elsewhere between the pixels.",
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


Betas = tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
"""Adam's decays of the mean and of the mean square; at 1 nothing would ever be learnt."""


class LearningRate(Frozen):
    """Learning rate as a function of the step within a phase."""

    initial: float = Field(default=1e-4, gt=0, description="At the first step.")
    schedule: Literal["halve", "cosine", "linear", "constant"] = Field(
        default="halve",
        description="'halve': by two after each epoch (Chatton, Sec. 3.1); 'cosine': down to the floor; "
        "'linear': as at the first step for half the length, then straight down to the floor; 'constant': as at the "
        "first step.",
    )
    floor: float = Field(
        default=1e-7,
        ge=0,
        description="Never below. Halving 50 times reaches 1e-19: the published schedule has floor 0.",
    )


class Schedule(Frozen):
    """The length of a training, or of a phase of it, and its learning rate."""

    epochs: float | None = Field(default=None, gt=0, description="Length as passes over all patches.")
    steps: int | None = Field(default=None, gt=0, description="Length in steps, in place of epochs.")
    learning_rate: LearningRate = LearningRate()

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("the length is either epochs or steps")
        return self

    def length(self, steps_per_epoch: int) -> int:
        """The length in steps."""
        return self.steps or math.ceil((self.epochs or 0) * steps_per_epoch)

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step."""
        rate = self.learning_rate
        if rate.schedule == "constant":
            return rate.initial
        if rate.schedule == "halve":
            return max(rate.floor, rate.initial * 0.5 ** (step // steps_per_epoch))
        share = step / max(1, self.length(steps_per_epoch) - 1)
        if rate.schedule == "linear":
            return rate.floor + (rate.initial - rate.floor) * min(1.0, 2 * (1 - share))
        return rate.floor + (rate.initial - rate.floor) * 0.5 * (1 + math.cos(math.pi * share))


F = TypeVar("F", bound=Frozen)


def _absolute(config: F) -> F:
    """The same with absolute paths, those of its parts too."""
    values = ((name, getattr(config, name)) for name in type(config).model_fields)
    return config.model_copy(
        update={
            name: value.resolve() if isinstance(value, Path) else _absolute(value)
            for name, value in values
            if isinstance(value, Path | Frozen)
        }
    )


class LoopConfig(Frozen):
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

    def resolved(self) -> Self:
        """With absolute paths, so that the run goes on from anywhere."""
        return _absolute(self)


class RestorationConfig(LoopConfig):
    """What every system needs that learns to make good images of bad ones."""

    data: DataConfig
    batch: int = Field(default=8, ge=1, description="Patches a step.")
    augment: float = Field(
        default=0.5, ge=0, le=1, description="Chance that a patch is changed by flips and quarter turns."
    )
    turns: bool = Field(default=True, description="Whether patches are turned by quarters, beside flips.")

    @model_validator(mode="before")
    @classmethod
    def _factor_of_the_scale(cls, values: Any) -> Any:  # noqa: ANN401  whatever was read
        """Inputs are made as much smaller as the network magnifies, where nothing else is said."""
        if isinstance(values, dict) and isinstance(data := values.get("data"), dict):
            usual = cls.model_fields["scale"].default if "scale" in cls.model_fields else None
            degradation, scale = data.get("degradation"), values.get("scale", usual)
            if isinstance(degradation, dict) and "factor" not in degradation and scale is not None:
                return values | {"data": data | {"degradation": degradation | {"factor": scale}}}
        return values
