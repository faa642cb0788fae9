"""A data set of made defects: what CIN-GAN learned, applied to clean images, as pairs for a restorer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from relumen.divergence import divergence_curves
from relumen.errors import UserError
from relumen.evaluation.limited_figures import draw_divergence, draw_made
from relumen.image_writing import write_image
from relumen.images import Image
from relumen.models import limited
from relumen.normalisation import EPS, Normalisation
from relumen.restore import Restorer, restore_plane
from relumen.run import RunFolder
from relumen.tiling import Runner
from relumen.training.cgan import resnet_settings
from relumen.training.config import parse_config
from relumen.training.data import file_of
from relumen.training.defects import defect_folders, defective, load_clean, load_defects, target, write_manifest
from relumen.training.folders import is_data_folder
from relumen.training.limited_config import CINGANConfig
from relumen.training.settings import DataConfig
from relumen.training.sources import Source

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Maker:
    """What makes one defect.

    Attributes:
        defect: its name.
        run: that learned it.
        network: clean image -> image with the defect.
        only: height and width of the only input that the network takes; None: it takes any.
    """

    defect: str
    run: Path
    network: Restorer
    only: int | None

    def pieces(self, image: Float32) -> list[Float32]:
        """The parts of an image (y, x) that the network can take: all of it, or squares that cover it."""
        if self.only is None:
            return [image]
        starts = (_starts(size, self.only) for size in image.shape)
        return [image[y : y + self.only, x : x + self.only] for y, x in product(*starts)]

    def made(self, pieces: Sequence[Float32], whole: Float32) -> list[Float32]:
        """Pieces (y, x) of a clean image with the defect, in the image's intensities.

        Args:
            pieces: some of :meth:`pieces`.
            whole: the image, whose mean and standard deviation are the units of each of its pieces, as in training.
        """
        mean, deviation = whole.mean(), whole.std() + EPS
        normalised = [((piece - mean) / deviation).astype(np.float32)[..., np.newaxis] for piece in pieces]
        if self.only is None:
            answers = [restore_plane(each, self.network) for each in normalised]
        else:
            answers = list(self.network.run(np.stack(normalised)))
        return [answer[..., 0] * deviation + mean for answer in answers]


def makers(runs: Sequence[Path]) -> dict[str, Maker]:
    """What makes each defect that some runs of CIN-GAN learned; of several runs of one defect the last counts.

    Raises:
        UserError: no such run, or one of another system, or one without a network.
    """
    found = {}
    for path in runs:
        run = RunFolder.open(path)
        config = parse_config(run.config())
        if not isinstance(config, CINGANConfig):
            raise UserError(f"{path} is a run of {config.system}. Defects are made by runs of cin-gan.")
        about, network = run.about(), run.network()
        if about.halo is None:
            raise UserError(f"No halo makes tiles of the network in {path} fit each other. Train it further.")
        for index, defect in enumerate(about.defects):
            single = limited.with_defect(network, index, draw=config.draw, **resnet_settings(config.generator))
            restorer = Restorer.of_network(
                f"{path.name}, {defect}",
                _runner(single, draw=config.draw),
                halo=about.halo,
                multiple=about.multiple,
                only_tile=about.tile,
            )
            found[defect] = Maker(defect, path, replace(restorer, normalisation=Normalisation()), about.tile)
    return found


def synthesise(
    runs: Sequence[Path],
    clean: Path,
    folder: Path,
    *,
    on_image: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, int]:
    """Writes a data folder with a subfolder of pairs for each defect, and pictures of the defects.

    Made defects stand in low/, the clean images in high/. What a data folder holds out is not used: the restorer is
    judged on it.

    Args:
        runs: of CIN-GAN: one that learned several defects, or several.
        clean: a folder of clean images, or of pairs, whose targets are clean; or a subfolder of either for each defect,
            of which each defect takes its own.
        folder: to make.
        on_image: told (images done, images in all).
        say: told what the user should know.

    Returns:
        Pairs of each defect.

    Raises:
        UserError: a run or a folder that can't be used, or a folder that holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} holds something already. Name another folder, or remove it.")
    known = makers(runs)
    images = _clean_images(clean, list(known))
    total, done = sum(map(len, images.values())), 0
    counts = dict.fromkeys(known, 0)
    examples: dict[str, list[tuple[Float32, Float32]]] = {}
    for defect, maker in known.items():
        for key, together in groupby(images[defect], key=lambda source: (file_of(source.name), source.high.shape)):
            name, (height, width) = key
            low, high = [], []
            for source in together:
                pieces = maker.pieces(source.high)
                high += pieces
                low += maker.made(pieces, source.high)
                done += 1
                on_image(done, total)
            best = max(range(len(high)), key=lambda i: roughness(high[i]))
            examples.setdefault(defect, []).append((high[best], low[best]))
            counts[defect] += len(low)
            file = f"{name}-{height}x{width}.tif"
            _write(folder / defect / "low" / file, low)
            _write(folder / defect / "high" / file, high)
    about = {
        "note": "Made by relumen data synthesise: the defects in low/ are CIN-GAN's, no microscope's.",
        "runs": [str(run) for run in runs],
        "defects": {defect: {"run": str(maker.run), "pairs": counts[defect]} for defect, maker in known.items()},
        "clean": str(clean),
    }
    write_manifest(folder, about)
    for path in _draw(folder, runs, known, examples):
        say(f"Written: {path}")
    return counts


def _draw(
    folder: Path,
    runs: Sequence[Path],
    makers: Mapping[str, Maker],
    examples: Mapping[str, Sequence[tuple[Float32, Float32]]],
) -> Iterator[Path]:
    """Figs. 6 and 7, beside the data folder: in it they would be images to train on."""
    real = {defect: image for run in runs for defect, image in _real_examples(run).items()}
    rows = []
    for defect in makers:
        clean, made = max(examples[defect], key=lambda pair: roughness(pair[0]))
        shown = real.get(defect)
        rows.append((defect, clean, made, None if shown is None else _middle(shown, clean.shape)))
    figures = {"figure-6": draw_made(rows)}
    for run in runs:
        number = f"-{run.name}" if len(runs) > 1 else ""
        figures[f"figure-7{number}"] = draw_divergence(*divergence_curves(RunFolder(run)))
    for name, figure in figures.items():
        path = folder.with_name(f"{folder.name}-{name}.png")
        figure.savefig(path, dpi=150)
        yield path


def _real_examples(run: Path) -> dict[str, Float32]:
    """An image with each defect that a run learned from, where its data folder is still there."""
    config = parse_config(RunFolder(run).config())
    if not isinstance(config, CINGANConfig) or not config.data.folder.exists():
        return {}
    defects = load_defects(config.data, config.defects)
    return {
        defect.name: defective(max(defect.validation, key=lambda source: roughness(target(source))))
        for defect in defects
    }


def _runner(network: keras.Model, *, draw: bool) -> Runner:
    """A network as a function of images alone; where it takes random numbers too, every image has others."""
    predict = tf.function(lambda *inputs: network(inputs if draw else inputs[0], training=False), reduce_retracing=True)
    rng = np.random.default_rng(0)

    def run(images: Float32) -> Float32:
        drawn = [tf.constant(rng.normal(size=images.shape), tf.float32)] if draw else []
        return predict(tf.constant(images), *drawn).numpy()

    return run


def _clean_images(folder: Path, defects: Sequence[str]) -> dict[str, Sequence[Source]]:
    """The clean images of each defect; those that all share are read once."""
    config = DataConfig(folder=folder)
    if not folder.exists():
        raise UserError(f"There is no folder of clean images at {folder}.")
    if is_data_folder(config):
        return dict.fromkeys(defects, load_clean(config, folder))
    own = defect_folders(config)
    if missing := [defect for defect in defects if defect not in own]:
        raise UserError(f"{folder} has no clean images for {missing[0]}: it has {', '.join(own)}.")
    return {defect: load_clean(config, own[defect]) for defect in defects}


def _middle(image: Float32, shape: tuple[int, ...]) -> Float32:
    """As much of an image as another shows, so that structures are as large in both."""
    y, x = (max(0, (have - want) // 2) for have, want in zip(image.shape, shape, strict=True))
    return image[y : y + shape[0], x : x + shape[1]]


def roughness(image: Float32) -> float:
    """How much an image (y, x) changes from pixel to pixel, in the mean: where there is detail to see."""
    down, across = np.gradient(image)
    return float(np.hypot(down, across).mean())


def _starts(size: int, side: int) -> list[int]:
    """Where squares begin that cover a length with as little overlap as can be."""
    if size < side:
        raise UserError(f"An image measures {size} pixels on one side, and the network takes {side} x {side} only.")
    return sorted({round(start) for start in np.linspace(0, size - side, -(-size // side))})


def _write(path: Path, planes: Sequence[Float32]) -> None:
    if path.exists():
        raise UserError(f"Two clean images would both be written to {path}. Give one of them another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, Image(np.stack(planes).astype(np.float32), "TYX"))
