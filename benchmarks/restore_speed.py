"""How fast images are restored: by network, by engine, beside other software, and as a command from start to file.

Each figure is taken in a process of its own, whose peak resident memory is what the kernel counted for it. Right after
the work the same process multiplies matrices: what the machine gives in that moment stands beside each figure, and
the share of it that a network reaches tells more of the software than seconds do.

    python benchmarks/restore_speed.py > benchmarks/restore_speed.md
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import GIB, convolution_work, matmul_rate, measured, timed

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

MODEL = "esrgan-widefield"
NETWORKS = {  # blocks, width, growth
    "RRDB-23 (the paper's, preset w2s)": (23, 64, 32),
    "preset widefield (ships)": (4, 32, 16),
    "preset compact": (2, 32, 16),
}
SHIPPED = ("cgan-fluorescence", "cascade-phase-2x", "cascade-phase-4x", "cascade-phase-8x")
ENGINES = {"TensorFlow": "tensorflow_saved_model_bundle", "ONNX Runtime": "onnx"}
PEERS = (
    "relumen's SavedModel in TensorFlow",
    "relumen's ONNX in ONNX Runtime",
    "Keras's own export() in TensorFlow",
    "Keras's predict()",
)
WHOLE = (
    "relumen, SavedModel",
    "relumen, ONNX",
    "bioimageio.core's predict, SavedModel",
    "bioimageio.core's predict, ONNX",
)
CARE = ("CSBDeep's predict, 8 x 8 tiles", "relumen's tiles, the same network and overlap")


def main() -> None:
    """Measures, and prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES), help="only these")
    parser.add_argument("--side", type=int, default=2048, help="of the image of the tiled tables, pixels")
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 2048], help="of the command's images, pixels")
    parser.add_argument("--repeats", type=int, default=3, help="of which the median counts")
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        kind, name, side = given.job
        print(json.dumps(JOBS[kind](name, int(side), given.repeats)))
        return
    print("\n".join(head()), flush=True)
    for table in given.tables:
        print("\n".join(TABLES[table](given)), flush=True)


def job(kind: str, name: str, side: int, repeats: int) -> dict[str, float]:
    """What a job gave, in a process of its own, with its peak memory."""
    command = [sys.executable, __file__, "--repeats", str(repeats), "--job", kind, name, str(side)]
    output, _, peak = measured(command)
    return json.loads(output.splitlines()[-1]) | {"peak": peak / GIB}


def head() -> list[str]:
    """What it is measured on."""
    from relumen.device import describe_device

    return [
        "# Speed of restoration",
        "",
        f"Made by `python benchmarks/restore_speed.py` on: {describe_device().removeprefix('Device: ')}.",
        "",
        "Matrices: GFLOP a second of float32 matrix products by TensorFlow in the same process, right after.",
    ]


def networks(repeats: int) -> list[str]:
    """Networks on one image; training changes no figure of it."""
    lines = [
        "",
        "## Networks: one image in memory, bare, TensorFlow",
        "",
        "| network | image | parameters | GFLOP | seconds | Mpixel/s out | GFLOP/s | matrices | share | peak, GiB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    sides = {**dict.fromkeys((*NETWORKS, *SHIPPED), 512), "cascade-phase-4x": 256, "cascade-phase-8x": 128}
    for name, side in sides.items():
        found = job("network", name, side, 1 if name.startswith("RRDB-23") else repeats)
        speed = found["work"] / found["seconds"]
        lines.append(
            f"| {name} | {side} x {side} | {found['parameters'] / 1e6:.2f} M | {found['work']:.0f} "
            f"| {found['seconds']:.2f} | {found['pixels'] / 1e6 / found['seconds']:.2f} | {speed:.0f} "
            f"| {found['rate']:.0f} | {speed / found['rate']:.0%} | {found['peak']:.2f} |"
        )
    return lines


def peers(repeats: int) -> list[str]:
    """One network by each way that runs it here."""
    lines = [
        "",
        f"## One network, {MODEL}, run by each: 512 x 512 to 1024 x 1024, in memory",
        "",
        "| run by | seconds | matrices | peak memory, GiB |",
        "|---|---|---|---|",
    ]
    for name in PEERS:
        found = job("peer", name, 512, repeats)
        lines.append(f"| {name} | {found['seconds']:.2f} | {found['rate']:.0f} | {found['peak']:.2f} |")
    return lines


def whole(side: int) -> list[str]:
    """An image that is cut into tiles, by each software that does so."""
    lines = ["", f"## A whole image of {side} x {side}, tiled, in memory"]
    for title, names in ((MODEL, WHOLE), ("CARE's U-Net (csbdeep's, random weights)", CARE)):
        lines += ["", f"{title}:", "", "| restored by | seconds | matrices | peak memory, GiB |", "|---|---|---|---|"]
        for name in names:
            found = job("whole", name, side, 1)
            lines.append(f"| {name} | {found['seconds']:.1f} | {found['rate']:.0f} | {found['peak']:.2f} |")
    return lines


def commands(sides: list[int]) -> list[str]:
    """The whole command by both engines: all that a user waits for, from starting Python to the written file."""
    relumen = str(Path(sys.executable).with_name("relumen"))
    lines = [
        "",
        f"## The whole command: `relumen restore --model {MODEL}`",
        "",
        "It starts Python, loads the package, reads a uint16 TIFF, cuts overlapping tiles and writes a float32 TIFF.",
        "Matrices: as of a process that does nothing else, before each.",
        "",
        "| image | engine | seconds | matrices | peak memory, GiB |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for side in sides:
            image, result = Path(scratch) / f"{side}.tif", Path(scratch) / "restored.tif"
            make_image(image, side)
            for engine, weights in ENGINES.items():
                rate = job("matrices", "", 0, 1)["rate"]
                command = [relumen, "restore", str(image), "--model", MODEL, "--weights", weights, "-o", str(result)]
                _, seconds, peak = measured(command)
                result.unlink()
                lines.append(f"| {side} x {side} | {engine} | {seconds:.1f} | {rate:.0f} | {peak / GIB:.2f} |")
    return lines


TABLES: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "networks": lambda given: networks(given.repeats),
    "peers": lambda given: peers(given.repeats),
    "whole": lambda given: whole(given.side),
    "commands": lambda given: commands(given.sides),
}


def network_job(name: str, side: int, repeats: int) -> dict[str, float]:
    """A network on a whole image: TensorFlow's compiled function of it, without tiles."""
    import numpy as np
    import tensorflow as tf

    network = _network(name)
    run = tf.function(lambda x: network(x, training=False), autograph=False)
    image = tf.constant(_noise(side))
    answer: Any = run(image)
    return {
        "seconds": timed(lambda: run(image).numpy(), repeats),
        "rate": matmul_rate(),
        "parameters": network.count_params(),
        "work": convolution_work(network, image.shape),
        "pixels": int(np.prod(answer.shape[1:3])),
    }


def peer_job(name: str, side: int, repeats: int) -> dict[str, float]:
    """One network on a whole image by one way."""
    run, image = _peer(name), _noise(side)
    return {"seconds": timed(lambda: run(image), repeats), "rate": matmul_rate()}


def whole_job(name: str, side: int, repeats: int) -> dict[str, float]:
    """A whole image by one software, once after a smaller one that isn't counted."""
    restore = _software(name)
    restore(_noise(512)[0])
    image = _noise(side)[0]
    began = time.perf_counter()
    restore(image)
    return {"seconds": time.perf_counter() - began, "rate": matmul_rate()}


def matrices_job(name: str, side: int, repeats: int) -> dict[str, float]:
    """The machine's rate alone."""
    return {"rate": matmul_rate()}


JOBS: dict[str, Callable[[str, int, int], dict[str, float]]] = {
    "network": network_job,
    "peer": peer_job,
    "whole": whole_job,
    "matrices": matrices_job,
}


def _network(name: str) -> keras.Model:
    from relumen.models import esrgan

    return esrgan.generator(*NETWORKS[name]) if name in NETWORKS else _shipped_network(name)


def _shipped_network(name: str) -> keras.Model:
    import keras

    from relumen.shipped import shipped_path

    network: Any = keras.models.load_model(shipped_path(name) / "model.keras")
    return network


def _peer(name: str) -> Callable[[NDArray], Any]:
    """What takes a batch of images."""
    import tensorflow as tf

    from relumen.package import open_package
    from relumen.runners import package_runner
    from relumen.shipped import shipped_path

    if name.startswith("relumen"):
        with open_package(shipped_path(MODEL)) as package:
            return package_runner(package, ENGINES["ONNX Runtime" if "ONNX" in name else "TensorFlow"])
    network = _shipped_network(MODEL)
    if "predict" in name:
        return lambda image: network.predict(image, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        network.export(folder, verbose=False)
        serve: Any = tf.saved_model.load(folder)
    return lambda image: serve.serve(image).numpy()


def _software(name: str) -> Callable[[NDArray], Any]:
    """What takes an image (y, x, 1) of any size."""
    from relumen.restore import open_model, restore_plane

    if name in CARE:
        return _care(name)
    weights = ENGINES["ONNX Runtime" if "ONNX" in name else "TensorFlow"]
    if name.startswith("relumen"):
        model = open_model(Path(MODEL), weights=weights)
        restorer = model.__enter__()
        return lambda image: restore_plane(image, restorer)
    return _bioimageio(weights)


def _bioimageio(weights: str) -> Callable[[NDArray], Any]:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import bioimageio.core
    import bioimageio.spec

    from relumen.shipped import shipped_path

    described: Any = bioimageio.spec.load_model_description(shipped_path(MODEL) / "rdf.yaml", perform_io_checks=False)
    pipeline: Any = bioimageio.core.create_prediction_pipeline(described, weight_format=weights, devices=["cpu"])  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # where it would leave the SavedModel
        pipeline.load()

    def restore(image: NDArray) -> Any:  # noqa: ANN401
        return bioimageio.core.predict(model=pipeline, inputs=image[None], blocksize_parameter=1)

    return restore


def _care(name: str) -> Callable[[NDArray], Any]:
    from csbdeep.models import CARE as Model
    from csbdeep.models import Config

    nowhere: Any = None
    care = Model(Config("YX", 1, 1), nowhere, basedir=nowhere)
    if name.startswith("CSBDeep"):
        return lambda image: care.predict(image[..., 0], "YX", n_tiles=(8, 8))
    import tensorflow as tf

    from relumen.restore import Restorer, restore_plane

    network: Any = care.keras_model
    run = tf.function(lambda x: network(x, training=False), autograph=False)
    halo = -(-max(care._axes_tile_overlap("YX")) // 4) * 4  # tiles begin at multiples of what the network divides
    restorer = Restorer.of_network("CARE", lambda x: run(x).numpy(), halo=halo, multiple=4)
    return lambda image: restore_plane(image, restorer)


def _noise(side: int) -> NDArray:
    import numpy as np

    return np.random.default_rng(0).normal(size=(1, side, side, 1)).astype(np.float32)


def make_image(path: Path, side: int) -> None:
    """Writes a uint16 TIFF: a shipped field, mirrored onward, with photon noise."""
    import numpy as np
    import tifffile

    from relumen.data import image_path
    from relumen.images import read_image

    field = np.asarray(read_image(image_path("kc167/01_POS218_F.tif")).pixels, np.float64)
    again = [-(-side // size) for size in field.shape]
    whole = np.pad(field, [(0, (n - 1) * size) for n, size in zip(again, field.shape, strict=True)], mode="symmetric")
    tifffile.imwrite(path, np.random.default_rng(0).poisson(whole[:side, :side]).astype(np.uint16))


if __name__ == "__main__":
    main()
