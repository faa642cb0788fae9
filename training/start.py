"""Starts a training, or goes on with one, from a run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relumen.errors import UserError
from relumen.run import About, RunFolder
from relumen.training.config import (
    CascadeConfig,
    Config,
    ESRGANConfig,
    FeaturesConfig,
    load_config,
    parse_config,
)
from relumen.training.limited_config import CGANConfig, CINGANConfig, CycleGANConfig
from relumen.training.pix2pix_config import Pix2PixConfig
from relumen.training.prior_config import PriorConfig

if TYPE_CHECKING:
    from relumen.training.loop import System


def prepare(
    folder: Path,
    *,
    system: str = "esrgan",
    preset: str,
    data: Path | None = None,
    degrade: bool = False,
    pixel_size: float | None = None,
    fields: Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
) -> RunFolder:
    """Makes a run folder with its resolved configuration; nothing is trained yet.

    Args:
        folder: the run folder to make.
        system: what is trained.
        preset: the name of one of the system's presets, or a .yaml file.
        data: the folder of images, for systems that take one.
        degrade: whether inputs are made from high-quality images.
        pixel_size: of the inputs, micrometres, where the files don't tell it.
        fields: changes to the preset, as dotted names to values.
        overrides: likewise, "name=value".

    Raises:
        UserError: the folder holds a run already, or the configuration has faults.
    """
    run = RunFolder(folder)
    if run.config_file.exists():
        raise UserError(
            f"{folder} holds a run already. Go on with it by --resume {folder}, or name another folder with -o."
        )
    changes = dict(fields or {})
    if data is not None:
        changes["data.folder"] = str(data)
    if degrade:
        changes["data.degradation"] = {}
    if pixel_size is not None:
        changes["data.pixel_size_um"] = pixel_size
    config = load_config(system, preset, overrides, **changes).resolved()
    if not isinstance(config, FeaturesConfig):  # whose images come along
        _, images = _loaded(config)  # faults in the images show before anything is made
        if isinstance(config, PriorConfig) and config.init is not None:
            _check_init(config, len(images.stains))
        if isinstance(config, CascadeConfig):
            config.optics_at(images.pixel_size_um)
    run.write_config(config.model_dump(mode="json"))
    return run


def go(
    run: RunFolder,
    *,
    command: str,
    machine: str,
    on_step: Callable[[int, int, Mapping[str, float]], None] = lambda step, total, losses: None,
    say: Callable[[str], None] = print,
) -> None:
    """Trains a run from its last checkpoint, or from the start, to its end.

    Args:
        run: a prepared or interrupted run.
        command: what the user typed, for the card; where a run is resumed, its first command is kept.
        machine: the device, in words, for the card.
        on_step: told steps done, steps in all, and the last losses.
        say: told what the user should know.
    """
    from relumen.training.loop import make_deterministic, train

    config = parse_config(run.config())
    make_deterministic(config.seed)
    system = _system(config, run, run.first_command(command), machine.removeprefix("Device: "), say)
    say(f"Training {system.total_steps} steps; curves: tensorboard --logdir {run.tensorboard}")
    train(
        system,
        run,
        log_every=config.log_every,
        check_every=config.check_every,
        on_step=lambda step, losses: on_step(step, system.total_steps, losses),
        say=say,
    )


def _check_init(config: PriorConfig, channels: int) -> None:
    """Whether a prior can begin as the one that it names.

    Raises:
        UserError: it can't.
    """
    from relumen.models.stylegan2 import Generator
    from relumen.training.prior import architecture_of
    from relumen.training.prior_transfer import original

    assert config.init is not None
    original(RunFolder(config.init), Generator(architecture_of(config, channels)))


def _system(config: Config, run: RunFolder, command: str, machine: str, say: Callable[[str], None]) -> System:
    """What a configuration trains, with its data."""
    from relumen.training.loop import checkpoint_of
    from relumen.training.replicas import Replicas

    replicas = Replicas(config.devices)
    system, data = _loaded(config, say, run.about() if checkpoint_of(run) else None)
    say(f"Data: {data.describe()}")
    return system(config, data, replicas, command=command, machine=machine)


def _loaded(
    config: Config, say: Callable[[str], None] = lambda text: None, earlier: About | None = None
) -> tuple[Callable[..., System], Any]:
    """The class of a system and its data; imports only what that one needs.

    Args:
        config: what is trained.
        say: told what the user should know.
        earlier: what is known of the run as of its last checkpoint; None: it begins.

    Raises:
        UserError: the images have faults.
    """
    match config:
        case FeaturesConfig():
            from relumen.training.features import Features
            from relumen.training.features_data import load_bank

            return Features, load_bank(config)
        case PriorConfig():
            from relumen.training.prior import Prior
            from relumen.training.prior_data import PriorData

            return partial(Prior, say=say, earlier=earlier), PriorData(config)
        case Pix2PixConfig():
            from relumen.training.pix2pix import Pix2Pix
            from relumen.training.prior_data import PriorData

            return Pix2Pix, PriorData(config)
        case CGANConfig():
            from relumen.training.cgan import CGAN, RestorerData

            return CGAN, RestorerData(config)
        case CINGANConfig():
            from relumen.training.cin_gan import CINGAN, UnpairedData

            return CINGAN, UnpairedData(config)
        case CycleGANConfig():
            from relumen.training.cyclegan import CycleGAN, TwoDomains

            return CycleGAN, TwoDomains(config)
        case CascadeConfig():
            from relumen.training.cascade import Cascade
            from relumen.training.data import load_data

            return Cascade, load_data(config.data, config.scale)
        case ESRGANConfig():
            from relumen.training.data import load_data
            from relumen.training.esrgan import ESRGAN

            return ESRGAN, load_data(config.data, config.scale)
