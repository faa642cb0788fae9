"""Shows how much of a training step goes into making its batch: patches, noise, augmentation, all on the CPU.

Blocks of steps with the real batches, prepared ahead as the training loop does, take turns with blocks on one
batch that is used again and again; the overhead is the median over these pairs. The presets are trained on the
shipped images: compact, in 32 and in 16 bits, with inputs made for each patch; w2s (phase 1, on the pixel loss)
on pairs in W2S's layout.

    python benchmarks/training_pipeline.py > benchmarks/training_pipeline.md
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from relumen.training.esrgan import ESRGAN
    from relumen.training.loop import Batch

WARM_UP = 1
TRIALS = {
    "compact": ("compact", ()),
    "compact, mixed_bfloat16": ("compact", ("precision=mixed_bfloat16",)),
    "w2s": ("w2s", ("features=none", "phase_2=null")),
}
"""Name -> preset and overrides."""


@dataclass(frozen=True)
class Measurement:
    """One trial: steps of a block, patches a step, milliseconds to make a batch, seconds a step by pairs of blocks."""

    name: str
    steps: int
    batch: int
    making: float
    reused: list[float]
    piped: list[float]

    @property
    def overheads(self) -> list[float]:
        """Share of a step, per cent, by pairs."""
        return [100 * (piped / reused - 1) for piped, reused in zip(self.piped, self.reused, strict=True)]


def main() -> None:
    """Measures, and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    two = {"type": int, "nargs": 2, "metavar": ("STEPS", "PAIRS")}
    parser.add_argument("--compact", **two, default=[50, 9], help="steps of a block, pairs of blocks")
    parser.add_argument("--w2s", **two, default=[2, 3], help="the same for w2s; 0 0 leaves it out")
    counts = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as scratch:
        measurements = [
            measure(name, Path(scratch), *counts[preset]) for name, (preset, _) in TRIALS.items() if counts[preset][1]
        ]
    print(report(measurements))


def measure(name: str, scratch: Path, steps: int, pairs: int) -> Measurement:
    """Trains a preset for a while."""
    preset, overrides = TRIALS[name]
    from relumen.data import copy_images
    from relumen.training.config import ESRGANConfig, load_config
    from relumen.training.data import load_data
    from relumen.training.esrgan import ESRGAN
    from relumen.training.replicas import Replicas

    folder = scratch / preset
    if preset == "w2s":
        write_w2s(folder)
        config = load_config("esrgan", preset, overrides, **{"data.folder": folder})
    else:
        copy_images(folder)  # finds them there the second time
        config = load_config("esrgan", preset, overrides, **{"data.folder": folder, "data.degradation": {}})
    assert isinstance(config, ESRGANConfig)
    data = load_data(config.data, config.scale)
    system = ESRGAN(config, data, Replicas(config.devices), command="benchmark", machine="benchmark")
    making = time_of_batches(system)
    same = system.batch(0)
    system.train_step(0, same)  # builds the graph
    seconds: dict[str, list[float]] = {"reused": [], "piped": []}
    step = 0
    for pair in range(pairs):
        for kind in ("reused", "piped") if pair % 2 else ("piped", "reused"):
            batches = piped(system, step, steps) if kind == "piped" else iter([same] * (steps + WARM_UP))
            seconds[kind].append(time_of_steps(system, batches))
            step += steps + WARM_UP
        print(f"{name}: {pair + 1} of {pairs}", file=sys.stderr)
    return Measurement(name, steps, config.batch, making, seconds["reused"], seconds["piped"])


def write_w2s(folder: Path) -> None:
    """Shipped images of 1024 x 1024 and their degraded partners, laid out as W2S is."""
    import imageio.v3 as iio
    import numpy as np

    from relumen.data import image_path, records
    from relumen.degrade import clean
    from relumen.images import read_image

    large = [name for name in records() if name.startswith(("widefield", "translocation"))]
    for number, name in enumerate(large):
        part = folder / ("test" if number == 0 else "train")
        high = np.asarray(read_image(image_path(name)).pixels)[:1024, :1024]
        low = clean(high, 1.0, 2).noisy(100.0, 2.0, np.random.default_rng(number))
        for subfolder, pixels in (("avg1", low), ("sim", high)):
            (part / subfolder).mkdir(parents=True, exist_ok=True)
            iio.imwrite(part / subfolder / f"{number + 1:03d}_0.png", np.clip(pixels, 0, 255).astype(np.uint8))


def piped(system: ESRGAN, start: int, steps: int) -> Iterator[Batch]:
    """Real batches, prepared ahead by the training loop's own thread."""
    from relumen.training.loop import _prefetched  # the very thing that is measured

    return (batch for _, batch in islice(_prefetched(system, start), steps + WARM_UP))


def time_of_steps(system: ESRGAN, batches: Iterator[Batch]) -> float:
    """Seconds a step, after the warm-up."""
    ends = []
    for batch in batches:
        losses = system.train_step(0, batch)
        [value.numpy() for value in losses.values()]  # waits for a device that computes on its own
        ends.append(time.perf_counter())
    return (ends[-1] - ends[WARM_UP - 1]) / (len(ends) - WARM_UP)


def time_of_batches(system: ESRGAN, count: int = 50) -> float:
    """Milliseconds to make a batch where nothing else runs, the median."""
    seconds = []
    for step in range(count):
        began = time.perf_counter()
        system.batch(step)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def report(measurements: list[Measurement]) -> str:
    """The table with what it was measured on."""
    from relumen.device import describe_device

    counts = " and ".join(f"{len(each.piped)} of {each.steps} steps of {each.name}" for each in measurements)
    lines = [
        "# What the data pipeline adds to a training step",
        "",
        f"Made by `python benchmarks/training_pipeline.py`: pairs of blocks, {counts}, of which one has",
        "real batches and one a single batch that is used again and again, in turns; medians.",
        f"{describe_device()}.",
        "",
        "| preset | one batch, steps/s | real ones, steps/s | patches/s | overhead, % (from, to) | a batch alone, ms |",
        "|---|---|---|---|---|---|",
    ]
    for each in measurements:
        reused, real = (1 / statistics.median(seconds) for seconds in (each.reused, each.piped))
        lines.append(
            f"| {each.name} | {reused:.3g} | {real:.3g} | {each.batch * real:.3g} "
            f"| {statistics.median(each.overheads):.1f} ({min(each.overheads):.1f}, {max(each.overheads):.1f}) "
            f"| {each.making:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
