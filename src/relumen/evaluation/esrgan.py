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
from relumen.evaluation.entrants import Entrant, common_scale, open_entrant, unique_names
from relumen.evaluation.published import BICUBIC
from relumen.evaluation.scores import Evaluation, Method, Sample, Score
from relumen.metrics import affine_fitted, psnr, ssim
from relumen.restore import Restorer, restore_plane
from relumen.training.config import DataConfig, ESRGANConfig
from relumen.training.data import load_data
from relumen.training.held_out import held_out
from relumen.training.sources import Degradable, Source
from relumen.upsampling import bicubic

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Input:
    """One image under one condition: the input ``low`` (y, x) and its target ``high``."""

    source: Source
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


def evaluate(
    models: Sequence[Path],
    folder: Path,
    *,
    degrade: bool = False,
    limits: Limits = _ALL,
    seed: int = 0,
    tile: int | None = None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Restores the held-out images of a folder with every model, and judges the results.

    Args:
        models: run folders, packages, or a run's ``model-pixel.keras``.
        folder: the data, in any layout that training takes. Where a run was trained on it, its own hold-out is used.
        degrade: make the inputs from high-quality images, by the degradation that the first run was trained on.
        limits: how much of the data is looked at.
        seed: of the noise, where inputs are made.
        tile: of networks that take any; smaller needs less memory.
        on_image: told (images done, images in all) after each; an image counts once for each method.

    Raises:
        UserError: a model or a folder that can't be used, or models of several scales.
        CheckFailedError: the device's memory is full.
    """
    with ExitStack() as stack:
        entrants = [stack.enter_context(open_entrant(path, tile)) for path in models]
        scale = common_scale(entrants)
        names = unique_names(entrants, "bicubic")
        config = data_config(folder, [entrant.config for entrant in entrants if entrant.config], degrade, scale)
        inputs = _inputs(load_data(config, scale).validation, seed, limits, scale)
        restorers: list[Callable[[Float32], Float32]] = [lambda low: bicubic(low, scale)]
        restorers += [_restoring(entrant.restorer) for entrant in entrants]
        methods = [Method("bicubic", BICUBIC)]
        methods += [Method(name, entrant.published) for name, entrant in zip(names, entrants, strict=True)]
        scores: list[Score] = []
        samples: dict[tuple[str, str], Sample] = {}
        for each in inputs:
            outputs, row = [], []
            for method, restore in zip(methods, restorers, strict=True):
                outputs.append(restore(each.low))
                row.append(_score(each, method.name, outputs[-1]))
                on_image(len(scores) + len(row), len(inputs) * len(methods))
            scores += row
            target = "truth" if isinstance(each.source, Degradable) else "target"
            samples.setdefault((each.condition, row[0].channel), Sample(tuple(row), tuple(outputs), each.high, target))
        return Evaluation(
            tuple(methods),
            tuple(scores),
            tuple(samples.values()),
            tuple(_notes(config, inputs, limits, seed, dict(zip(names, entrants, strict=True)))),
        )


def data_config(folder: Path, configs: Sequence[ESRGANConfig], degrade: bool, scale: int) -> DataConfig:
    """How a folder is read so that no run is judged on images that it was trained on, and what its inputs are.

    Args:
        folder: the data.
        configs: of the runs.
        degrade: whether inputs are made; by the first degradation that a run was trained on, else by the default.
        scale: magnification.
    """
    trained = [config.data for config in configs if config.data.folder.resolve() == folder.resolve()]
    base = trained[0] if trained else DataConfig(folder=folder)
    degradations = [config.data.degradation for config in configs if config.data.degradation]
    return base.model_copy(
        update={
            "folder": folder,
            "validation": min(each.validation for each in (trained or [base])),
            "degradation": [*degradations, Degradation(factor=scale)][0] if degrade else None,
        }
    )


def _inputs(sources: Sequence[Source], seed: int, limits: Limits, scale: int) -> list[Input]:
    """The inputs within the limits; an image has the same noise whatever the limits are."""
    chosen, count = [], Counter[tuple[str, str]]()
    for source, condition, low, high in held_out(sources, seed):
        key = (_channel(source), condition)
        if limits.images is not None and count[key] >= limits.images:
            continue
        count[key] += 1
        if limits.crop is not None:
            y, x = (max(0, (size - limits.crop) // 2) for size in low.shape)
            low = low[y : y + limits.crop, x : x + limits.crop]
            high = high[scale * y :, scale * x :][: scale * low.shape[0], : scale * low.shape[1]]
        chosen.append(Input(source, condition, low, high))
    return chosen


def _channel(source: Source) -> str:
    return ""


def _restoring(restorer: Restorer) -> Callable[[Float32], Float32]:
    def restore(low: Float32) -> Float32:
        try:
            return restore_plane(low[..., np.newaxis], restorer)[..., 0]
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
        channel=_channel(each.source),
        image=each.source.name,
        method=method,
        psnr=psnr(each.high, output),
        ssim=ssim(each.high, output),
        psnr_fitted=psnr(each.high, fitted),
        ssim_fitted=ssim(each.high, fitted),
    )


def _notes(
    config: DataConfig, inputs: Sequence[Input], limits: Limits, seed: int, entrants: dict[str, Entrant]
) -> list[str]:
    """What a reader must know beside the tables, in sentences."""
    images = {each.source.name for each in inputs}
    part = "" if limits.crop is None else f", of each the middle {limits.crop} x {limits.crop} input pixels"
    notes = [f"Data: {config.folder}, {len(images)} held-out image{'s' if len(images) > 1 else ''}{part}."]
    if config.degradation is None:
        notes.append("Inputs: the images' own low-quality partners.")
    else:
        notes.append(
            f"Inputs: made from the high-quality images by a stated degradation: {config.degradation.describe()}, at "
            f"three noise levels (seed {seed}). Figures on them say how well that is undone, not how a network does "
            "on another microscope."
        )
    notes.append(
        "PSNR (dB) and SSIM over the 0.1st to 99.9th percentile of the target, on whole images; 'affine-fitted': after "
        "a x + b with least squared error to the target, as CSBDeep does."
    )
    notes.append(
        "These are figures on these images. The published rows are Chatton's on W2S, of one image a channel; they are "
        "not comparable unless the data is W2S."
    )
    for name, entrant in entrants.items():
        notes += _notes_on(name, entrant, config.folder)
    return notes


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
