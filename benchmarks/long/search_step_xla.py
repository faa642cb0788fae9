"""Times the search's compiled step where TensorFlow can't be had: on a machine with JAX alone, such as one with a GPU.

TensorFlow hands out the step that it would compile as StableHLO; JAX compiles and runs the same on its own XLA. Beside
its time it is looked at whether the step gives the same bits twice, and whether a search's bits depend on what is
searched beside it. What TensorFlow needs between two steps is not in these times.

    python benchmarks/long/search_step_xla.py export steps   # with relumen
    python search_step_xla.py time steps                         # with JAX; prints Markdown
"""

from __future__ import annotations

import argparse
import gzip
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FACTOR = 16
SECONDS = 2.0  # of each
TELLING = (2, 6, 12)
"""Batches by which alone nothing else has as many rows (3 channels, 8 pixels), which would be changed with them."""
WIDE = (512, 512, 512, 512, 256, 128)
"""Feature maps of StyleGAN2-ADA's automatic settings at 128 pixels."""


def main() -> None:
    """Exports steps, or times those that were exported."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("export", "time"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batches", default="1,2,6,8,12,64")
    options = parser.parse_args()
    if options.what == "time":
        time_all(options.folder)
        return
    for batch in map(int, options.batches.split(",")):
        export("prior-cells", batch, options.folder)
        export("wide", batch, options.folder)


def export(name: str, batch: int, folder: Path) -> None:
    """Writes the step of a prior for a batch of searches; the wide one has random weights."""
    import tensorflow as tf

    from relumen.degrade import forward_operator
    from relumen.search.config import load_search
    from relumen.search.loop import Searcher
    from relumen.search.priors import Priors
    from relumen.search.states import Search

    prior: Any = Priors().open("prior-cells") if name == "prior-cells" else _wide(folder)
    a, config = prior.generator.architecture, load_search()
    operator = forward_operator(a.size, FACTOR)
    searcher = Searcher(prior, operator, config, batch=batch)
    low = np.zeros((operator.low_size, operator.low_size, a.channels), np.float32)
    searcher._begin([Search(low, (i, 0)) for i in range(batch)], config)
    weights = list(config.weights.values())
    told = (np.stack([low] * batch), np.ones(a.channels), operator.rows, operator.columns, operator.gain, weights)
    text = searcher._step.experimental_get_compiler_ir(*(tf.constant(each, tf.float32) for each in told))("stablehlo")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}-{batch:02}.gz").write_bytes(gzip.compress(text.encode()))
    print(f"{name}, batch {batch}: written")


@cache
def _wide(folder: Path) -> Any:  # noqa: ANN401
    from relumen.models.flow import MaskedAutoregressiveFlow
    from relumen.models.stylegan2 import Architecture, Generator
    from relumen.prior.folder import AboutFlow, digest, write_imported
    from relumen.prior.variables import Imported

    generator = Generator(Architecture(WIDE, channels=3))
    weights = {each.path.removeprefix("generator/"): each.numpy() for each in generator.weights}
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "none"
    source.write_bytes(b"")
    imported = Imported("random", generator.architecture, weights)
    prior = write_imported(imported, source, folder / "wide", command="none", stains=("actin", "tubulin", "DNA"))
    flow = MaskedAutoregressiveFlow(generator.architecture.w_dim, seed=0)
    flow.adapt(prior.style_vectors(500, 0)[1])
    mapping = digest(prior.generator.mapping)
    about = {"samples": 500, "fresh": True, "seed": 0, "generator": mapping, "epochs": 0, "log_likelihood": 0.0}
    prior.write_flow(flow, AboutFlow(**about, command="none", seconds=0.0))
    return prior


def time_all(folder: Path) -> None:
    """Prints a table of all steps of a folder."""
    import jax

    jax.config.update("jax_enable_x64", True)  # the optimiser counts in 64 bits
    print(f"Device: {jax.devices()[0].device_kind}, JAX {jax.__version__}.\n")
    print("| prior | searches at once | compile, s | step, ms | step a search, ms | same bits twice | alone alike |")
    print("|---|---|---|---|---|---|---|")
    for path in sorted(folder.glob("*.gz")):
        name, _, batch = path.stem.rpartition("-")
        print(f"| {name} | {int(batch)} | {_measured(gzip.decompress(path.read_bytes()).decode(), int(batch))} |")


def _measured(text: str, batch: int) -> str:
    import jax
    from jax._src.lib import xla_client
    from jax.extend.backend import get_backend

    client: Any = get_backend()
    device = client.local_devices()[0]
    inputs = _inputs(text, np.random.default_rng(0))
    started = time.perf_counter()
    devices = xla_client.DeviceList((device,))
    program = client.compile_and_load(_for_jax(text), devices, xla_client.CompileOptions())
    compiled = time.perf_counter() - started

    def run(values: list[Any]) -> list[Any]:
        answers = program.execute_sharded([jax.device_put(each, device) for each in values])
        return [np.asarray(each[0]) for each in answers.disassemble_into_single_device_arrays()]

    first, again = run(inputs), run(inputs)
    rows = [each.ndim > 0 and len(each) == batch for each in first]
    others = run([_others_changed(each, batch) for each in inputs])
    alike = all(_same(a[0], b[0]) for a, b, row in zip(first, others, rows, strict=True) if row)
    kept = [jax.device_put(each, device) for each in inputs]
    times = []
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(times) < 3:
        begun = time.perf_counter()
        for answers in program.execute_sharded(kept).disassemble_into_single_device_arrays():
            answers[0].block_until_ready()
        times.append(time.perf_counter() - begun)
    step = 1e3 * float(np.median(times))
    twice = all(map(_same, first, again))
    told = [("no", "yes")[each] for each in (twice, alike)]
    return f"{compiled:.0f} | {step:.2f} | {step / batch:.3f} | {told[0]} | {told[1] if batch in TELLING else ''}"


def _inputs(text: str, rng: np.random.Generator) -> list[Any]:
    signature = re.search(r"func\.func (?:public )?@main\((.*?)\)\s*->", text, re.S)
    assert signature is not None
    types = {"f32": np.float32, "i32": np.int32, "i64": np.int64, "i1": np.bool_}
    inputs = []
    for each in re.findall(r"%arg\d+: tensor<([^>]*)>", signature[1]):
        *shape, kind = each.split("x")
        sizes = [int(size) for size in shape]
        small = np.asarray(0.1 * rng.standard_normal(sizes), types[kind])
        inputs.append(small if kind == "f32" else np.ones(sizes, types[kind]))
    return inputs


def _for_jax(text: str) -> str:
    """Without what is TensorFlow's own: that outputs take the memory of inputs, and copies."""
    text = re.sub(r"mhlo\.input_output_alias = \[.*?\}\]", "mhlo.input_output_alias = []", text, flags=re.S)
    for copy, original in re.findall(r"^ *(%\w+) = mhlo\.copy (%\w+)", text, re.M):
        text = re.sub(rf"^ *{copy} = mhlo\.copy .*$", "", text, flags=re.M)
        text = re.sub(rf"{copy}(?!\w)", original, text)
    return text


def _others_changed(values: Any, batch: int) -> Any:  # noqa: ANN401
    if values.dtype != np.float32 or not values.ndim or len(values) != batch:
        return values
    return np.concatenate([values[:1], 1.5 * values[1:] + 0.1])


def _same(a: Any, b: Any) -> bool:  # noqa: ANN401
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


if __name__ == "__main__":
    main()
