"""The networks of an evaluation, with what their runs tell of their training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from relumen.errors import UserError
from relumen.evaluation.published import Published, published_row
from relumen.restore import Restorer, open_model
from relumen.run import PIXEL_ONLY, RunFolder
from relumen.runners import runner
from relumen.training.config import ESRGANConfig, Losses, parse_config


@dataclass(frozen=True)
class Entrant:
    """A network.

    Attributes:
        path: where it was found.
        restorer: runs it.
        config: of its training, where a run tells it.
        losses: of the phase that it came from last, where a run tells it and that phase came to its end.
    """

    path: Path
    restorer: Restorer
    config: ESRGANConfig | None = None
    losses: Losses | None = None

    @property
    def published(self) -> Published | None:
        """The published row of the same training, where there is one."""
        return published_row(self.losses) if self.losses else None


@contextmanager
def open_entrant(path: Path, tile: int | None = None) -> Iterator[Entrant]:
    """Loads a run folder, a package, or a run's ``model-pixel.keras``: the generator before phase 2.

    Raises:
        UserError: it is none of these, no ESRGAN, or makes images of several channels.
    """
    pixel_only = path.name == RunFolder(path.parent).milestone_file(PIXEL_ONLY).name
    folder = path.parent if pixel_only else path
    if pixel_only and not path.is_file():
        raise UserError(f"There is no {path}. A run keeps it once its first phase of two is done.")
    is_run = (folder / "config.yaml").is_file()
    config = _config(RunFolder(folder)) if is_run else None
    with open_model(folder, tile) as restorer:
        if restorer.channels != 1:
            raise UserError(
                f"{path} takes images of {restorer.channels} channels at once. "
                "`relumen evaluate esrgan` is for networks that restore each channel by itself."
            )
        if config is None:
            yield Entrant(path, restorer)
            return
        name = folder.resolve().name
        last = config.phase_2 or config.phase_1
        if pixel_only:
            network = runner("keras_v3", path, input_id="input", output_id="output")
            restorer = replace(restorer, name=f"{name}, pixel only", run=network)
            yield Entrant(path, restorer, config, config.phase_1.losses)
        else:
            finished = RunFolder(folder).about().finished
            yield Entrant(path, replace(restorer, name=name), config, last.losses if finished else None)


def _config(run: RunFolder) -> ESRGANConfig:
    config = parse_config(run.config())
    if not isinstance(config, ESRGANConfig):
        raise UserError(f"{run.path} is a run of {config.system}. `relumen evaluate esrgan` takes runs of esrgan.")
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
