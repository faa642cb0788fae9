"""Small real files that the scripts beside this one damage, train on and serve: made once, and kept in a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

TRAINING = (
    "generator={blocks: 1, width: 8, growth: 4}",
    "discriminator={width: 4, dense: 8}",
    "data.patch=16",
    "batch=2",
    "log_every=1",
)
"""Changes to ESRGAN's compact preset that make it train in seconds."""


def once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that is made whole where it isn't there yet."""
    if not folder.exists():
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        make(partial)
        partial.rename(folder)
    return folder


def cells() -> np.ndarray:
    """A real 8-bit field with cells all over, (1006, 1000)."""
    from relumen.data import image_path
    from relumen.images import read_image

    return np.array(read_image(image_path("kc167/01_POS218_F.tif")).pixels)


def images(corpus: Path) -> Path:
    """Three images of 160 x 160 pixels, one of them held out."""

    def make(folder: Path) -> None:
        import tifffile

        (folder / "validation").mkdir()
        places = {"a.tif": (300, 300), "b.tif": (500, 300), "validation/c.tif": (300, 560)}
        for name, (y, x) in places.items():
            tifffile.imwrite(folder / name, cells()[y : y + 160, x : x + 160])

    return once(corpus / "images", make)


def run(corpus: Path) -> Path:
    """An ESRGAN that was trained for ten steps."""

    def make(folder: Path) -> None:
        from relumen.training import start

        overrides = [*TRAINING, "phase_1.steps=6", "phase_2.steps=4", "check_every=5"]
        prepared = start.prepare(
            folder / "tiny", preset="compact", data=images(corpus), degrade=True, overrides=overrides
        )
        start.go(prepared, command="relumen train esrgan", machine="any", say=lambda text: None)

    return once(corpus / "run", make) / "tiny"


def package(corpus: Path) -> Path:
    """The package of it."""

    def make(folder: Path) -> None:
        from relumen.export.from_run import Credits, export_run

        people = Credits(("A. Biologist",), "abiologist", "a@example.org", "https://example.org/images")
        export_run(run(corpus), folder / "tiny", credits=people)

    return once(corpus / "package", make) / "tiny"


def prior(corpus: Path) -> Path:
    """A prior of untrained weights with its flow: images of 8 x 8 with two channels, style vectors of length 6."""

    def make(folder: Path) -> None:
        import keras

        from relumen.models.flow import MaskedAutoregressiveFlow
        from relumen.models.stylegan2 import Architecture, Generator
        from relumen.prior.folder import AboutFlow, digest, write_imported
        from relumen.prior.variables import Imported

        keras.utils.set_random_seed(0)
        generator = Generator(Architecture((8, 8), channels=2, z_dim=6, w_dim=6))
        weights = {each.path.removeprefix("generator/"): each.numpy() for each in generator.weights}
        source = folder / "checkpoint.pkl"
        source.write_bytes(b"any")
        imported = Imported("a layout", generator.architecture, weights)
        made = write_imported(
            imported, source, folder / "tiny-prior", command="relumen prior import", stains=("DNA", "NF-kB")
        )
        flow = MaskedAutoregressiveFlow(6, blocks=1, hidden=12, seed=0)
        flow.adapt(made.style_vectors(500, 9)[1])
        about = AboutFlow(
            samples=500,
            fresh=True,
            seed=9,
            generator=digest(made.generator.mapping),
            epochs=0,
            log_likelihood=-7.5,
            command="relumen train flow",
            seconds=60.0,
        )
        made.write_flow(flow, about)

    return once(corpus / "prior", make) / "tiny-prior"
