"""How fast networks restore: networks beside each other, engines beside each other, the command beside its network.

Each figure is taken in a process of its own, whose peak resident memory is what the kernel counted for it. Bare
networks are run on arrays in memory, after one warm-up; the command's time is all that a user waits for, from
starting Python to the written file.

    python benchmarks/restore_speed.py > benchmarks/restore_speed.md
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

GIB = 1 << 30
MODEL = "esrgan-widefield"
ENGINES = {"TensorFlow": "tensorflow_saved_model_bundle", "ONNX Runtime": "onnx"}
NETWORKS = {  # blocks, width, growth
    "RRDB-23 (the paper's, preset w2s)": (23, 64, 32),
    "RRDB-4, 64 features": (4, 64, 32),
    "preset widefield (ships)": (4, 32, 16),
    "preset compact": (2, 32, 16),
}

NETWORK = """
import sys, time
import numpy as np, tensorflow as tf
from relumen.models import esrgan
blocks, width, growth, side, repeats = map(int, sys.argv[1:])
network = esrgan.generator(blocks, width, growth)
run = tf.function(lambda x: network(x, training=False), autograph=False)
image = tf.constant(np.random.default_rng(0).normal(size=(1, side, side, 1)), tf.float32)
run(image)
times = []
for _ in range(repeats):
    start = time.perf_counter()
    run(image).numpy()
    times.append(time.perf_counter() - start)
print(network.count_params(), sorted(times)[len(times) // 2])
"""
BARE = """
import sys, time
import numpy as np
from relumen.package import open_package
from relumen.runners import package_runner
from relumen.shipped import shipped_path
name, weights, side, part = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
image = np.random.default_rng(0).normal(size=(1, side, side, 1)).astype(np.float32)
with open_package(shipped_path(name)) as package:
    run = package_runner(package, weights)
    parts = [image[:, y : y + part, x : x + part] for y in range(0, side, part) for x in range(0, side, part)]
    run(parts[0])
    timed = parts[:4]
    start = time.perf_counter()
    for each in timed:
        run(each)
    print((time.perf_counter() - start) * len(parts) / len(timed))
"""


def main() -> None:
    """Measures, and prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 4096], help="image sides in pixels")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each network, of which the median counts")
    arguments = parser.parse_args()
    print("\n".join(machine()))
    print("\n".join(networks(arguments.repeats)))
    with tempfile.TemporaryDirectory() as scratch:
        print("\n".join(engines(Path(scratch), arguments.sides)))


def machine() -> list[str]:
    """What it is measured on."""
    from relumen.device import describe_device

    return [
        "# Speed of restoration",
        "",
        f"Made by `python benchmarks/restore_speed.py` on: {describe_device().removeprefix('Device: ')}.",
    ]


def networks(repeats: int) -> list[str]:
    """The untrained networks on one image; training changes no figure of it."""
    rows = []
    for name, size in NETWORKS.items():
        output, _, peak = measured([sys.executable, "-c", NETWORK, *map(str, size), "512", str(repeats)])
        parameters, seconds = output.split()
        rows.append((name, int(parameters), float(seconds), peak))
    slowest = rows[0][2]
    return [
        "",
        "## Networks: 512 x 512 to 1024 x 1024, bare, TensorFlow",
        "",
        "| network | parameters | seconds | times as fast as the first | peak memory, GiB |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {parameters / 1e6:.2f} M | {seconds:.2f} | {slowest / seconds:.1f} | {peak / GIB:.2f} |"
            for name, parameters, seconds, peak in rows
        ),
    ]


def engines(scratch: Path, sides: list[int]) -> list[str]:
    """The shipped package by both engines: its bare network, and the whole command."""
    relumen = str(Path(sys.executable).with_name("relumen"))
    lines = [
        "",
        f"## Engines and the whole command: `relumen restore --model {MODEL}`",
        "",
        "The bare network takes whole images up to 1024 x 1024, larger ones in parts of 1024 x 1024 without overlap "
        "(four are timed, and counted for all), already in memory. The command also starts Python, loads the package, "
        "reads a uint16 TIFF, cuts overlapping tiles and writes a float32 TIFF.",
        "",
        "| image | engine | bare network, s | whole command, s | peak memory of the command, GiB |",
        "|---|---|---|---|---|",
    ]
    for side in sides:
        image = scratch / f"{side}.tif"
        make_image(image, side)
        for engine, weights in ENGINES.items():
            bare, _, _ = measured([sys.executable, "-c", BARE, MODEL, weights, str(side), str(min(side, 1024))])
            result = scratch / "restored.tif"
            _, seconds, peak = measured(
                [relumen, "restore", str(image), "--model", MODEL, "--weights", weights, "-o", str(result)]
            )
            result.unlink()
            lines.append(f"| {side} x {side} | {engine} | {float(bare):.1f} | {seconds:.1f} | {peak / GIB:.2f} |")
    return lines


def measured(command: list[str]) -> tuple[str, float, int]:
    """Runs a command; gives its output, its seconds, and its peak resident bytes."""
    start = time.monotonic()
    # This process stays small: the kernel counts a child's peak from before it becomes another program.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:3])[:200]} failed with exit code {process.returncode}.")
    return output, time.monotonic() - start, usage.ru_maxrss * 1024


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
