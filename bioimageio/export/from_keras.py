"""Any Keras 3 model as one caller of the exporter: what a person states of it, and what running it tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen.device import full_float32
from relumen.errors import UserError
from relumen.images import Image, read_image

from .description import Citation, PackageDescription
from .from_run import Credits, people
from .keras_file import load_keras
from .keras_measures import Geometry, measured
from .keras_network import check_axes, image_network, in_float32
from .target import check_target
from .weights import freeze, tensor_runner

if TYPE_CHECKING:
    import keras

_CITATION = re.compile(r"^(?P<text>.+?)\s*=\s*(?:(?P<doi>10\.\d{4,}\S*/\S+)|(?P<url>https?://\S+))$")
_UNTOLD = "Who made this package did not say which images the network was trained on."


@dataclass(frozen=True)
class Stated:
    """What a person says of a Keras model, and running it can't tell.

    Attributes:
        name: of the model: letters, digits, space and _+-().
        summary: what it does, in one or two sentences.
        axes: of the network's input and output: "byxc", or "bcyx" for channels first.
        normalise: what an image becomes before it enters the network: "input" (mean 0 and standard deviation 1 over the
            image), "together" (over all its channels), "none", or "MEAN,DEVIATION", taken from it and divided by.
        answer: "image", in the units in which the input enters; or "own", such as probabilities.
        cite: what a user should cite, the method's paper first.
        channels: names of the input's channels.
        output_channels: names of the answer's.
        credits: people, training images' address, limitations, and licence.
        data: the training images in words.
        git_repo: where the code that made the model lives.
        tags: for the zoo's search.
        pixel_size_um: of the training images; None: the sample's, where it tells one.
        tile: height and width of Fiji's tiles in input pixels; None: as suits the network.
        fixed_size: whether tiles may be used that don't fit each other, where no halo makes them.
    """

    name: str
    summary: str
    axes: str
    normalise: str
    answer: str
    cite: tuple[Citation, ...]
    channels: tuple[str, ...] = ()
    output_channels: tuple[str, ...] = ()
    credits: Credits = field(default_factory=Credits)
    data: str | None = None
    git_repo: str | None = None
    tags: tuple[str, ...] = ()
    pixel_size_um: float | None = None
    tile: int | None = None
    fixed_size: bool = False


@full_float32()
def export_keras(
    model: keras.Model | Path,
    sample: Image | Path,
    folder: Path,
    stated: Stated,
    *,
    code: Sequence[Path] = (),
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Exports a Keras 3 model that was trained anywhere as a package that DeepImageJ runs.

    What can be measured is: magnification, channels of the answer, sizes that the network takes, halo.

    Args:
        model: a network of one image and one answer, or its .keras file.
        sample: a real image like those of the training inputs, raw intensities; of a stack its first plane is taken.
        folder: the package folder to make.
        stated: what can't be measured.
        code: Python files with the classes that the .keras file needs; they are imported.
        overwrite: whether a package that is there may be replaced.
        say: told what is being done and found.

    Returns:
        The package folder.

    Raises:
        UserError: what is stated or given doesn't fit, or can't be a package; with the next step.
        CheckFailedError: the network can't be tiled or converted, or the disk is full.
    """
    from .exporter import export_package

    check_axes(stated.axes)
    check_target(folder, overwrite)
    image = read_image(sample) if isinstance(sample, Path) else sample
    pixels = _first_plane(image)
    draft = _describe(stated, image, pixels, None)  # faults of what is stated are told before anything runs
    entering = draft.normalise.applied(pixels)
    loaded = load_keras(model, code, say) if isinstance(model, Path) else model
    with in_float32(loaded, say):
        network, size = image_network(loaded, stated.axes, entering)
        run = tensor_runner(freeze(network, size))
        found = measured(run, entering, size=size, tile=stated.tile, fixed_size=stated.fixed_size, say=say)
        description = _describe(stated, image, pixels, found)
        return export_package(network, description, pixels, folder, overwrite=overwrite, say=say)


def citation(text: str) -> Citation:
    """A work as the command line names it: "TEXT=DOI" or "TEXT=https://...".

    Raises:
        UserError: it isn't named so.
    """
    found = _CITATION.match(text.strip())
    if found is None:
        raise UserError(
            f'--cite reads TEXT=DOI or TEXT=https://..., such as "Weigert et al. 2018=10.1038/s41592-018-0216-7". '
            f"Received: {text!r}"
        )
    return Citation(**found.groupdict())


def _first_plane(image: Image) -> NDArray[Any]:
    """(y, x, channels) of the first time and slice."""
    position = next(iter(image.positions()))
    return np.stack([np.asarray(image.plane(position, channel)) for channel in range(image.channels)], axis=-1)


def _describe(stated: Stated, image: Image, pixels: NDArray[Any], found: Geometry | None) -> PackageDescription:
    """The description of the package, of what is known; without a geometry, to check the rest."""
    inputs = _names(stated.channels, pixels.shape[-1], "--channel", "the sample has", "intensity")
    outputs: tuple[str, ...] = ("answer",)
    if found is not None:
        same = stated.answer == "image" and found.channels == len(inputs) and not stated.output_channels
        outputs = (
            inputs
            if same
            else _names(stated.output_channels, found.channels, "--output-channel", "the network gives", "answer")
        )
    size = image.pixel_size and image.pixel_size.micrometres
    authors = people(stated.credits)
    geometry = {} if found is None else _tiles(found)
    return PackageDescription.checked(
        {
            "name": stated.name,
            "summary": stated.summary,
            "restores": False,
            "normalise": stated.normalise,
            "answer": stated.answer,
            "input_channels": inputs,
            "output_channels": outputs,
            "pixel_size_um": stated.pixel_size_um or size,
            "authors": authors,
            "maintainers": authors[:1] if stated.credits.github_user else [],
            "uploader": authors[0] if stated.credits.email else None,
            "cite": stated.cite,
            "tags": stated.tags,
            "license": stated.credits.license,
            "git_repo": stated.git_repo,
            "training": {
                "data": stated.data or _UNTOLD,
                "data_link": stated.credits.data_link,
                "details": _details(stated, found),
            },
            "limitations": stated.credits.limitations,
            **geometry,
        }
    )


def _tiles(found: Geometry) -> dict[str, object]:
    return {
        "scale": found.scale,
        "tile": found.tile,
        "halo": found.halo,
        "multiple": found.multiple,
        "fixed_size": found.one_size,
    }


def _details(stated: Stated, found: Geometry | None) -> tuple[str, ...]:
    """Where the facts of the card are from."""
    trained = (
        "Trained elsewhere, and made a package of its Keras model by `relumen export --keras`: relumen has seen "
        "neither the training nor its images, and the figures of this card say nothing of how good the answers are."
    )
    said = (
        f"Stated by who made the package: axes {stated.axes}, normalisation {stated.normalise}, "
        f"{'an image as answer' if stated.answer == 'image' else 'an answer of its own kind'}, names, people and data."
    )
    if found is None:
        return trained, said
    return (
        trained,
        said,
        (
            f"Measured by running the network on the sample: magnification {found.scale}, {found.channels} channel(s) "
            f"in the answer, sizes of multiples of {found.multiple}, tile and halo."
        ),
    )


def _names(stated: tuple[str, ...], count: int, option: str, what: str, word: str) -> tuple[str, ...]:
    if not stated:
        return (word,) if count == 1 else tuple(f"{word} {index}" for index in range(1, count + 1))
    if len(stated) != count:
        raise UserError(f"{option} names {len(stated)} channel(s) ({', '.join(stated)}), and {what} {count}.")
    return stated
