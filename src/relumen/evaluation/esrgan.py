"""ESRGAN on held-out images: PSNR and SSIM of each channel, raw and affine-fitted, beside bicubic interpolation.

Source: Chatton, Sec. 3 and Figs. 5-11. Outputs are judged as they are, never rescaled by their own extremes.
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
from relumen.errors import CheckFailedError
from relumen.evaluation.classical import best_gaussian, best_non_local_means
from relumen.evaluation.entrants import Entrant, common_scale, open_entrant, unique_names
from relumen.evaluation.published import BICUBIC
from relumen.evaluation.scores import Evaluation, Method, Sample, Score
from relumen.metrics import affine_fitted, psnr, ssim
from relumen.restore import Restorer
from relumen.training.config import DataConfig, ESRGANConfig, load_config
from relumen.training.data import usable_contents
from relumen.training.held_out import held_out, restored
from relumen.training.sources import Degradable, Source, read_sources
from relumen.upsampling import bicubic

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Input:
    """One image under one condition.

    Attributes:
        source: the image.
        channel: of several channels, by the paper's name where the data is W2S.
        condition: of the input, such as its noise.
        low: the input (y, x).
        high: its target.
    """

    source: Source
    channel: str
    condition: str
    low: Float32
    high: Float32


@dataclass(frozen=True)
class Limits:
    """How much of the data is looked at.

    Attributes:
        images: of each channel and condition; None for all.
        crop: height and width of the middle part, input pixels; None for whole images.
    """

    images: int | None = None
    crop: int | None = None


_ALL = Limits()
_CLASSICAL = (
    "Gaussian and non-local means denoise before bicubic interpolation, each at the setting that is best against the "
    "target of each image, which no user could choose."
)


def evaluate(
    models: Sequence[Path],
    folder: Path,
    *,
    degrade: bool = False,
    classical: bool = False,
    limits: Limits = _ALL,
    seed: int = 0,
    tile: int | None = None,
    overrides: Sequence[str] = (),
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Restores the held-out images of a folder with every model, and judges the results.

    Args:
        models: run folders, packages, or a run's ``model-pixel.keras``.
        folder: the data, in any layout that training takes. Where a run was trained on it, its own hold-out is used.
        degrade: make the inputs from high-quality images, by the degradation that the first run was trained on.
        classical: Gaussian and non-local means denoising beside bicubic, each at its best setting for each image.
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
        entrants = [stack.enter_context(open_entrant(path, tile)) for path in models]
        scale = common_scale(entrants)
        names = unique_names(entrants, "bicubic")
        runs = [entrant.config for entrant in entrants if entrant.config]
        config = data_config(folder, runs, scale, degrade=degrade, overrides=overrides)
        contents = usable_contents(config)
        sources, _ = read_sources(contents.held_out, scale, config.degradation)
        on_w2s = contents.layout.startswith("W2S")
        inputs = _inputs(sources, seed, limits, scale, on_w2s)
        restorers: list[Callable[[Input], Float32]] = [lambda each: bicubic(each.low, scale)]
        methods = [Method("bicubic", BICUBIC)]
        if classical:
            restorers += [
                lambda each: best_gaussian(each.low, each.high, scale).image,
                lambda each: best_non_local_means(each.low, each.high, scale).image,
            ]
            methods += [Method("Gaussian + bicubic", None), Method("non-local means + bicubic", None)]
        restorers += [_restoring(entrant.restorer) for entrant in entrants]
        methods += [Method(name, entrant.published) for name, entrant in zip(names, entrants, strict=True)]
        scores: list[Score] = []
        samples: dict[tuple[str, str], Sample] = {}
        for each in inputs:
            outputs, row = [], []
            for method, restore in zip(methods, restorers, strict=True):
                outputs.append(restore(each))
                row.append(_score(each, method.name, outputs[-1]))
                on_image(len(scores) + len(row), len(inputs) * len(methods))
            scores += row
            target = "SIM" if on_w2s else "truth" if isinstance(each.source, Degradable) else "target"
            samples.setdefault((each.condition, each.channel), Sample(tuple(row), tuple(outputs), each.high, target))
        notes = [f"Data: {folder}, {contents.layout}. {_amount(inputs, limits)}", *_notes(config, seed, on_w2s)]
        if classical:
            notes.append(_CLASSICAL)
        for name, entrant in zip(names, entrants, strict=True):
            notes += _notes_on(name, entrant, folder)
        return Evaluation(tuple(methods), tuple(scores), tuple(samples.values()), tuple(notes), on_w2s)


def data_config(
    folder: Path, runs: Sequence[ESRGANConfig], scale: int, *, degrade: bool = False, overrides: Sequence[str] = ()
) -> DataConfig:
    """How a folder is read so that no run is judged on images that it was trained on, and what its inputs are.

    Args:
        folder: the data.
        runs: the configurations of the runs.
        scale: magnification.
        degrade: whether inputs are made: by the first degradation that a run was trained on, else by the default.
        overrides: changes, "data.name=value".

    Raises:
        UserError: an override that is not allowed.
    """
    trained = [run.data for run in runs if run.data.folder.resolve() == folder.resolve()]
    base = trained[0] if trained else DataConfig(folder=folder)
    learnt = [run.data.degradation for run in runs if run.data.degradation]
    config = base.model_copy(
        update={
            "folder": folder,
            "validation": min(data.validation for data in (trained or [base])),
            "degradation": [*learnt, Degradation(factor=scale)][0] if degrade else None,
        }
    )
    if not overrides:
        return config
    changed = load_config("esrgan", "compact", overrides, scale=scale, data=config.model_dump(mode="json"))
    return changed.data if isinstance(changed, ESRGANConfig) else config


def _inputs(sources: Sequence[Source], seed: int, limits: Limits, scale: int, on_w2s: bool) -> list[Input]:
    """The inputs within the limits; an image has the same noise whatever the limits are."""
    chosen, count = [], Counter[tuple[str, str]]()
    for source, condition, low, high in held_out(sources, seed):
        channel = f"channel {int(source.channel) + 1}" if on_w2s else source.channel
        if limits.images is not None and count[channel, condition] >= limits.images:
            continue
        count[channel, condition] += 1
        if limits.crop is not None:
            y, x = (max(0, (size - limits.crop) // 2) for size in low.shape)
            low = low[y : y + limits.crop, x : x + limits.crop]
            high = high[scale * y :, scale * x :][: scale * low.shape[0], : scale * low.shape[1]]
        chosen.append(Input(source, channel, condition, low, high))
    return chosen


def _restoring(restorer: Restorer) -> Callable[[Input], Float32]:
    def restore(each: Input) -> Float32:
        try:
            return restored(each.source, each.low, restorer)
        except MemoryError as error:
            raise CheckFailedError(
                f"The device has too little memory for a tile of {restorer.tile[0]} pixels of {restorer.name}. "
                "Make it smaller, such as --tile 128."
            ) from error

    return restore


def _score(each: Input, method: str, output: Float32) -> Score:
    fitted = affine_fitted(each.high, output)
    return Score(
        condition=each.condition,
        channel=each.channel,
        image=each.source.name,
        method=method,
        psnr=psnr(each.high, output),
        ssim=ssim(each.high, output),
        psnr_fitted=psnr(each.high, fitted),
        ssim_fitted=ssim(each.high, fitted),
    )


def _amount(inputs: Sequence[Input], limits: Limits) -> str:
    images = len({(each.source.name, each.channel) for each in inputs})
    channels = len({each.channel for each in inputs})
    amount = f"{images} held-out image{'s' if images > 1 else ''}"
    amount += f" of {channels} channels" if channels > 1 else ""
    return f"{amount}." if limits.crop is None else f"{amount}, the middle {limits.crop} x {limits.crop} input pixels."


def _notes(config: DataConfig, seed: int, on_w2s: bool) -> list[str]:
    """What a reader must know beside the tables, in sentences."""
    if config.degradation is None:
        made = "Inputs: the images' own low-quality partners."
    else:
        blurs = config.degradation.blur
        used = config.degradation.model_copy(update={"blur": (blurs[len(blurs) // 2],)})
        made = (
            f"Inputs: made from the high-quality images by a stated degradation: {used.describe()}, at three noise "
            f"levels (seed {seed}). Figures on them say how well that is undone, not how a network does on another "
            "microscope."
        )
    comparable = (
        "The published rows are Chatton's, on one image of W2S a channel, which the paper doesn't name; these are the "
        "means of all images named above. channel 1 is W2S's files NNN_0, and so on."
        if on_w2s
        else "These are figures on these images. The published rows are Chatton's on W2S and are not comparable."
    )
    return [
        made,
        "PSNR (dB) and SSIM over the 0.1st to 99.9th percentile of the target; 'affine fit': after a x + b with "
        "least squared error to the target, as CSBDeep does. The paper states neither its range nor a fit.",
        comparable,
    ]


def _notes_on(name: str, entrant: Entrant, folder: Path) -> list[str]:
    run = entrant.config
    if run is None or run.data.folder.resolve() != folder.resolve():
        notes = [f"{name} was trained on other data: that it has never seen these images can't be told here."]
    else:
        notes = [f"{name} was trained on this folder's other images."]
    if run is not None and entrant.losses is None:
        notes.append(f"The training of {name} has not come to its end.")
    if run is not None and entrant.losses is not None and entrant.losses.wants_features and run.features != "vgg19":
        notes.append(f"The feature network of {name} is {run.features!r}, where the published rows have VGG-19.")
    return notes
