"""Shows what a halo is for: how much a restored image jumps where tiles meet, with the measured halo and without.

The paper cuts a wide view into tiles of 32 x 32 and puts their answers side by side. Here the same cores of 32 x 32 are
restored with the halo that was measured on the network, with half of it, and with none. A jump is the mean absolute
difference of neighbouring pixels across borders of tiles, as a multiple of the same inside tiles
(relumen.seams.jump_ratio); what lies along the borders differs from the rest by chance, so the same is told of the
image in one piece. A crop where the borders jump most is saved as a picture.

    python benchmarks/cascade_seams.py > benchmarks/cascade_seams.md
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAME = "phase_t98g/t37.tif"
CORE = 32
_CROP = 40  # of the picture, input pixels


def main() -> None:
    """Measures, saves the picture, and prints a Markdown table."""
    from relumen.data import image_path

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=Path("cascade-phase-8x"), help="a run, a package, or the name of a shipped model"
    )
    parser.add_argument("--image", type=Path, default=image_path(FRAME), help="one plane of one channel")
    parser.add_argument("--bin", type=int, default=8, help="bin so many pixels along each side first")
    parser.add_argument("--picture", type=Path, default=Path(__file__).with_suffix(".png"), help="where it goes")
    arguments = parser.parse_args()
    image = low_resolution(arguments.image, arguments.bin)
    ratios, pictures = measure(arguments.model, image)
    if len(pictures) > 1:
        save_crops(arguments.picture, image, pictures)
    print(report(arguments.model, arguments.image, image.shape, ratios))


def low_resolution(path: Path, factor: int) -> NDArray[np.float32]:
    """The image (y, x), binned, with all its pixels."""
    import numpy as np

    from relumen.degrade import crop_to_multiple, reduced
    from relumen.images import read_image

    pixels = np.asarray(read_image(path).pixels, np.float32)
    if pixels.ndim != 2:
        raise SystemExit(f"{path} has the shape {pixels.shape}. Give an image of one plane and one channel.")
    return reduced(crop_to_multiple(pixels, factor), factor)


def measure(model: Path, image: NDArray[np.float32]) -> tuple[dict[int | None, float], dict[int, NDArray[np.float32]]]:
    """The jump ratio by halo (None: of the image in one piece), the measured one first, and the restored images."""
    import numpy as np

    from relumen.restore import open_model, restore_plane
    from relumen.seams import jump_ratio
    from relumen.tiling import TilePlan

    with open_model(model) as opened:
        if not opened.any_size:
            raise SystemExit(f"{opened.name} takes one size alone, and has no halo to compare with.")
        needed = opened.halo
    ratios: dict[int | None, float] = {}
    pictures: dict[int, NDArray[np.float32]] = {}
    for halo in dict.fromkeys((needed, needed // 2, 0)):
        with open_model(model, CORE + 2 * halo, halo=halo) as opened:
            pictures[halo] = restore_plane(image[..., np.newaxis], opened)[..., 0]
            ratios[halo] = jump_ratio(pictures[halo], opened.plan(*image.shape))
    with open_model(model, max(image.shape) + 2 * needed) as opened:
        whole = restore_plane(image[..., np.newaxis], opened)[..., 0]
    ratios[None] = jump_ratio(whole, TilePlan((image.shape[0], image.shape[1]), (CORE, CORE), 0, opened.scale))
    return ratios, pictures


def save_crops(path: Path, image: NDArray[np.float32], pictures: dict[int, NDArray[np.float32]]) -> None:
    """The place around a corner of four tiles where they fit least: with the measured halo, without, and difference."""
    import imageio.v3 as iio
    import numpy as np

    from relumen.pictures import to_grey
    from relumen.tiling import TilePlan

    scale = pictures[0].shape[0] // image.shape[0]
    first, plain = pictures[max(pictures)], pictures[0]
    difference = np.abs(first - plain)

    def around(picture: NDArray, y: int, x: int) -> NDArray:
        return picture[scale * (y - _CROP // 2) : scale * (y + _CROP // 2), scale * (x - _CROP // 2) :][
            :, : scale * _CROP
        ]

    height, width = image.shape
    plan = TilePlan((height, width), (CORE, CORE), 0)
    places = ((tile.target[0].start, tile.target[1].start) for tile in plan.tiles())
    inside = ((y, x) for y, x in places if _CROP <= 2 * y <= 2 * height - _CROP and _CROP <= 2 * x <= 2 * width - _CROP)
    if not (corners := [(around(difference, y, x).mean(), y, x) for y, x in inside]):
        raise SystemExit(f"An image of {image.shape} has no corner where four tiles of {CORE} x {CORE} meet.")
    _, y, x = max(corners)
    shown = [around(first, y, x), around(plain, y, x)]
    low, high = np.percentile(shown, (0.5, 99.5))
    seams = around(difference, y, x)
    parts = [to_grey(part, float(low), float(high)) for part in shown] + [to_grey(seams, 0.0, float(seams.max()))]
    iio.imwrite(path, np.hstack(parts), extension=".png")


def report(model: Path, image: Path, shape: tuple[int, ...], ratios: dict[int | None, float]) -> str:
    """The table with what it was measured on."""
    needed = next(iter(ratios))
    lines = [
        "# What a halo is for: seams of the cascade",
        "",
        f"Made by `python benchmarks/cascade_seams.py`: {model.name} on {image.name},",
        f"{shape[0]} x {shape[1]} pixels at the input, tiles of which {CORE} x {CORE} are kept. A jump is the mean",
        "absolute difference of neighbouring pixels across borders of tiles, as a multiple of the same inside tiles:",
        "as that of the image in one piece where no seam shows.",
        "",
        "| tiles | halo, input pixels | jump |",
        "|---|---|---|",
    ]
    names = {needed: "with the measured halo", 0: "side by side, as in the paper", None: "the image in one piece"}
    lines += [
        f"| {names.get(halo, 'with half of it')} | {'' if halo is None else halo} | {ratio:.3f} |"
        for halo, ratio in ratios.items()
    ]
    picture = "The picture: the same place with the measured halo, without any, and the difference of the two."
    return "\n".join([*lines, "", picture, "", "![Seams](cascade_seams.png)"])


if __name__ == "__main__":
    main()
