"""Small whole files of each format, by which the damage begins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import payloads_graphs

_BIG_INFO = "Info of a user\n" * 20


def base_files(folder: Path) -> None:
    """Small whole files of each format, by which the damage begins."""
    import tifffile
    from PIL import Image as Picture

    cells = corpus.cells()[300:332, 300:340]
    stack = np.stack([cells, cells[::-1], cells[:, ::-1]])
    how: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "imagej": (stack.astype(np.uint16), {"imagej": True, "resolution": (2, 2), "metadata": {
            "axes": "ZYX", "unit": "um", "spacing": 0.5, "Info": _BIG_INFO, "Labels": ["a", "b", "c"],
            "Ranges": (0.0, 255.0)}}),
        "ome": (stack, {"ome": True, "metadata": {"axes": "CYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}}),
        "plain": (cells, {"resolution": (300, 300), "resolutionunit": 3}),
        "float": (cells.astype(np.float32), {}),
        "rgb": (np.moveaxis(stack, 0, -1), {"photometric": "rgb"}),
        "tiled": (np.tile(cells, (2, 2)), {"tile": (16, 16), "compression": "zlib"}),
        "big": (stack, {"bigtiff": True, "metadata": {"axes": "TYX"}}),
        "motorola": (stack, {"byteorder": ">"}),
        "bits": (cells > 40, {}),
        **{
            name: (cells, {"compression": name, "rowsperstrip": 8})
            for name in ("lzw", "packbits", "zlib", "zstd", "lzma")
        },
        "predicted": (cells, {"compression": "zlib", "predictor": True}),
    }  # fmt: skip
    for name, (pixels, options) in how.items():
        tifffile.imwrite(folder / f"{name}.tif", pixels, **options)
    with tifffile.TiffWriter(folder / "pyramid.tif") as writer:
        writer.write(np.tile(cells, (2, 2)), subifds=1, tile=(16, 16))
        writer.write(cells[:16, :16], subfiletype=1, tile=(16, 16))
    for name, pixels, options in (
        ("grey", cells, {}),
        ("deep", cells.astype(np.uint16) * 200, {}),
        ("rgba", np.dstack([*stack, cells]), {}),
        ("palette", cells, {"bits": 4}),
    ):
        picture = Picture.fromarray(pixels)
        (picture.quantize(16) if name == "palette" else picture).save(folder / f"{name}.png", **options)
    for name, array in (
        ("f4", cells.astype("<f4")),
        ("u2", stack.astype(">u2")),
        ("fortran", np.asfortranarray(cells)),
    ):
        np.save(folder / f"{name}.npy", array)
    np.savez(folder / "care.npz", X=stack[None, :1].astype("f4"), Y=stack[None, :1].astype("f4"), axes="SCYX")
    _checkpoints(folder)
    _secrets(folder / "secrets", cells)
    (folder / "evil").mkdir()
    payloads_graphs.saved_models(folder / "evil")
    from relumen.image_writing import image_writer

    for version in ("0.4", "0.5"):
        with image_writer(folder / f"v{version}.ome.zarr", stack.shape, "ZYX", np.uint8, ome_zarr=version) as writer:
            for plane in range(len(stack)):
                writer.write((plane,), 0, stack[plane])


def _secrets(folder: Path, pixels: np.ndarray) -> None:
    """What hostile inputs try to read: files that can be read as what they ask for."""
    import h5py
    import tifffile

    folder.mkdir()
    (folder / "secret.txt").write_text("secret " * 100)
    tifffile.imwrite(folder / "secret.tif", pixels[:8, :8])
    with h5py.File(folder / "secret.h5", "w") as file:
        file["x"] = pixels
    (folder / "saved_model.pb").write_bytes(b"")


def _checkpoints(folder: Path) -> None:
    """Checkpoints of others' generators, of random numbers, as the tests write them."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "prior"))
    import layouts

    drawn = np.random.default_rng(0)
    network = layouts.pytorch_network(layouts.pytorch_state(drawn))
    found = {
        "pytorch.pkl": layouts.dumped({"G": network, "D": None, "G_ema": network}),
        "tensorflow.pkl": layouts.dumped(layouts.tensorflow_networks(layouts.tensorflow_variables(drawn))),
    }
    state = {"g_ema": layouts.rosinality_tensors(layouts.rosinality_state(drawn))}
    found |= {"new.pt": layouts.saved(state), "old.pt": layouts.saved_old(state)}
    for name, data in found.items():
        (folder / name).write_bytes(data)


def stock(kept: Path) -> Path:
    """The whole files."""
    return corpus.once(kept / "files", base_files)
