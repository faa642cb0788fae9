"""Images and training data of strangers: how they are damaged, and how relumen takes them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import corpus
import damage
import damage_arrays
import damage_tiff
import damage_zip
import numpy as np
import payloads_pickle
from damage_values import changed_json
from sandbox import Give, Site
from whole_files import stock

_KINDS = (
    *(("tif", damage_tiff.tiff),) * 5,
    *(("png", damage_arrays.png),) * 2,
    *(("npy", damage_arrays.npy),) * 2,
)


def image(draw: random.Random, site: Site) -> Path:
    """An image that is damaged, in the current folder."""
    suffix, change = draw.choice(_KINDS)
    name, data = site.whole(draw, f"*.{suffix}")
    data = payloads_pickle.object_array(draw) if suffix == "npy" and draw.random() < 0.1 else change(draw, data)
    return site.write(draw.choice((name, name, name, f"a.{draw.choice(('tif', 'tiff', 'png', 'npy', 'TIF'))}")), data)


def read_image(draw: random.Random, site: Site) -> Give:
    """An image, read and looked at."""
    from relumen.images import read_image

    path = image(draw, site)
    axes = draw.choice((None,) * 8 + ("YX", "ZYX", "CYX", "TZCYX", "XY", "", "YYX", "\0"))

    def give() -> None:
        image = read_image(path, axes)
        image.describe()
        np.asarray(image.plane({axis: 0 for axis in image.axes if axis in "TZ"}, 0)).sum()

    return give


def restore(draw: random.Random, site: Site) -> Give:
    """An image that is restored, by a network that repeats each pixel."""
    from relumen.restore import Restorer, restore_file

    path = image(draw, site)
    channels = draw.choice((1, 1, 1, 3))
    model = Restorer(
        name="repeating",
        run=lambda tiles: tiles.repeat(2, 1).repeat(2, 2),
        scale=2,
        channels=channels,
        tile=(32, 32),
        any_size=draw.random() < 0.5,
        halo=draw.choice((0, 4)),
        pixel_size_um=0.1,
    )
    target = site.new(draw.choice(("a.tif", "a.tif", "a.npy", "a.png", "a.ome.zarr")))
    output = draw.choice(("float32", "input"))

    return lambda: restore_file(path, model, target, output=output, say=lambda text: None)  # type: ignore[arg-type]


_ZARR = (".zattrs", ".zarray", ".zgroup", "zarr.json")


def ome_zarr(draw: random.Random, site: Site) -> Give:
    """An OME-Zarr with damaged or missing metadata or chunks.

    Links are none of the damage: no archive that relumen unpacks can bring them, and those of the user are followed.
    """
    from relumen.images import read_image

    source = draw.choice(sorted(stock(site.kept).glob("*.zarr")))
    folder = site.copy(source, source.name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for _ in range(draw.choice((1, 1, 2))):
        path = draw.choice(files)
        if path.name in _ZARR and draw.random() < 0.7:
            whole = source / path.relative_to(folder)
            path.write_bytes(changed_json(draw, json.loads(whole.read_text())))
        elif draw.random() < 0.1:
            path.unlink(missing_ok=True)
        elif path.exists():
            path.write_bytes(damage.any_bytes(draw, path.read_bytes()))

    def give() -> None:
        image = read_image(folder)
        np.asarray(image.plane({axis: 0 for axis in image.axes if axis in "TZ"}, 0)).sum()

    return give


def training_data(draw: random.Random, site: Site) -> Give:
    """A folder to train on, with an image or patches that are damaged."""
    from relumen.training.config import read_data_config
    from relumen.training.data import load_data

    folder = site.copy(corpus.images(site.kept), "images")
    if draw.random() < 0.4:
        _, data = site.whole(draw, "care.npz")
        folder = site.write("care.npz", damage_zip.zipped(draw, data))
    else:
        image(draw, site).rename(folder / draw.choice(("b.tif", "d.png", "e.npy", "validation/c.tif")))
    values = {"folder": str(folder), "degradation": {} if folder.is_dir() else None}

    return lambda: load_data(read_data_config(values), 2)
