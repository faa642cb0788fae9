"""The run folder: what a training leaves, and what every later command takes by name.

runs/NAME/
  config.yaml      the resolved configuration, enough to train again
  command.txt      the command that began the training
  about.json       what was trained, on what, how long, and the held-out figures (:class:`About`)
  sample.tif       a held-out input
  model.keras      the network as of the last checkpoint
  model-NAME.keras the network as of a milestone, such as the end of the pixel-only phase
  history.csv      the losses, one row a logging step
  validation.csv   figures on held-out images, one row a checkpoint
  pictures/        input, output and target over training
  tensorboard/     the same curves for TensorBoard
  checkpoints/     what --resume needs; may be deleted once the training is done
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, ClassVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relumen.errors import UserError
from relumen.plain_yaml import plain_values
from relumen.whole import file_appears_whole

if TYPE_CHECKING:
    import keras

PIXEL_ONLY = "pixel"
"""Milestone of ESRGAN: the generator before any perceptual or adversarial loss."""


_STORED = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
"""What JSON has no number for, such as the infinite PSNR of equal images, is read back as it was."""


class Figures(BaseModel):
    """Quality of one held-out image at one noise level.

    PSNR in dB; both metrics over the 0.1st to 99.9th percentile of the target.
    """

    model_config: ClassVar[ConfigDict] = _STORED

    image: str
    condition: str = Field(description="Such as the photons of a stated degradation; 'as given' for real pairs.")
    psnr: float
    ssim: float
    bicubic_psnr: float
    bicubic_ssim: float


class Stage(BaseModel):
    """A training whose weights a later one began with."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    command: str
    data: str
    machine: str
    seconds: float = Field(ge=0)
    steps: int = Field(ge=0)


class About(BaseModel):
    """What is known of a run's network; every field is written by the training."""

    model_config: ClassVar[ConfigDict] = _STORED

    system: str = Field(description="Which system was trained, such as 'esrgan'.")
    scale: int = Field(ge=1, description="Magnification of the network.")
    channels: int = Field(ge=1, description="Channels of its input and output.")
    halo: int | None = Field(
        ge=0, description="Context that a tile needs on each side, input pixels, as measured; None: none is enough."
    )
    tile: int | None = Field(
        default=None, description="Height and width of the only input that the network takes; None: it takes any."
    )
    multiple: int = Field(default=1, ge=1, description="Of which the height and width of an input must be.")
    draws: bool = Field(
        default=False, description="Whether the network takes random numbers beside the image, as its last input."
    )
    defects: tuple[str, ...] = Field(
        default=(), description="What the network makes of clean images, in the order of its second input; or nothing."
    )
    stains: tuple[str, ...] = Field(default=(), description="What the channels of a prior's images show.")
    pixel_size_um: float | None = Field(default=None, description="Training pixel size at the input, micrometres.")
    data: str = Field(description="The training images, in words.")
    stages: tuple[Stage, ...] = Field(
        default=(), description="The trainings that this one goes on from, each with the weights of the one before."
    )
    features: str | None = Field(default=None, description="The feature network of the losses; None: none was used.")
    degradation: str | None = Field(default=None, description="How inputs were made; None for real pairs.")
    command: str = Field(description="The command that trained the network.")
    machine: str = Field(description="The device it was trained on.")
    software: str = Field(description="Versions of relumen, Keras and TensorFlow.")
    seconds: float = Field(ge=0, description="Time spent training.")
    steps: int = Field(ge=0, description="Training steps done, both phases.")
    alpha: float | None = Field(
        default=None, description="Share of the last network where it was interpolated with the pixel-only one."
    )
    finished: bool = Field(description="Whether all planned steps are done.")
    figures: tuple[Figures, ...] = Field(default=(), description="Quality on the held-out images.")
    measures: dict[str, float] = Field(default={}, description="Whatever else was measured on them, by name.")

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The trainings before this one, and this one."""
        this = Stage(command=self.command, data=self.data, machine=self.machine, seconds=self.seconds, steps=self.steps)
        return (*self.stages, this)


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run, and its reading and writing."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def about_file(self) -> Path:
        """What was trained."""
        return self.path / "about.json"

    @property
    def model_file(self) -> Path:
        """The network."""
        return self.path / "model.keras"

    def milestone_file(self, name: str) -> Path:
        """The network as of a milestone."""
        return self.path / f"model-{name}.keras"

    @property
    def sample_file(self) -> Path:
        """A held-out input."""
        return self.path / "sample.tif"

    @property
    def history_file(self) -> Path:
        """The losses by step."""
        return self.path / "history.csv"

    @property
    def validation_file(self) -> Path:
        """Figures on held-out images by step."""
        return self.path / "validation.csv"

    @property
    def pictures(self) -> Path:
        """Sample pictures."""
        return self.path / "pictures"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's log folder."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """What --resume needs."""
        return self.path / "checkpoints"

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run.

        Raises:
            UserError: there is no run at ``path``.
        """
        run = cls(path)
        if not run.config_file.is_file():
            raise UserError(f"{path} is no run folder: it has no config.yaml. Name a folder under runs/.")
        return run

    def config(self) -> dict[str, Any]:
        """The configuration as plain values.

        Raises:
            UserError: the file is missing or damaged.
        """
        try:
            text = self.config_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.config_file} can't be read ({error}).") from error
        return parse_mapping(text, str(self.config_file))

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Stores the resolved configuration.

        Raises:
            UserError: the folder can't be made or written to.
            CheckFailedError: the disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.path} can't be written to ({error.strerror}). Choose another with -o.") from error
        write_text(self.config_file, yaml.safe_dump(dict(config), sort_keys=False))

    def first_command(self, command: str) -> str:
        """The command that began this training: the one given, unless one was kept before."""
        file = self.path / "command.txt"
        if not file.is_file():
            write_text(file, command + "\n")
        return file.read_text(encoding="utf-8").rstrip("\n")

    def about(self) -> About:
        """What was trained.

        Raises:
            UserError: the training has not come to its first checkpoint, or the file is damaged.
        """
        if not self.about_file.is_file() or not self.model_file.is_file():
            raise UserError(
                f"{self.path} holds no network yet: its training has not come to a checkpoint. "
                f"Go on with `relumen train {self.config().get('system', 'SYSTEM')} --resume {self.path}`."
            )
        try:
            return About.model_validate_json(self.about_file.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            raise UserError(f"{self.about_file} is damaged: {error}") from error

    def network(self, milestone: str | None = None) -> keras.Model:
        """The network as of the last checkpoint, or of a milestone.

        Raises:
            UserError: it can't be read.
        """
        from relumen.keras_files import load_network

        file = self.model_file if milestone is None else self.milestone_file(milestone)
        return load_network(file, "Train again, or resume the run.")

    def write_about(self, about: About) -> None:
        """Stores what was trained."""
        write_text(self.about_file, about.model_dump_json(indent=1) + "\n")


def parse_yaml(text: str, source: str) -> Any:  # noqa: ANN401  whatever it says
    """The value of a YAML text.

    Args:
        text: of a file, or of a value that was typed.
        source: where it comes from, for the message.

    Raises:
        UserError: it is no YAML.
    """
    try:
        return plain_values(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(
            f"{source} is no valid YAML{place}: {getattr(error, 'problem', None) or error}. Brackets and quotes come "
            "in pairs, and a text that begins with * or has ': ' in it needs quotes, such as '*_R.tif'."
        ) from error


def parse_mapping(text: str, source: str) -> dict[str, Any]:
    """The names and values of a YAML text; arguments and errors as of :func:`parse_yaml`."""
    values = parse_yaml(text, source)
    if not isinstance(values, dict):
        raise UserError(f"{source} holds no 'name: value' lines. Received: {shorten(text, 60) or 'an empty file'}")
    return values


def kind_of(config: Mapping[str, Any]) -> str:
    """What kind of network a run's configuration trains: its system, or the baseline that stands in its place.

    >>> kind_of({"system": "cgan", "generator": {"network": "unet"}})
    'care'
    """
    system, network = config.get("system", ""), part(config, "generator").get("network")
    if network in ("lapsrn", "unet"):
        return {"unet": "care"}.get(network, network)
    losses, sees_input = part(config, "losses"), part(config, "discriminator").get("conditional")
    if system == "cgan" and losses.get("adversarial") and losses.get("form") == "wasserstein" and not sees_input:
        return "deblurgan"  # which differs from cGAN by this loss, and by a critic that sees the result alone
    return str(system)


def part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a configuration; nothing where a file has something else in its place."""
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def software() -> str:
    """The versions that matter, in one line."""
    import platform

    import keras
    import tensorflow as tf

    import relumen

    return (
        f"relumen {relumen.__version__}, Keras {keras.__version__}, TensorFlow {tf.__version__}, "
        f"Python {platform.python_version()}"
    )


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that it is never seen half-written.

    Raises:
        UserError: the folder doesn't exist or can't be written to.
        CheckFailedError: the disk is full.
    """
    with file_appears_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
