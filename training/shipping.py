"""Makes the folder of a network that comes with relumen out of its run: python -m relumen.training.shipping.

python -m relumen.training.shipping runs/features shipped/features-microscopy
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from relumen.data import fields, records
from relumen.errors import UserError
from relumen.features import describe
from relumen.run import About, RunFolder, write_text
from relumen.tables import markdown
from relumen.training.config import FeaturesConfig, parse_config


def ship_features(run: RunFolder, folder: Path) -> Path:
    """Copies a feature network with its configuration, what is known of it, and a card.

    Args:
        run: a finished run of ``relumen train features``.
        folder: to make; files of the same names are replaced.

    Returns:
        The folder, with model.keras, config.yaml, about.json and README.md.

    Raises:
        UserError: the run is of another system, or not finished.
    """
    about = run.about()
    config = parse_config(run.config())
    if not isinstance(config, FeaturesConfig) or not about.finished:
        raise UserError(f"{run.path} is no finished run of the feature network: make one with relumen train features.")
    folder.mkdir(parents=True, exist_ok=True)
    for file in (run.model_file, run.config_file, run.about_file):
        shutil.copyfile(file, folder / file.name)
    command = f"python -m relumen.training.shipping {run.path} {folder}"
    write_text(folder / "README.md", card(folder.name, about, config, describe("microscopy", str(run.path)), command))
    return folder


def card(name: str, about: About, config: FeaturesConfig, network: str, command: str) -> str:
    """What a person should know before they use the network, in Markdown.

    Args:
        name: of the shipped folder.
        about: of the run.
        config: of the run.
        network: in words, with the hash of its weights.
        command: that made the folder out of the run.
    """
    held = fields(config.held_out)
    known = [record for record in records("fluorescence").values() if record.field not in held]
    sources = sorted({f"- {record.source}: {record.licence}" for record in known})
    return _CARD.format(
        name=name,
        network=network,
        channels=4 * config.width,
        trained=about.command,
        shipped=command,
        data=about.data,
        degradation=about.degradation,
        steps=about.steps,
        batch=config.batch,
        patch=config.patch,
        minutes=about.seconds / 60,
        machine=about.machine,
        software=about.software,
        tables=tables(about.measures),
        sources="\n".join(sources),
    )


def tables(measures: Mapping[str, float]) -> str:
    """Markdown tables of measures that are named "column: row"; columns with the same rows share a table."""
    columns: dict[str, dict[str, float]] = {}
    for name, value in measures.items():
        column, _, row = name.partition(": ")
        columns.setdefault(column, {})[row] = value
    shared: dict[tuple[str, ...], list[str]] = {}
    for column, rows in columns.items():
        shared.setdefault(tuple(rows), []).append(column)
    return "\n\n".join(
        markdown(["", *names], [[row, *(f"{columns[name][row]:.3g}" for name in names)] for row in rows])
        for rows, names in shared.items()
    )


_CARD = """\
# {name}

A frozen feature network for perceptual losses, and for distances between images or sets of images, trained by
relumen itself on fluorescence images, offline.

As runs and cards name it: {network}.

Input: (batch, y, x, 1) in units of an image's mean and standard deviation. Output: (batch, y // 4, x // 4,
{channels}), any real number; each feature has deviation 1 over the training patches.

## Use

    relumen train esrgan --data my-images/ --degrade --set features=microscopy --set phase_2.losses.perceptual=0.01

or `relumen.features.perceptual("microscopy")` in Python.

## Training

- Made by: `{trained}`, then `{shipped}`
- Images: {data}
- Added to them: {degradation}; gamma, gain, offset, flips and quarter turns
- Task: telling what a patch shows (cells and stain of the shipped images, family of the procedural ones), and how
  blurred and noisy it is
- {steps} steps of {batch} patches of {patch} x {patch} pixels in {minutes:.0f} minutes on {machine}
- {software}

## Figures on what was held out

Whole fields of view were held out, and procedural images of other seeds. Accuracy is over patches that are degraded
as in training, some of them so much that nobody could tell what they show. Distances are means of absolute
differences, as multiples of the distance to the same image shifted by one pixel down and to the right: a perceptual
loss should weigh blur more than such a shift, and more than pixels do.

{tables}

## What it is not good for

- It was trained on a few images of cultured cells in fluorescence, and on drawings. Brightfield, histology, electron
  microscopy and photographs are foreign to it.
- Its distances measure no biological truth, and can't be compared with those of VGG, LPIPS or Inception. Where a
  table uses them, it names this network.
- It sees pixels, not micrometres, and 40 of them at a time: of much larger structure it sees only parts.

## Licence

BSD-3-Clause, as relumen. The training images lie in relumen's data/ folder:

{sources}
"""


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    print(ship_features(RunFolder.open(source), target))
