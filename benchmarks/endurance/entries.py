"""Where files of strangers enter relumen: all entries, with commands and the server among them."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import corpus
import damage_tiff
import numpy as np
from entries_configs import config, run_folder
from entries_images import image, ome_zarr, read_image, restore, training_data
from entries_networks import keras, keras_export, onnx, pickle, prior, saved_model
from entries_packages import package_zip, rdf, unpack, verify
from sandbox import FaultError, Give, Site


def command(draw: random.Random, site: Site) -> Give:
    """A command with one of all these: it ends with 0, 1 or 2, and no traceback."""
    from relumen.cli import main

    words, make = draw.choice(
        (
            (["restore", "{}", "-m", "esrgan-widefield", "-o", str(site.new("a.tif"))], image),
            (["data", "check", "{}"], _image_folder),
            (["data", "describe", "{}"], _image_folder),
            (["prior", "import", "{}", "-o", str(site.new("p"))], lambda d, s: _after(pickle, d, s, "*.p*")),
            (["restore", str(corpus.images(site.kept)), "-m", "{}", "-o", str(site.new("r"))],
             lambda d, s: _after(package_zip, d, s, "*.zip")),
            (["export", "{}", "-o", str(site.new("e"))], lambda d, s: _after(run_folder, d, s, "run")),
            (["train", "esrgan", "--resume", "{}"],  # which writes into it
             lambda d, s: shutil.move(_after(run_folder, d, s, "run"), s.new("run"))),
            (["search", "{}", "--prior", "prior-cells", "--factor", "16", "--set", "iterations=1",
              "-o", str(site.new("s"))], image),
        )
    )  # fmt: skip
    path = str(make(draw, site))

    def give() -> None:
        sys.argv = ["relumen", *(word.replace("{}", path) for word in words)]
        try:
            main()
        except SystemExit as end:
            if end.code not in (None, 0, 1, 2):
                raise FaultError(f"the command ended with {end.code!r}") from end

    return give


def _image_folder(draw: random.Random, site: Site) -> Path:
    image(draw, site)
    return site.watch.input


def _after(entry: Callable[[random.Random, Site], Give], draw: random.Random, site: Site, pattern: str) -> Path:
    entry(draw, site)
    return next(site.watch.input.glob(pattern))


# HTTP


def http(draw: random.Random, site: Site) -> Give:
    """A request to the server, by its ASGI interface."""
    return site.http.request(draw, lambda: _body(draw, site))


def connection(draw: random.Random, site: Site) -> Give:
    """Bytes that are no request, or half of one, over a socket."""
    return site.http.raw(draw, lambda: _body(draw, site))


def _body(draw: random.Random, site: Site) -> bytes:
    if draw.random() < 0.2:
        return draw.choice((b"", draw.randbytes(500), bytes(1 << 20), np.ones((3, 8, 8), "<f4").tobytes()))
    _, data = site.whole(draw, "*.tif")
    return damage_tiff.tiff(draw, data) if draw.random() < 0.9 else data


@dataclass(frozen=True)
class Entry:
    """Where a kind of input enters.

    Attributes:
        make: makes one, and gives what has relumen take it.
        share: of a thousand inputs.
    """

    make: Callable[[random.Random, Site], Give]
    share: int


ENTRIES = {
    "image": Entry(read_image, 250),
    "image that is restored": Entry(restore, 70),
    "OME-Zarr": Entry(ome_zarr, 50),
    "training images": Entry(training_data, 40),
    "zip": Entry(unpack, 90),
    "rdf.yaml": Entry(rdf, 110),
    "package as zip": Entry(package_zip, 40),
    "configuration": Entry(config, 80),
    "run folder": Entry(run_folder, 50),
    "pickle": Entry(pickle, 85),
    "prior's folder": Entry(prior, 15),
    "Keras file": Entry(keras, 30),
    "SavedModel": Entry(saved_model, 20),
    "ONNX": Entry(onnx, 20),
    "export --keras": Entry(keras_export, 20),
    "verify": Entry(verify, 15),
    "command line": Entry(command, 10),
    "HTTP request": Entry(http, 100),
    "HTTP connection": Entry(connection, 20),
}
"""All that were thought of."""
