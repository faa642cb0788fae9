"""The networks of a system on held-out images: PSNR and SSIM of each channel, raw and affine-fitted, beside bicubic.

Outputs are judged as they are, never rescaled by their own extremes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relumen.degrade import Degradation
from relumen.errors import CheckFailedError, UserError
from relumen.evaluation.entrants import Entrant, common_scale, open_entrant, unique_names
from relumen.evaluation.published import Paper
from relumen.evaluation.scores import Evaluation, Method, Sample, Score
from relumen.evaluation.system import C, System
from relumen.metrics import affine_fitted, psnr, rescaled, ssim
from relumen.restore import Restorer
from relumen.training.config import read_data_config
from relumen.training.data import check_usable, read_held_out, spread
from relumen.training.folders import find_contents
from relumen.training.held_out import held_out, restored
from relumen.training.settings import DataConfig, Region, RestorationConfig
from relumen.training.sources import Source
from relumen.upsampling import bicubic

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Input:
    """One image under one condition.

    Attributes:
        source: the image.
        channel: of several channels, by the paper's name where the data is the paper's.
        condition: of the input, such as its noise.
        low: the input (y, x).
        high: its target.
        scale: magnification from one to the other.
    """

    source: Source
    channel: str
    condition: str
    low: Float32
    high: Float32
    scale: int


@dataclass(frozen=True)
class Contender:
    """What is judged, and what it makes of an input.

    Attributes:
        method: as tables call it.
        restore: gives the image (scale * y, scale * x).
        conditions: of inputs on which it is judged; None: all.
    """

    method: Method
    restore: Callable[[Input], Float32]
    conditions: frozenset[str] | None = None

    def takes(self, each: Input) -> bool:
        """Whether it is judged on an input."""
        return self.conditions is None or each.condition in self.conditions


@dataclass(frozen=True)
class Limits:
    """How much of the data is looked at.

    Attributes:
        images: of each channel and condition; None for all.
        crop: height and width of the middle part, input pixels; None for whole images.
    """

    images: int | None = None
    crop: int | None = None


ALL = Limits()
"""Every image as a whole."""


def judge(
    system: System[C],
    models: Sequence[Path],
    folder: Path,
    *,
    degrade: bool | None = None,
    before: Sequence[Contender] = (),
    after: Sequence[Contender] = (),
    notes: Sequence[str] = (),
    limits: Limits = ALL,
    seed: int = 0,
    tile: int | None = None,
    overrides: Sequence[str] = (),
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Restores the held-out images of a folder with every model, and judges the results.

    Args:
        system: that all models are of.
        models: run folders, packages, or a run's network of the system's milestone.
        folder: the data, in any layout that training takes. Where a run was trained on it, its own hold-out is used.
        degrade: whether inputs are made from high-quality images, by the degradation that the first run was trained
            on, else by the system's; None: where the folder has none.
        before: what stands between bicubic and the networks.
        after: what stands after the networks.
        notes: on what stands there.
        limits: how much of the data is looked at.
        seed: of the noise, where inputs are made.
        tile: of networks that take any; smaller needs less memory.
        overrides: changes to how the folder is read, "data.name=value".
        on_image: told (images done, images in all) after each; an image counts once for each method.

    Raises:
        UserError: a model or a folder that can't be used, or models of several scales.
        CheckFailedError: the device's memory is full.
    """
    with ExitStack() as stack:
        entrants = [stack.enter_context(open_entrant(path, system, tile)) for path in models]
        scale = common_scale(entrants)
        names = unique_names(entrants, "bicubic")
        runs = [entrant.config for entrant in entrants if entrant.config]
        made = None if degrade is False else system.degradation(scale)
        config = data_config(folder, runs, scale, degrade=made, overrides=overrides)
        contents = find_contents(config)
        if degrade is None and contents.paired and not any(each.startswith("data.degradation") for each in overrides):
            config = config.model_copy(update={"degradation": None})
        check_usable(contents, config)
        sources, _ = read_held_out(contents, config, scale)
        paper = system.paper if system.paper.has(contents.layout) else None
        comparable = scale == system.paper.scale
        inputs = find_inputs(sources, limits, seed=seed, scale=scale, paper=paper)
        contenders = [
            Contender(
                Method("bicubic", system.paper.rows[0] if comparable else None),
                lambda each: bicubic(each.low, each.scale),
            ),
            *before,
            *(
                Contender(
                    Method(name, entrant.published if comparable else None, learnt=True), restoring(entrant.restorer)
                )
                for name, entrant in zip(names, entrants, strict=True)
            ),
            *after,
        ]
        target = paper.target if paper else "target" if contents.paired else "truth"
        scores, samples = compete(inputs, contenders, target=target, examples=system.examples, on_image=on_image)
        told = [f"Data: {folder}, {contents.layout}. {_amount(inputs, limits, config.region)}"]
        told += [*_notes(config, seed, system.paper, paper), *notes]
        for name, entrant in zip(names, entrants, strict=True):
            told += _notes_on(name, entrant, folder)
        methods = tuple(contender.method for contender in contenders)
        return Evaluation(system.paper, methods, scores, samples, tuple(told), paper is not None)


def compete(
    inputs: Sequence[Input],
    contenders: Sequence[Contender],
    *,
    target: str,
    examples: int = 1,
    also_rescaled: bool = False,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[tuple[Score, ...], tuple[Sample, ...]]:
    """Lets every contender restore every input that it takes, and judges the results.

    Args:
        inputs: in their order.
        contenders: likewise.
        target: what the figures call the truth.
        examples: samples of each condition and channel.
        also_rescaled: whether figures of rescaled images are wanted too.
        on_image: told (images done, images in all) after each; an image counts once for each method.

    Returns:
        Figures of each input and contender, and samples with those contenders that take their input.
    """
    shown = _examples(inputs, examples)
    total = sum(contender.takes(each) for each in inputs for contender in contenders)
    scores: list[Score] = []
    samples: list[Sample] = []
    for number, each in enumerate(inputs):
        outputs, row = [], []
        for contender in contenders:
            if contender.takes(each):
                outputs.append(contender.restore(each))
                row.append(_score(each, contender.method.name, outputs[-1], also_rescaled=also_rescaled))
                on_image(len(scores) + len(row), total)
        scores += row
        if number in shown:
            samples.append(Sample(tuple(row), tuple(outputs), each.high, target))
    return tuple(scores), tuple(samples)


def data_config(
    folder: Path,
    runs: Sequence[RestorationConfig],
    scale: int | None,
    *,
    degrade: Degradation | None = None,
    overrides: Sequence[str] = (),
) -> DataConfig:
    """How a folder is read so that no run is judged on images that it was trained on, and what its inputs are.

    Args:
        folder: the data.
        runs: the configurations of the runs.
        scale: magnification, by which made inputs are smaller; None: none are made.
        degrade: by what inputs are made where no run was trained on a degradation, else by the first of theirs; None:
            they are in the folder.
        overrides: changes, "data.name=value".

    Raises:
        UserError: an override that is not allowed, or runs that hold out bands which have nothing in common.
    """
    trained = [run.data for run in runs if run.data.folder.resolve() == folder.resolve()]
    base = trained[0] if trained else DataConfig(folder=folder)
    learnt = [run.data.degradation for run in runs if run.data.degradation]
    config = base.model_copy(
        update={
            "folder": folder,
            "validation": min(data.validation for data in (trained or [base])),
            "region": _common_region([data.region for data in trained if data.region]),
            "degradation": [*learnt, degrade][0] if degrade else None,
        }
    )
    return read_data_config(config.model_dump(mode="json"), overrides, scale=scale) if overrides else config


def _common_region(regions: Sequence[Region]) -> Region | None:
    """The band that all of these have in common; a run without one has held out the whole image."""
    sides = list(dict.fromkeys(region.side for region in regions))
    if len(sides) > 1:
        raise UserError(
            f"The runs hold out different bands of the images: {' and '.join(sides)}. Evaluate them one by one."
        )
    return min(regions, key=lambda region: region.share, default=None)


def find_inputs(
    sources: Sequence[Source], limits: Limits, *, seed: int = 0, scale: int = 1, paper: Paper | None = None
) -> list[Input]:
    """The inputs within the limits; an image has the same noise whatever the limits are.

    Args:
        sources: the held-out images.
        limits: how much of them is looked at.
        seed: of the noise, where inputs are made.
        scale: magnification.
        paper: whose images they are; None: nobody's.
    """
    chosen, count = [], Counter[tuple[str, str]]()
    for source, condition, low, high in held_out(sources, seed):
        channel = _named(source.channel, paper.columns) if paper else source.channel
        if limits.images is not None and count[channel, condition] >= limits.images:
            continue
        count[channel, condition] += 1
        if limits.crop is not None:
            y, x = (max(0, (size - limits.crop) // 2) for size in low.shape)
            low = low[y : y + limits.crop, x : x + limits.crop]
            high = high[scale * y :, scale * x :][: scale * low.shape[0], : scale * low.shape[1]]
        chosen.append(Input(source, channel, condition, low, high, scale))
    return chosen


def _named(channel: str, columns: Sequence[str]) -> str:
    """A channel by the paper's name; one that the paper has not keeps its number."""
    return columns[int(channel)] if int(channel) < len(columns) else channel


def _examples(inputs: Sequence[Input], count: int) -> set[int]:
    """Numbers of so many inputs of each condition and channel, spread over all."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number, each in enumerate(inputs):
        groups.setdefault((each.condition, each.channel), []).append(number)
    return {number for group in groups.values() for number in spread(group, count)}


def restoring(restorer: Restorer) -> Callable[[Input], Float32]:
    """What a network makes of an input."""

    def restore(each: Input) -> Float32:
        try:
            return restored(each.source, each.low, restorer)
        except MemoryError as error:
            raise CheckFailedError(
                f"The device has too little memory for a tile of {restorer.tile[0]} pixels of {restorer.name}. "
                "Make it smaller, such as --tile 128."
            ) from error

    return restore


def _score(each: Input, method: str, output: Float32, *, also_rescaled: bool) -> Score:
    fitted = affine_fitted(each.high, output)
    both = (rescaled(each.high), rescaled(output)) if also_rescaled else None
    return Score(
        condition=each.condition,
        channel=each.channel,
        image=each.source.name,
        method=method,
        psnr=psnr(each.high, output),
        ssim=ssim(each.high, output),
        psnr_fitted=psnr(each.high, fitted),
        ssim_fitted=ssim(each.high, fitted),
        psnr_rescaled=psnr(*both, span=1.0) if both else None,
        ssim_rescaled=ssim(*both, span=1.0) if both else None,
    )


def _amount(inputs: Sequence[Input], limits: Limits, region: Region | None) -> str:
    images = len({(each.source.name, each.channel) for each in inputs})
    channels = len({each.channel for each in inputs})
    amount = f"{images} held-out image{'s' if images > 1 else ''}"
    amount += f" of {channels} channels" if channels > 1 else ""
    amount += f", of each {region.band}" if region else ""
    return f"{amount}." if limits.crop is None else f"{amount}, the middle {limits.crop} x {limits.crop} input pixels."


def _notes(config: DataConfig, seed: int, published: Paper, measured: Paper | None) -> list[str]:
    """What a reader must know beside the tables, in sentences."""
    if config.degradation is None:
        made = "Inputs: the images' own low-quality partners."
    else:
        blurs = config.degradation.blur
        used = config.degradation.model_copy(update={"blur": (blurs[len(blurs) // 2],)})
        levels = f", at three noise levels (seed {seed})" if used.photons else ""
        made = (
            f"Inputs: made from the high-quality images by a stated degradation: {used.describe()}{levels}. Figures on "
            "them say how well that is undone, not how a network does on another microscope."
        )
    return [
        made,
        "PSNR (dB) and SSIM over the 0.1st to 99.9th percentile of the target; 'affine fit': after a x + b with "
        "least squared error to the target, as CSBDeep does. The paper states neither its range nor a fit.",
        measured.here if measured else published.elsewhere,
    ]


def _notes_on(name: str, entrant: Entrant, folder: Path) -> list[str]:
    run = entrant.config
    if run is None:
        return [f"{name} is a package: what it was trained on, and that it never saw these images, can't be told here."]
    state = entrant.remarks if entrant.finished else (f"The training of {name} has not come to its end.",)
    if run.data.folder.resolve() != folder.resolve():
        return [f"{name} was trained on other data: that it has never seen these images can't be told here.", *state]
    besides = f", without {run.data.region.band}" if run.data.region else ""
    return [f"{name} was trained on this folder's other images{besides}.", *state]
