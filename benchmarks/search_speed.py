"""Shows what a step of the latent search costs, in CPU seconds and as a share of what the machine's cores can do.

Steps of RLS with a prior of the preset `auto128` (random weights: speed doesn't depend on them), of one image and of
four, and with the shipped prior-cells; between them products of matrices, whose rate is the machine's. Then a whole
search of one image with prior-cells. Medians over blocks, which take turns.

    python benchmarks/search_speed.py > benchmarks/search_speed.md
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from relumen.models.stylegan2 import Architecture
    from relumen.prior.folder import Prior

GOALS = {"auto128, batch 1": 0.60, "auto128, batch 4": 0.50}
_SIDE = 2048  # of the matrices
_FLOW = (5, 1024)  # blocks and hidden units


def main() -> None:
    """Measures, and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of a block")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        print(measured(Path(folder), given.blocks, given.steps))


def measured(folder: Path, blocks: int, steps: int) -> str:
    """The report."""
    import numpy as np

    from relumen.degrade import forward_operator
    from relumen.device import describe_device
    from relumen.prior.folder import Prior
    from relumen.search.config import load_search
    from relumen.search.loop import Searcher

    device = describe_device()
    priors = {"auto128": auto128(folder / "auto128"), "prior-cells": Prior.open(Path("prior-cells"))}
    operator = forward_operator(128, 16)
    searches: dict[str, tuple[Callable[[], Any], int, str]] = {}
    low = np.random.default_rng(0).uniform(0, 1, (4, 8, 8, 3)).astype(np.float32)
    for name, prior in priors.items():
        for batch in (1, 4):
            searcher = Searcher(prior, operator, load_search("rls", [f"iterations={steps}"]), batch=batch)
            began = time.perf_counter()
            searcher.warm_up()
            print(f"compiled {name}, batch {batch}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
            searches[f"{name}, batch {batch}"] = (lambda s=searcher, b=batch: s(low[:b]), batch, name)
    seconds: dict[str, list[float]] = {}
    rates: list[float] = []
    multiply = product()
    for _ in range(blocks):
        for name, (search, batch, _) in searches.items():
            seconds.setdefault(name, []).append(cpu_seconds(search) / steps / batch)
            rates.append(2 * _SIDE**3 / 1e9 / cpu_seconds(multiply))
    rate = statistics.median(rates)
    lines = [
        "# What a step of the latent search costs",
        "",
        f"Made by `python benchmarks/search_speed.py` (medians of {blocks} blocks of {steps} steps, RLS at 16x, 128",
        f"pixels): {device}.",
        "",
        f"In the same run, products of matrices came to {rate:.0f} GFLOP in a CPU second "
        f"(from {min(rates):.0f} to {max(rates):.0f}).",
        "",
        "| prior, images at once | CPU seconds an image and step (from, to) | goal | GFLOP | of the matrices' rate |",
        "|---|---|---|---|---|",
    ]
    for name, each in seconds.items():
        work = gigaflop(priors[searches[name][2]].generator.architecture)
        median = statistics.median(each)
        goal = f"{GOALS[name]:.2f}" if name in GOALS else ""
        lines.append(
            f"| {name} | {median:.3f} ({min(each):.3f}, {max(each):.3f}) | {goal} | {work:.1f} "
            f"| {100 * work / median / rate:.0f} % |"
        )
    searcher = Searcher(priors["prior-cells"], operator, load_search("rls"), batch=1)
    searcher.warm_up()
    whole = [(time.perf_counter(), searcher(low[:1]), time.perf_counter()) for _ in range(2)]
    took = min(after - before for before, _, after in whole)
    return "\n".join(
        [
            *lines,
            "",
            f"One image with prior-cells, 200 steps, once compiled: {took:.1f} s on the clock (goal: 15 s).",
            "",
            "GFLOP are those of the convolutions, forward and back to the styles, and of the flow.",
        ]
    )


def auto128(folder: Path) -> Prior:
    """A prior with the networks of the preset, untrained, with a flow."""
    from relumen.models.flow import MaskedAutoregressiveFlow
    from relumen.models.stylegan2 import Architecture, Generator, widths
    from relumen.prior.folder import AboutFlow, digest, write_imported
    from relumen.prior.variables import Imported

    generator = Generator(Architecture(widths(128, 16384, 512)))
    weights = {each.path.removeprefix("generator/"): each.numpy() for each in generator.weights}
    source = folder.with_suffix(".pkl")
    source.write_bytes(b"benchmark")
    prior = write_imported(
        Imported("none", generator.architecture, weights), source, folder, command="benchmark", stains=()
    )
    flow = MaskedAutoregressiveFlow(512, blocks=_FLOW[0], hidden=_FLOW[1], seed=0)
    flow.adapt(prior.style_vectors(2000, 0)[1])
    known: dict[str, Any] = {
        "samples": 2000,
        "fresh": True,
        "seed": 0,
        "epochs": 0,
        "log_likelihood": 0.0,
        "seconds": 0,
    }
    prior.write_flow(flow, AboutFlow(**known, generator=digest(prior.generator.mapping), command="benchmark"))
    return prior


def gigaflop(a: Architecture) -> float:
    """Of a step for an image: every convolution forward and back to its features, and the flow, likewise."""
    total, features = 0.0, a.widths[0]
    for size, width in zip(a.resolutions, a.widths, strict=True):
        if size > 4:
            total += (size / 2) ** 2 * features * width * 9
        total += size**2 * width * width * 9 + size**2 * width * a.channels
        features = width
    blocks, hidden = _FLOW
    total += a.style_inputs * blocks * (a.w_dim * hidden + hidden * 2 * a.w_dim)
    return total * 2 * 2 / 1e9


def product() -> Callable[[], Any]:
    """A product of two matrices in single precision, compiled as the search is."""
    import tensorflow as tf

    a, b = (tf.random.stateless_normal((_SIDE, _SIDE), (0, seed)) for seed in (1, 2))
    multiply = tf.function(tf.matmul, jit_compile=True)
    multiply(a, b)
    return lambda: multiply(a, b).numpy()


def cpu_seconds(trial: Callable[[], Any]) -> float:
    """What a trial costs, all cores together."""
    began = time.process_time()
    trial()
    return time.process_time() - began


if __name__ == "__main__":
    main()
