"""Starts a training, or goes on with one, from a run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relumen.errors import UserError
from relumen.run import RunFolder
from relumen.training.config import load_config, parse_config


def prepare(
    folder: Path,
    *,
    system: str = "esrgan",
    preset: str,
    data: Path,
    degrade: bool = False,
    pixel_size: float | None = None,
    overrides: Sequence[str] = (),
) -> RunFolder:
    """Makes a run folder with its resolved configuration; nothing is trained yet.

    Raises:
        UserError: the folder holds a run already, or the configuration has faults.
    """
    run = RunFolder(folder)
    if run.config_file.exists():
        raise UserError(
            f"{folder} holds a run already. Go on with it by --resume {folder}, or name another folder with -o."
        )
    fields: dict[str, object] = {"data.folder": str(data.resolve())}
    if degrade:
        fields["data.degradation"] = {}
    if pixel_size is not None:
        fields["data.pixel_size_um"] = pixel_size
    config = load_config(system, preset, overrides, **fields)
    from relumen.training.data import load_data

    load_data(config.data, config.scale)  # faults in the images show before anything is made
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
    from relumen.training.data import load_data
    from relumen.training.esrgan import ESRGAN
    from relumen.training.loop import make_deterministic, train
    from relumen.training.replicas import Replicas

    config = parse_config(run.config())
    make_deterministic(config.seed)
    replicas = Replicas(config.devices)
    data = load_data(config.data, config.scale)
    say(f"Data: {data.describe()}")
    first = run.first_command(command)
    system = ESRGAN(config, data, replicas, command=first, machine=machine.removeprefix("Device: "))
    say(f"Training {system.total_steps} steps; curves: tensorboard --logdir {run.tensorboard}")
    train(
        system,
        run,
        log_every=config.log_every,
        check_every=config.check_every,
        on_step=lambda step, losses: on_step(step, system.total_steps, losses),
        say=say,
    )
