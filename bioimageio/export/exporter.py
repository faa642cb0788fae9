"""A trained network -> a complete bioimage.io package, all at once or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen.device import full_float32
from relumen.errors import CheckFailedError, UserError
from relumen.halo import TOLERANCE, HaloCurve, halo_curve
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize
from relumen.package import read_package
from relumen.runners import runner
from relumen.seams import phase_difference, tile_difference
from relumen.tiling import Runner, TilePlan, mirrored_to, predict_tiled
from relumen.whole import folder_appears_whole

from .card import card_text
from .cover import write_cover
from .description import PackageDescription
from .macro import macro_name, macro_text
from .rdf import AGREEMENT, Measured, PackageFiles, validate_rdf, write_rdf
from .target import check_target
from .weights import (
    INPUT_ID,
    OUTPUT_ID,
    custom_layers,
    difference,
    freeze,
    save_keras,
    save_onnx,
    save_saved_model,
    tensor_runner,
)

if TYPE_CHECKING:
    import keras

Float32 = NDArray[np.float32]
EXAMPLE_SIZE = 256
"""Height and width of the example images at most, input pixels: enough to see something, and small to download."""
EXAMPLE_OUTPUT = 768
"""Height and width of the examples' answers at most, output pixels; one tile at least."""
_SAFETY = 2  # of the differences of tiles that a package declares: other images can be so much harder


@full_float32()
def export_package(
    model: keras.Model,
    description: PackageDescription,
    sample: NDArray[Any],
    folder: Path,
    *,
    tolerance: float = TOLERANCE,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Writes a package that DeepImageJ runs and the zoo accepts; nothing appears until it is complete and checked.

    Args:
        model: (batch, y, x, channels) -> (batch, scale * y, scale * x, channels out) for any y and x (or multiples, or
            one size, as the description says), in the units that its ``normalise`` says.
        description: what a person says of the model.
        sample: a real image like those of the training inputs, (y, x, channels), raw intensities.
        folder: where the package is to stand.
        tolerance: largest difference of a tile from the whole image, standard deviations of the output.
        overwrite: replaces a package that stands there.
        say: told what is being done, and bioimageio.spec's warnings.

    Returns:
        The folder.

    Raises:
        UserError: there is something at the folder, it can't be written to, or sample, model and description don't
            fit each other.
        CheckFailedError: the network can't be tiled, a weights format answers differently, or the disk is full.
    """
    _check_sample(sample, description)
    check_target(folder, overwrite)
    with folder_appears_whole(folder, replace=overwrite) as partial:
        _fill(partial, model, description, sample, tolerance, say)
    return folder


def _fill(
    folder: Path,
    model: keras.Model,
    description: PackageDescription,
    sample: NDArray[Any],
    tolerance: float,
    say: Callable[[str], None],
) -> None:
    files = PackageFiles(macro=macro_name(description))
    say("Folding the weights into constants")
    frozen = freeze(model, description.tile if description.fixed_size else None)
    run = tensor_runner(frozen)
    test_input = _busiest(_at_least(sample, description.tile), description.tile)[np.newaxis]
    test_output = run(description.normalise.applied(test_input[0])[np.newaxis])
    _check_answer(model, test_output, description)
    tiles = _fixed_tiles if description.fixed_size else _halo_tiles
    measured = tiles(run, sample, description, tolerance, say)

    save_saved_model(frozen, folder / files.saved_model)
    save_onnx(frozen, folder / files.onnx)
    custom = tuple(custom_layers(model))
    if custom:
        say(f"No Keras file goes into the package, since it needs code beside Keras's: {', '.join(custom)}")
    else:
        save_keras(model, folder / files.keras)
    np.save(folder / files.test_input, test_input)
    np.save(folder / files.test_output, test_output)
    _write_tiffs(
        folder, (files.sample_input, files.sample_output), test_input[0], test_output[0], description, sample.dtype
    )
    say("Comparing the weights with Keras")
    measured = replace(
        measured,
        parameters=int(model.count_params()),
        custom_layers=custom,
        formats=_agreement(folder, files, model, description, test_input[0]),
    )
    _write_example(folder, files, run, description, sample, measured.halo)
    (folder / files.macro).write_text(macro_text(description), encoding="utf-8")
    (folder / files.card).write_text(card_text(description, measured, files), encoding="utf-8")
    write_rdf(folder, description, measured, files)
    for warning in validate_rdf(folder):
        say(f"bioimageio.spec warns: {warning}")
    read_package(folder)


def _halo_tiles(
    run: Runner, sample: NDArray[Any], description: PackageDescription, tolerance: float, say: Callable[[str], None]
) -> Measured:
    """What is to be known of the tiles of a network that takes any size, or any multiple."""
    say("Measuring the halo")
    multiple, tile, scale = description.multiple, description.tile, description.scale
    curve = halo_curve(run, description.normalise.applied(sample), scale=scale, tile=tile, multiple=multiple)
    halo = _halo(curve, description, tolerance)
    error = _error_at(curve, halo)
    say(f"Halo: {halo} pixels (limit {tolerance:.0e}, a tile then differs by {error:.1e})")
    errors = tuple((at, curve.errors[at]) for at in range(0, min(halo, len(curve.errors) - 1) + 1, 4))
    measured = Measured(halo, error, errors, tolerance)
    if multiple == 1:
        return measured
    image = _some_tiles(sample, description)
    phase = phase_difference(image, run, tile=tile, halo=halo, scale=scale, multiple=multiple)
    say(f"Tiles that begin at no multiple of {multiple} pixels, as some do in Fiji, differ by up to {phase:.1g}")
    return replace(measured, tile_exact=False, phase_error=phase, phase_tolerance=max(_declared(phase), tolerance))


def _fixed_tiles(
    run: Runner, sample: NDArray[Any], description: PackageDescription, tolerance: float, say: Callable[[str], None]
) -> Measured:
    """The same of a network of fixed size: the stated halo, what its tiles differ, and what they may, as declared."""
    image = _some_tiles(sample, description)
    tile, scale, multiple = description.tile, description.scale, description.multiple
    halo = description.halo or 0
    error = tile_difference(image, run, tile=tile, scale=scale, halo=halo, multiple=multiple)
    say(f"Tiles of {tile} pixels alone, halo {halo}: two that show one place differ by up to {error:.1g}")
    fits = error <= tolerance
    return Measured(halo, error, (), tolerance if fits else _declared(error), tile_exact=fits)


def _declared(error: float) -> float:
    return float(f"{_SAFETY * error:.1g}")


def _halo(curve: HaloCurve, description: PackageDescription, tolerance: float) -> int:
    """The halo in input pixels: as measured, or as the description says where that is enough."""
    if description.halo is None:
        return curve.halo(tolerance)
    error = _error_at(curve, description.halo)
    if error > tolerance:
        raise CheckFailedError(
            f"With a halo of {description.halo} pixels a tile differs from the whole image by {error:.1e} of the "
            f"output's standard deviation (limit {tolerance:.0e}). Leave the halo out, so that it is measured."
        )
    return description.halo


def _error_at(curve: HaloCurve, halo: int) -> float:
    return curve.errors[min(halo, len(curve.errors) - 1)]


def _agreement(
    folder: Path, files: PackageFiles, model: keras.Model, description: PackageDescription, tile: Float32
) -> dict[str, float]:
    """Largest difference of each written format from Keras, on the test tile and on another, odd size."""
    whole = description.normalise.applied(tile)[np.newaxis]
    images = [whole]
    if not description.fixed_size:
        multiple = description.multiple
        height, width = ((description.tile // 2 + more) // multiple * multiple for more in (3, 8))
        images.append(whole[:, :height, :width])
    sources = {
        "tensorflow_saved_model_bundle": files.saved_model,
        "onnx": files.onnx,
        "keras_v3": files.keras,
    }
    found = {}
    for name, file in sources.items():
        if not (folder / file).exists():
            continue
        run = runner(name, folder / file, input_id=INPUT_ID, output_id=OUTPUT_ID)
        errors = [difference(run(image), np.asarray(model(image, training=False)), name) for image in images]
        found[name] = max(errors)
        if found[name] > AGREEMENT:
            raise CheckFailedError(
                f"{name} differs from Keras by {found[name]:.1e} of the output's standard deviation "
                f"(limit {AGREEMENT:.0e}). The conversion changed the network."
            )
    return found


def _write_example(
    folder: Path,
    files: PackageFiles,
    run: Runner,
    description: PackageDescription,
    sample: NDArray[Any],
    halo: int,
) -> None:
    size = max(min(EXAMPLE_SIZE, EXAMPLE_OUTPUT // description.scale), description.tile)
    image = _busiest(_even_beside(sample, description), size)
    plan = TilePlan(image.shape[:2], (description.tile, description.tile), halo, description.scale)
    answer = predict_tiled(description.normalise.applied(image), run, plan)
    _write_tiffs(folder, (files.example_input, files.example_output), image, answer, description, sample.dtype)
    shown = answer[..., 0]
    if description.undone:
        mean, deviation = description.normalise.statistics(list(np.moveaxis(image, -1, 0)))
        shown = shown * deviation[0] + mean[0]
    write_cover(folder / files.cover, image[..., 0], shown, one_contrast=description.answer == "image")


def _write_tiffs(
    folder: Path,
    names: tuple[str, str],
    image: NDArray[Any],
    answer: Float32,
    description: PackageDescription,
    dtype: np.dtype,
) -> None:
    """An image, in the sample's type where people use it, and the answer to it, with their pixel sizes."""
    size = None
    if description.pixel_size_um is not None:
        size = PixelSize(description.pixel_size_um, description.pixel_size_um)
    shown = image.astype(dtype) if dtype in (np.uint8, np.uint16) else image
    _write_tiff(folder / names[0], shown, size)
    _write_tiff(folder / names[1], answer, size and size.divided(description.scale))


def _write_tiff(path: Path, pixels: NDArray[Any], size: PixelSize | None) -> None:
    planes = np.moveaxis(pixels, -1, 0)
    if len(planes) == 1:
        write_image(path, Image(planes[0], "YX", size))
    else:
        write_image(path, Image(planes, "CYX", size))


def _some_tiles(sample: NDArray[Any], description: PackageDescription) -> Float32:
    """A part of the sample on which tiles meet, in the network's units."""
    size = 2 * description.tile
    return description.normalise.applied(_busiest(_at_least(sample, size), size))


def _at_least(sample: NDArray[Any], size: int) -> NDArray[Any]:
    """The sample, mirrored onward where it is smaller than so many pixels."""
    return mirrored_to(sample, (max(size, sample.shape[0]), max(size, sample.shape[1])))


def _even_beside(sample: NDArray[Any], description: PackageDescription) -> NDArray[Any]:
    """The sample without a last row or column by which Fiji would shift its result: see the macro's odd sizes."""
    height, width = (
        length - (description.smallest_image < length < description.tile and (description.tile - length) % 2)
        for length in sample.shape[:2]
    )
    return sample[:height, :width]


def _busiest(sample: NDArray[Any], size: int) -> Float32:
    """The square (at most size x size) with most structure, as float32: empty corners test and show nothing."""
    height, width = min(size, sample.shape[0]), min(size, sample.shape[1])
    tops = range(0, sample.shape[0] - height + 1, max(1, height // 4))
    lefts = range(0, sample.shape[1] - width + 1, max(1, width // 4))
    squares = [(sample[y : y + height, x : x + width].std(), y, x) for y in tops for x in lefts]
    _, y, x = max(squares)
    return np.ascontiguousarray(sample[y : y + height, x : x + width], np.float32)


def _check_sample(sample: NDArray[Any], description: PackageDescription) -> None:
    channels = len(description.input_channels)
    if sample.ndim != 3 or sample.shape[-1] != channels:
        raise UserError(f"The sample must be an image (y, x, {channels}). Received: an array of shape {sample.shape}")
    smallest = description.smallest_image
    if min(sample.shape[:2]) < smallest:
        raise UserError(
            f"The sample must have at least {smallest} x {smallest} pixels (a third of the description's tile). "
            f"Received: {sample.shape[0]} x {sample.shape[1]}"
        )
    if not np.isfinite(sample).all():
        raise UserError("The sample holds pixels that are no finite numbers. Give a real image.")
    if sample.min() == sample.max():
        raise UserError(f"The sample is {sample.flat[0]} everywhere, which tests nothing. Give a real image.")


def _check_answer(model: keras.Model, answer: Float32, description: PackageDescription) -> None:
    side = description.scale * description.tile
    wanted = (1, side, side, len(description.output_channels))
    if answer.shape != wanted:
        raise UserError(
            f"{model.name} answers to a tile of {description.tile} pixels with the shape {answer.shape}; the "
            f"description's scale and channels say {wanted}."
        )
    if not np.isfinite(answer).all() or answer.std() == 0:
        raise CheckFailedError(
            f"{model.name} answers with one value everywhere, or with no finite numbers. Train it further."
        )
