"""Shows that `relumen restore` needs hardly more memory for a large image than for a small one.

A tiny 2x network is exported as a package and run on made uint16 images, from TIFF to TIFF and from OME-Zarr to
OME-Zarr; each restoration is a process of its own, and its peak resident memory is what the kernel counted for it,
pages of mapped files (a TIFF that is read) among it, which the kernel takes back at need. The network is tiny since a
large one takes hours on a CPU; its own memory depends on the tile, not on the image. TIFF holds no plane of 4 GiB.

    python benchmarks/restore_memory.py > benchmarks/restore_memory.md
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring import GIB, measured

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROWS_AT_ONCE = 256
LARGEST_TIFF = 16384  # from there on the result's plane is too large
FORMATS = {".tif": "TIFF", ".ome.zarr": "OME-Zarr"}

PACKAGE = """
import sys
from pathlib import Path

import keras
import numpy as np

from relumen.data import image_path
from relumen.export.description import PackageDescription
from relumen.export.exporter import export_package
from relumen.images import read_image

keras.utils.set_random_seed(0)
model = keras.Sequential([
    keras.Input((None, None, 1)),
    keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
    keras.layers.UpSampling2D(2),
    keras.layers.Conv2D(1, 3, padding="same"),
])
description = PackageDescription.checked({
    "name": "memory benchmark",
    "summary": "An untrained network of two layers.",
    "scale": 2,
    "authors": [{"name": "relumen developers"}],
    "cite": [{"text": "none", "url": "https://github.com/relumen/relumen"}],
    "training": {"data": "none", "command": "none"},
})
sample = np.asarray(read_image(image_path("kc167/01_POS218_F.tif")).pixels, np.float32)[..., None]
export_package(model, description, sample, Path(sys.argv[1]))
"""


@dataclass(frozen=True)
class Measurement:
    """One restoration: suffix and side of the image in pixels, peak resident bytes, seconds."""

    suffix: str
    side: int
    peak: int
    seconds: float

    @property
    def made(self) -> int:
        """Bytes of the result's pixels: float32, twice as many along each side."""
        return 4 * (2 * self.side) ** 2


def main() -> None:
    """Measures, and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 2048, 8192, 16384], help="image sides in pixels")
    sides = parser.parse_args().sides
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        measured([sys.executable, "-c", PACKAGE, str(folder / "package")])
        wanted = [(side, suffix) for suffix in FORMATS for side in sides if suffix != ".tif" or side < LARGEST_TIFF]
        measurements = [measure(folder, side, suffix) for side, suffix in wanted]
    print(report(measurements))


def measure(folder: Path, side: int, suffix: str) -> Measurement:
    """Restores a made image of side x side pixels in a process of its own."""
    image, result = folder / f"{side}{suffix}", folder / f"{side}-restored{suffix}"
    make_image(image, side)
    command = [sys.executable, "-c", "from relumen.cli import main; main()", "restore", str(image)]
    _, seconds, peak = measured([*command, "--model", str(folder / "package"), "-o", str(result)])
    for path in (image, result):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Measurement(suffix, side, peak, seconds)


def make_image(path: Path, side: int) -> None:
    """Writes a uint16 image of waves and noise, a band of rows at a time."""
    import numpy as np

    from relumen.image_writing import image_writer

    random = np.random.default_rng(0)
    waves = np.sin(np.arange(side) / 7)
    with image_writer(path, (side, side), "YX", np.uint16) as writer:
        for top in range(0, side, ROWS_AT_ONCE):
            rows = np.arange(top, min(top + ROWS_AT_ONCE, side))
            expected = 400 + 300 * np.sin(rows / 11)[:, None] * waves
            writer.write((), top, random.poisson(expected).astype(np.uint16))


def report(measurements: list[Measurement]) -> str:
    """The table with what it was measured on."""
    from relumen.device import total_memory, usable_cores

    lines = [
        "# Peak memory of `relumen restore`",
        "",
        "Made by `python benchmarks/restore_memory.py`: a 2x network of two layers, uint16 images, float32 results;",
        f"{usable_cores()} cores, {total_memory() / GIB:.1f} GiB memory. Pages of a mapped TIFF are counted.",
        "What is added grows with the width of the image: rows of tiles and of chunks. The seconds are of a machine",
        "that may have done other work beside.",
        "",
        "| format | image | image and result, GiB | peak memory, GiB | above the smallest, GiB | seconds |",
        "|---|---|---|---|---|---|",
    ]
    least = min(each.peak for each in measurements)
    lines += [
        f"| {FORMATS[each.suffix]} | {each.side} x {each.side} | {(2 * each.side**2 + each.made) / GIB:.3f} "
        f"| {each.peak / GIB:.2f} "
        f"| {(each.peak - least) / GIB:.2f} | {each.seconds:.0f} |"
        for each in measurements
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
