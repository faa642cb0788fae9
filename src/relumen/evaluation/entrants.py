"""The networks of an evaluation, with what their runs tell of their training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from relumen.errors import UserError
from relumen.evaluation.published import Published
from relumen.evaluation.system import C, Runs
from relumen.restore import Restorer, open_model
from relumen.run import RunFolder
from relumen.runners import network_runner
from relumen.training.config import parse_config
from relumen.training.settings import RestorationConfig


@dataclass(frozen=True)
class Entrant:
    """A network.

    Attributes:
        path: where it was found.
        restorer: runs it.
        config: of its training, where a run tells it.
        finished: whether a run tells that the training, or the phase that it came from last, came to its end.
        published: the published row of the same training, where there is one.
        remarks: what else a reader must know of it, in sentences.
    """

    path: Path
    restorer: Restorer
    config: RestorationConfig | None = None
    finished: bool = False
    published: Published | None = None
    remarks: tuple[str, ...] = ()


@contextmanager
def open_entrant(path: Path, system: Runs[C], tile: int | None = None) -> Iterator[Entrant]:
    """Loads a run folder, a package, or the network that a run keeps of the system's milestone.

    Raises:
        UserError: it is none of these, of another system, or makes images of several channels.
    """
    kept = system.milestone
    if kept is not None and path.name != RunFolder(path.parent).milestone_file(kept.name).name:
        kept = None
    folder = path.parent if kept else path
    if kept and not path.is_file():
        raise UserError(f"There is no {path}. A run keeps it {kept.kept}.")
    config = _config(RunFolder(folder), system) if (folder / "config.yaml").is_file() else None
    with open_model(folder, tile) as restorer:
        if restorer.channels != 1:
            raise UserError(
                f"{path} takes images of {restorer.channels} channels at once. "
                f"`relumen evaluate {system.name}` is for networks that restore each channel by itself."
            )
        if config is None:
            yield Entrant(path, restorer)
            return
        restorer = replace(restorer, name=folder.resolve().name)
        finished = kept is not None or RunFolder(folder).about().finished
        if kept:
            network = network_runner(RunFolder(folder).network(kept.name), path)
            restorer = replace(restorer, name=f"{restorer.name}, {kept.words}", run=network)
        if not finished:
            yield Entrant(path, restorer, config)
            return
        milestone = kept and kept.name
        remarks = system.remarks(restorer.name, config, milestone)
        yield Entrant(path, restorer, config, True, system.published(config, milestone), tuple(remarks))


def _config(run: RunFolder, system: Runs[C]) -> C:
    config = parse_config(run.config())
    if not isinstance(config, system.config):
        raise UserError(
            f"{run.path} is a run of {config.system}. `relumen evaluate {system.name}` takes runs of {system.systems}."
        )
    return config


def common_scale(entrants: Sequence[Entrant]) -> int:
    """The magnification of all networks.

    Raises:
        UserError: they have several.
    """
    scales = {entrant.restorer.scale for entrant in entrants}
    if len(scales) > 1:
        told = ", ".join(f"{entrant.path} {entrant.restorer.scale}x" for entrant in entrants)
        raise UserError(f"Networks of one magnification can be compared. Received: {told}. Evaluate them one by one.")
    return scales.pop()


def unique_names(entrants: Sequence[Entrant], taken: str) -> list[str]:
    """A name for each network: its own, or its path where that is ``taken`` or shared.

    Raises:
        UserError: a network is named twice.
    """
    paths = Counter(entrant.path.resolve() for entrant in entrants)
    if twice := [str(path) for path, count in paths.items() if count > 1]:
        raise UserError(f"Each network is named once. Received twice: {', '.join(twice)}")
    names = Counter([taken, *(entrant.restorer.name for entrant in entrants)])
    return [entrant.restorer.name if names[entrant.restorer.name] == 1 else str(entrant.path) for entrant in entrants]
