"""What is in a data folder, in words, numbers and a picture; and everything that is wrong with it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import Degradation
from relumen.errors import UserError
from relumen.images import Image
from relumen.training.data import Batches, part_of, spread, too_small
from relumen.training.folders import Contents, find_contents
from relumen.training.held_out import held_out_inputs
from relumen.training.items import Item
from relumen.training.settings import DataConfig
from relumen.training.sources import Degradable, Source, read_sources

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

_PERCENTILES = (0, 1, 50, 99, 100)
_CONTRAST = (0.5, 99.8)
_COLUMNS = 3  # pairs in a row of the contact sheet
_MOST = 24  # pairs in the contact sheet
_PIXELS = 1 << 16  # of an image, at most, that percentiles are taken from
MADE = "made from the target"
"""What is said of an input that isn't there."""


@dataclass(frozen=True)
class Group:
    """The images of one channel and condition.

    Attributes:
        channel: "" where there is one.
        condition: of the inputs, or that they are made.
        training: number of images to train on.
        held_out: number of the others.
        low: minimum, percentiles 1, 50 and 99, and maximum of the inputs; None where inputs are made.
        high: the same of the targets.
    """

    channel: str
    condition: str
    training: int
    held_out: int
    low: tuple[float, ...] | None
    high: tuple[float, ...]


@dataclass(frozen=True)
class Description:
    """A data folder.

    Attributes:
        facts: names and values, in words.
        groups: the images by channel and condition.
    """

    facts: tuple[tuple[str, str], ...]
    groups: tuple[Group, ...]

    def tables(self) -> tuple[Table, Table]:
        """The facts, and the intensities by channel and condition, for the terminal."""
        from rich.table import Column, Table
        from rich.text import Text

        facts = Table(Column("What"), Column("", overflow="fold"), show_header=False)
        for name, value in self.facts:
            facts.add_row(name, Text(value))
        groups = Table("Channel", "Condition", "Training", "Held out", "Images", "min / 1 % / 50 % / 99 % / max")
        for each in self.groups:
            names = [each.channel or "-", each.condition, str(each.training), str(each.held_out)]
            if each.low is not None:
                groups.add_row(*names, "inputs", _numbers(each.low))
                names = [""] * 4
            groups.add_row(*names, "targets" if each.low else "images", _numbers(each.high))
        return facts, groups


def find_faults(
    config: DataConfig, scale: int, on_image: Callable[[int, int], None] = lambda done, total: None
) -> list[str]:
    """Everything that keeps a data folder, or an image in it, from being trained on as it should.

    Args:
        config: the folder, and how it is read.
        scale: magnification.
        on_image: told (images done, images in all).

    Raises:
        UserError: there is no such folder.
    """
    if not config.folder.exists():
        raise UserError(f"There is no data folder at {config.folder}.")
    try:
        contents = find_contents(config)
    except UserError as error:
        return [str(error)]
    faults = list(contents.faults)
    sizes: dict[float, str] = {}
    seen: dict[bytes, str] = {}
    for number, item in enumerate(contents.items, 1):
        trained = number <= len(contents.training)
        try:
            part = part_of(config, held_out=not trained)
            sources, pixel_sizes = read_sources([item], scale, _without_blur(scale), part)
        except UserError as error:
            faults.append(str(error))
            continue
        finally:
            on_image(number, len(contents.items))
        if config.pixel_size_um is None:
            faults += _contradiction(item, scale)
        for size in pixel_sizes:
            if size is not None:
                sizes.setdefault(round(size, 6), item.name)
        for source in sources:
            faults += _faults_of(source, config.patch if trained else 1)
            faults += [] if trained else too_small(source)
            key = hashlib.sha256(source.high.tobytes()).digest()
            if not trained and key in seen:
                faults.append(f"{source.name} is held out, but {seen[key]}, which is trained on, is the same image.")
            if trained:
                seen[key] = source.name
    if len(sizes) > 1 and config.pixel_size_um is None:
        told = ", ".join(f"{size:g} um in {name}" for size, name in sorted(sizes.items()))
        faults.append(f"Inputs have several pixel sizes ({told}); a network is for one.")
    return faults


def _contradiction(item: Item, scale: int) -> Iterator[str]:
    """The sentence about an input and a target whose pixel sizes don't belong together."""
    if item.low is None:
        return
    own, target = (each.read().pixel_size for each in (item.low, item.high))
    low, high = own and own.micrometres, target and target.micrometres
    if low and high and not math.isclose(low, scale * high, rel_tol=0.01):
        yield (
            f"{item.name} has pixels of {low:g} um as an input and of {high:g} um as its target, which is {scale} "
            "times as large: correct one of them, or state the input's by data.pixel_size_um."
        )


def _faults_of(source: Source, patch: int) -> list[str]:
    faults = []
    height, width = source.low.shape
    if min(height, width) < patch:
        faults.append(f"{source.name} is {height} x {width}, smaller than a patch of {patch}: it isn't trained on.")
    for what, part in (("input", source.low), ("target", source.high)):
        if part.min() == part.max():
            faults.append(f"{source.name} shows nothing: all pixels of its {what} are {part.flat[0]:g}.")
    return faults


def describe(config: DataConfig, scale: int) -> tuple[Description, Figure]:
    """A data folder in words and numbers, and a contact sheet of it.

    Raises:
        UserError: the folder, or an image in it, can't be read.
    """
    contents = find_contents(config)
    degradation = config.degradation or Degradation(factor=scale)
    training, sizes = read_sources(contents.training, scale, degradation, part_of(config, held_out=False))
    held_out, more = read_sources(contents.held_out, scale, degradation, part_of(config, held_out=True))
    known = sorted({round(size, 6) for size in sizes + more if size is not None})
    facts = [
        ("layout", contents.layout),
        (
            "pairs" if contents.paired else "images",
            f"{len(contents.training)} to train on, {len(contents.held_out)} held out",
        ),
        *([("not trained on", f"{config.region.describe()} of all images")] if config.region else []),
        *_files(contents),
        ("pixel size", ", ".join(f"{size:g} um at the input" for size in known) or "not told by the files"),
        ("patches", _patches(config, training, scale)),
        *(("fault", fault) for fault in contents.faults),
    ]
    return Description(tuple(facts), tuple(_groups(training, held_out))), _contact_sheet(training, held_out)


def _files(contents: Contents) -> list[tuple[str, str]]:
    """Axes, sizes and types, each with how many images have it."""
    counts: dict[str, dict[str, int]] = {"inputs": {}, "targets" if contents.paired else "axes, type": {}}
    for item in contents.items:
        for what, stored in zip(counts, (item.low, item.high), strict=True):
            if stored is not None:
                words = _form(stored.read())
                counts[what][words] = counts[what].get(words, 0) + 1
    return [
        (what, "; ".join(f"{words} ({count})" if len(found) > 1 else words for words, count in found.items()))
        for what, found in counts.items()
        if found
    ]


def _form(image: Image) -> str:
    return f"{image.axes} {' x '.join(map(str, image.pixels.shape))}, {image.pixels.dtype.name}"


def _patches(config: DataConfig, sources: tuple[Source, ...], scale: int) -> str:
    """How many patches a training would cut."""
    try:
        made = Batches(sources, config, scale=scale, batch=1, augment=0, seed=0)
    except UserError as error:
        return str(error)
    return f"{len(made)} of {config.patch} x {config.patch} input pixels; other sizes with --set data.patch=64"


def _groups(training: Sequence[Source], held_out: Sequence[Source]) -> list[Group]:
    members: dict[tuple[str, str], tuple[list[Source], list[Source]]] = {}
    for number, part in enumerate((training, held_out)):
        for source in part:
            members.setdefault((source.channel, _condition(source)), ([], []))[number].append(source)
    groups = []
    for (channel, condition), (trained, others) in members.items():
        lows = [source.low for source in (*trained, *others) if not isinstance(source, Degradable)]
        high = _spread([source.high for source in (*trained, *others)])
        groups.append(Group(channel, condition, len(trained), len(others), _spread(lows) if lows else None, high))
    return groups


def _condition(source: Source) -> str:
    return MADE if isinstance(source, Degradable) else source.condition


def _spread(images: Sequence[NDArray[Any]]) -> tuple[float, ...]:
    """Minimum, percentiles and maximum; the percentiles of large images from a part of the pixels."""
    values = np.concatenate([image.ravel()[:: max(1, image.size // _PIXELS)] for image in images])
    inner = np.percentile(values, _PERCENTILES[1:-1])
    return min(float(image.min()) for image in images), *map(float, inner), max(float(image.max()) for image in images)


def _numbers(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.4g}" for value in values)


def _contact_sheet(training: Sequence[Source], held_out: Sequence[Source]) -> Figure:
    """Inputs beside their targets, each with a contrast of its own."""
    from matplotlib.figure import Figure

    shown = [(source, "") for source in spread(training, _MOST * 3 // 4)]
    shown += [(source, "held out") for source in spread(held_out, _MOST // 4)]
    rows = -(-len(shown) // _COLUMNS)
    figure = Figure(figsize=(4.4 * _COLUMNS, 2.6 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, 2 * _COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for (left, right), (source, part) in zip(grid.reshape(-1, 2), shown, strict=False):
        words = (source.name, source.channel if source.channel not in source.name else "", _condition(source), part)
        left.set_title(", ".join(filter(None, words)), fontsize=7, loc="left")
        _show(left, _example(source))
        _show(right, source.high)
    figure.suptitle(
        f"{len(shown)} of {len(training) + len(held_out)}: input and target, "
        f"each with a contrast from its {_CONTRAST[0]} to its {_CONTRAST[1]} percentile",
        fontsize=8,
    )
    return figure


def _example(source: Source) -> NDArray[Any]:
    inputs = held_out_inputs(source, (0,))
    return inputs[len(inputs) // 2][1]


def _show(axes: Axes, image: NDArray[Any]) -> None:
    low, high = np.percentile(image, _CONTRAST)
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="antialiased")


def _without_blur(scale: int) -> Degradation:
    return Degradation(factor=scale, blur=(0.0,))
