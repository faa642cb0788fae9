"""Restores any image with any run or package, tile by tile: no more than a row of tiles is in memory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from math import lcm
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import relumen
from relumen.chunked import Pixels
from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import OmeZarrVersion, OutputType, as_type, image_writer, result_type
from relumen.images import Image, PixelSize, read_image
from relumen.normalisation import Normalisation
from relumen.package import open_package
from relumen.run import RunFolder
from relumen.runners import network_runner, package_runner
from relumen.shipped import shipped_packages, shipped_path
from relumen.tiling import Runner, TilePlan, next_multiple, predict_bands, predict_tiled

Float32 = NDArray[np.float32]

PYTHON_TILE = 512
"""Most height and width of the tiles of networks that take any size. Fiji's are smaller: more of them is halo."""
MOST_ANSWER = 1024
"""Most height and width of the answer to a tile, pixels: some networks hold many features of that size in memory."""
_TILE_STEP = 64
"""Steps of the tiles' sizes, pixels: TensorFlow makes kernels for each size that it meets, and keeps them."""
PIXEL_SIZE_TOLERANCE = 0.3


@dataclass(frozen=True)
class Restorer:
    """A network with all that is needed to run it on an image.

    Attributes:
        name: of the run or package.
        run: the network.
        scale: its magnification.
        channels: of its input.
        tile: (height, width) of a tile in input pixels, halo included.
        any_size: whether the network takes other tiles than that.
        halo: context of a tile on each side, input pixels.
        multiple: of which the height and width of a tile must be, and at which tiles begin, where it takes any size.
        normalisation: what an image becomes before it enters the network.
        undone: whether the answer is an image in the units in which the input enters, so that this is undone on it.
        pixel_size_um: pixel size of the training inputs, micrometres, where known.
        seams: a sentence on why tiles don't fit each other, where that is known.
    """

    name: str
    run: Runner
    scale: int
    channels: int
    tile: tuple[int, int]
    any_size: bool
    halo: int
    multiple: int = 1
    normalisation: Normalisation = Normalisation(measured=True)
    undone: bool = True
    pixel_size_um: float | None = None
    seams: str | None = None

    @classmethod
    def of_network(
        cls,
        name: str,
        run: Runner,
        *,
        halo: int,
        scale: int = 1,
        channels: int = 1,
        multiple: int = 1,
        only_tile: int | None = None,
    ) -> Restorer:
        """A network of ours: it takes any size, or ``only_tile`` where that is given. The rest is as of the class."""
        tile = (only_tile, only_tile) if only_tile else _largest_tile(halo, scale, multiple)
        return cls(name, run, scale, channels, tile, any_size=not only_tile, halo=halo, multiple=multiple)

    def plan(self, height: int, width: int) -> TilePlan:
        """The tiles for an image; where the network takes any size, as few as can be, and hardly larger than needed."""
        if not self.any_size:
            return TilePlan((height, width), self.tile, self.halo, self.scale)
        most = TilePlan((height, width), self.tile, self.halo, self.scale, self.multiple)
        step, context = lcm(self.multiple, _TILE_STEP), 2 * self.halo
        tall, wide = (
            min(tile, next_multiple(-(-side // count) + context, step))
            for tile, side, count in zip(self.tile, most.shape, most.grid, strict=True)
        )
        return replace(most, tile=(tall, wide))

    def with_tiles(self, tile: int | None = None, halo: int | None = None) -> Restorer:
        """The same network with other tiles; arguments and errors as of :func:`open_model`."""
        for option, value in (("--tile", tile), ("--halo", halo)):
            if value is not None and not self.any_size:
                raise UserError(f"{self.name} takes tiles of {self.tile[0]} x {self.tile[1]} only. Leave out {option}.")
        restorer = self
        if halo is not None:
            halo = next_multiple(halo, self.multiple)
            if halo < self.halo:
                seams = (
                    f"a halo of {halo} pixels is less than the {self.halo} that tiles of {self.name} need to fit each "
                    "other: seams will show between them."
                )
                restorer = replace(self, seams=seams)
            restorer = replace(restorer, halo=halo, tile=_largest_tile(halo, self.scale, self.multiple))
        if tile is None:
            return restorer
        tile = next_multiple(tile, self.multiple)
        return replace(restorer, tile=(tile, tile))

    def pixel_size_warning(self, pixel_size: PixelSize | None) -> str | None:
        """A sentence where the image's pixels differ by more than 30 % from those of the training."""
        found = None if pixel_size is None else pixel_size.micrometres
        if found is None or self.pixel_size_um is None:
            return None
        trained, result = self.pixel_size_um, self.pixel_size_um / self.scale
        if abs(found / trained - 1) <= PIXEL_SIZE_TOLERANCE:
            return None
        differs = f"The image's pixels measure {found:.3g} um, and {self.name} was trained on {trained:.3g} um"
        if self.scale > 1 and found <= (1 + PIXEL_SIZE_TOLERANCE) * result:
            return (
                f"{differs}, of which it makes {result:.3g} um. This image is already as fine as its results: there is "
                "no resolution to gain, and its structures are far larger than those it knows. Use the image as it is."
            )
        return (
            f"{differs}: its structures have another size than those it knows. Rescale the image first, by "
            f"{found / trained:.2g} along each side (in Fiji: Image > Scale...), or don't trust details."
        )

    def seams_warning(self, height: int, width: int) -> str | None:
        """A sentence where an image of this size will show where its tiles meet."""
        return self.seams if max(self.plan(height, width).grid) > 1 else None


@contextmanager
def open_model(
    source: Path, tile: int | None = None, weights: str | None = None, halo: int | None = None
) -> Iterator[Restorer]:
    """Loads a run folder, a package (folder or zip), or a model that comes with relumen.

    Args:
        source: where it is; or the name of a model that comes along, such as esrgan-widefield.
        tile: overrides the tile's size, in pixels, for networks that take any.
        weights: overrides which of a package's weights are run, such as "onnx".
        halo: overrides the halo, in pixels, for networks that take any size. Both are enlarged to what a network takes
            that takes some sizes only.

    Raises:
        UserError: it is none of them, or the network can't take that tile or halo, or has no such weights.
    """
    if not source.exists():
        source = _shipped(source)
    if (source / "config.yaml").is_file():
        if weights is not None:
            raise UserError(f"{source} is a run, which has Keras weights alone. Export it to choose among weights.")
        about = RunFolder.open(source).about()
        if about.defects:
            raise UserError(
                f"{source} makes defects ({', '.join(about.defects)}) of clean images, and does not restore any. Make "
                f"pairs with it by `relumen data synthesise {source}`, or export a defect and restore with that."
            )
        if about.halo is None and about.tile is not None:
            raise UserError(
                f"{source} is a run of {about.system}, which knows whole images of {about.tile} x {about.tile} pixels "
                "and no tiles: no image is restored with it. Name a run that restores, or a package."
            )
        if about.halo is None:
            raise UserError(f"No halo makes tiles of the network in {source} fit each other. Train it further.")
        restorer = Restorer.of_network(
            source.name,
            network_runner(RunFolder(source).network(), source),
            halo=next_multiple(about.halo, about.multiple),
            scale=about.scale,
            channels=about.channels,
            multiple=about.multiple,
            only_tile=about.tile,
        )
        seams = None if about.tile is None else _unfitting_tiles(source.name, about.tile, 0)
        yield replace(restorer, pixel_size_um=about.pixel_size_um, seams=seams).with_tiles(tile, halo)
        return
    with open_package(source) as package:
        if package.input_channels != package.output_channels:
            raise UserError(
                f"{package.name} makes {package.output_channels} channels of {package.input_channels}. relumen "
                "restores images with networks that give as many channels as they take; run it with DeepImageJ."
            )
        ours = package.own_config
        own = ours is not None and not package.fixed_size  # our exports take any size if they don't say otherwise
        unfitting = package.fixed_size and not package.tile_exact
        restorer = Restorer(
            name=package.name,
            run=package_runner(package, weights),
            scale=package.scale,
            channels=package.input_channels,
            tile=_largest_tile(package.halo, package.scale, package.multiple) if own else package.tile,
            any_size=own,
            halo=package.halo,
            multiple=package.multiple,
            normalisation=package.normalisation,
            undone=package.undone,
            pixel_size_um=package.training_pixel_size,
            seams=_unfitting_tiles(package.name, package.tile[0], package.halo) if unfitting else None,
        )
        yield restorer.with_tiles(tile, halo)


def _shipped(source: Path) -> Path:
    names = shipped_packages()
    if str(source) in names:
        return shipped_path(str(source))
    raise UserError(
        f"There is no model at {source}. Give a run folder, a package folder, a package .zip, or the name of a model "
        f"that comes with relumen: {', '.join(names) or 'none does'}."
    )


def _largest_tile(halo: int, scale: int, multiple: int) -> tuple[int, int]:
    """For a network that takes any size: no more than half of a tile is halo, and its answer fits into memory."""
    side = min(PYTHON_TILE, MOST_ANSWER // scale) // multiple * multiple
    side = max(side, 4 * halo, multiple)
    return side, side


def _unfitting_tiles(name: str, tile: int, halo: int) -> str:
    if halo:
        return f"{name} takes tiles of {tile} x {tile} only, and they don't fit each other: all have the same grain."
    return (
        f"{name} takes tiles of {tile} x {tile} only, and its answer depends on the whole of a tile: no halo makes "
        "tiles fit each other, and seams will show between them."
    )


def restore_file(
    source: Path,
    model: Restorer,
    target: Path,
    *,
    axes: str | None = None,
    output: OutputType = "float32",
    ome_zarr: OmeZarrVersion = "0.4",
    on_tile: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = print,
) -> Restorer:
    """Restores an image; every plane of a stack, time series or channel series by itself.

    Where the device runs out of memory the tile is halved, and that is said. The Info of a TIFF or an OME-Zarr goes on
    with what it was restored with, and with the warnings.

    Args:
        source: the image.
        model: the network.
        target: the image to write, with pixel size divided by the scale.
        axes: overrides the image's axes.
        output: "float32" keeps every value; "input" rounds and clips to the input's type.
        ome_zarr: version of a target in OME-Zarr.
        on_tile: told (tiles done, tiles in all) after each.
        say: told what the user should know.

    Returns:
        The network with the tiles that the memory allowed, for the next image.

    Raises:
        UserError: an image that can't be read or doesn't fit the network, or a target that can't be written to.
        CheckFailedError: the disk or the device's memory is full.
    """
    image = read_image(source, axes)
    say(f"{source.name}: {image.describe()}")
    found = (model.pixel_size_warning(image.pixel_size), model.seams_warning(image.sizes["Y"], image.sizes["X"]))
    warnings = [warning for warning in found if warning is not None]
    for warning in warnings:
        say(f"Warning: {warning}")
    image = _with_provenance(image, model, warnings)
    while True:
        try:
            _restore_image(image, model, target, output, ome_zarr, on_tile)
            return model
        except MemoryError as error:
            tried = max(model.plan(image.sizes["Y"], image.sizes["X"]).tile)
            tile = tried // 2 // model.multiple * model.multiple
            if not model.any_size or tile <= 2 * model.halo:
                raise CheckFailedError(
                    f"The device has too little memory for a tile of {tried} pixels of {model.name}."
                ) from error
            say(f"Out of memory with tiles of {tried} pixels; trying {tile}.")
            model = replace(model, tile=(tile, tile))


def _with_provenance(image: Image, model: Restorer, warnings: Sequence[str]) -> Image:
    """An image whose Info goes on with what its result is restored with; the Fiji command shows these warnings."""
    kept = str(image.metadata.get("Info", "")).rstrip()
    restored = f"restored: with {model.name} ({model.scale}x), by relumen {relumen.__version__}"
    info = "\n".join(filter(None, [kept, restored, *(f"warning: {warning}" for warning in warnings)]))
    return replace(image, metadata={**image.metadata, "Info": info})


def restore_plane(planes: Float32, model: Restorer) -> Float32:
    """Restores one image that fits into memory: (y, x, channels) -> (scale * y, scale * x, channels)."""
    run = _in_input_units(model, [planes[..., c] for c in range(planes.shape[-1])])
    return predict_tiled(planes, run, model.plan(planes.shape[0], planes.shape[1]))


def _restore_image(
    image: Image,
    model: Restorer,
    target: Path,
    output: OutputType,
    ome_zarr: OmeZarrVersion,
    on_tile: Callable[[int, int], None],
) -> None:
    groups = _channel_groups(image, model)
    sizes = image.sizes
    plan = model.plan(sizes["Y"], sizes["X"])
    shape = tuple(model.scale * n if axis in "YX" else n for axis, n in sizes.items())
    dtype = result_type(image, output)
    pixel_size = None if image.pixel_size is None else image.pixel_size.divided(model.scale)
    total = len(list(image.positions())) * len(groups) * plan.grid[0] * plan.grid[1]
    done = count(1)

    with image_writer(target, shape, image.axes, dtype, pixel_size, image.metadata, ome_zarr) as writer:
        for position in image.positions():
            for group in groups:
                planes = [image.plane(position, channel) for channel in group]
                run = _in_input_units(model, planes, lambda: on_tile(next(done), total))
                for top, band in predict_bands(_Together(planes), run, plan):
                    for i, channel in enumerate(group):
                        at = {**position, "C": channel}
                        plane = tuple(at[axis] for axis in image.axes[:-2])
                        writer.write(plane, top, as_type(band[..., i], dtype))


@dataclass(frozen=True)
class _Together:
    """Planes that enter the network as channels: (y, x, channels), read some rows at a time."""

    planes: Sequence[Pixels]

    def __getitem__(self, rows: slice) -> NDArray:
        return np.stack([plane[rows] for plane in self.planes], -1)


def _channel_groups(image: Image, model: Restorer) -> list[tuple[int, ...]]:
    """Which channels enter the network together: each alone, or all at once."""
    if model.channels == 1:
        return [(channel,) for channel in range(image.channels)]
    if model.channels == image.channels:
        return [tuple(range(image.channels))]
    raise UserError(
        f"{model.name} takes images of {model.channels} channels. This one has {image.channels} "
        f"(axes {image.axes}, shape {image.pixels.shape}). If its axes were misread, name them with --axes."
    )


def _in_input_units(model: Restorer, planes: Sequence[Pixels], on_tile: Callable[[], None] = lambda: None) -> Runner:
    """The network as a function of raw intensities, with the planes' statistics going in and undone coming out."""
    mean, deviation = model.normalisation.statistics(planes)

    def run(tiles: NDArray) -> Float32:
        answer = model.run(((tiles - mean) / deviation).astype(np.float32))
        on_tile()
        return answer * deviation + mean if model.undone else answer

    return run
