"""What all commands of relumen train do with a run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from relumen.cli.progress import progress_bar, say
from relumen.errors import UserError

if TYPE_CHECKING:
    from relumen.run import RunFolder


def train_run(
    context: typer.Context,
    system: str,
    preset: str,
    output: Path | None,
    overrides: Sequence[str] | None,
    resume: Path | None,
    *,
    needs_data: bool = True,
    data: Path | None = None,
    fields: Mapping[str, object] | None = None,
    **preparation: Any,  # noqa: ANN401
) -> RunFolder:
    """Prepares a run of a system, or opens the one to resume, and trains it with a progress bar.

    Args:
        context: of the command.
        system: what is trained.
        preset: name of one, or a .yaml file.
        output: the run folder to make; None: SYSTEM-PRESET in runs/.
        overrides: "name=value" each.
        resume: the run folder to go on with, in place of all others.
        needs_data: whether ``data`` must be named.
        data: the images.
        fields: changes to the preset; of those that are None the preset's value stays.
        **preparation: whatever else :func:`relumen.training.start.prepare` takes.

    Raises:
        UserError: a fault in what was given, or in the images.
        CheckFailedError: the training failed.
    """
    from relumen.device import describe_device
    from relumen.training import start

    if resume is None and needs_data and data is None:
        raise UserError("Name the images with --data FOLDER, or an interrupted run with --resume RUN.")
    begun = None if resume is None else _begun(context, system, resume)
    machine = describe_device()
    say(machine)
    run = begun or start.prepare(
        output or Path("runs") / f"{system}-{Path(preset).stem}",
        system=system,
        preset=preset,
        data=data,
        fields={name: value for name, value in (fields or {}).items() if value is not None},
        overrides=overrides or [],
        **preparation,
    )
    command = shlex.join(["relumen", *sys.argv[1:]])
    with progress_bar("step") as bar:
        task = bar.add_task("training", total=None)

        def on_step(step: int, total: int, losses: Mapping[str, float]) -> None:
            terms = " ".join(f"{name} {value:.4g}" for name, value in losses.items())
            bar.update(task, completed=step, total=total, description=f"training: {terms}")

        try:
            start.go(run, command=command, machine=machine, on_step=on_step, say=say)
        except KeyboardInterrupt:
            bar.stop()
            say(f"Go on from the last checkpoint with: relumen train {system} --resume {run.path}")
            raise
    return run


def _begun(context: typer.Context, system: str, folder: Path) -> RunFolder:
    """The run to go on with.

    Raises:
        UserError: there is none in the folder, or one of another system; or another option is given beside --resume,
            which would be without effect.
    """
    from relumen.run import RunFolder
    from relumen.training.config import parse_config

    sources = {each.opts[0]: context.get_parameter_source(str(each.name)) for each in context.command.params}
    others = [
        name for name, source in sources.items() if source and source.name == "COMMANDLINE" and name != "--resume"
    ]
    if others:
        raise UserError(
            f"--resume goes on with a run as it was begun: leave out {', '.join(others)}. "
            "For a run with other settings, leave out --resume."
        )
    run = RunFolder.open(folder)
    began = parse_config(run.config()).system
    if began != system:
        raise UserError(f"{folder} is a run of {began}. Go on with it by: relumen train {began} --resume {folder}")
    return run
