"""What the benchmarks share: processes that are timed, and the machine's rate of products of matrices beside each."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

GIB = 1 << 30
_SIDE = 2048  # of the matrices
_SECONDS = 1.0  # of products, at least


def measured(command: Sequence[str]) -> tuple[str, float, int]:
    """Runs a command; gives its output, its seconds, and its peak resident bytes."""
    start = time.monotonic()
    # This process stays small: the kernel counts a child's peak from before it becomes another program.
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody empties would stop it
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        told = said.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} failed with exit code {process.returncode}:\n{told[-2000:]}")
    return text, time.monotonic() - start, usage.ru_maxrss * 1024


def timed(work: Callable[[], Any], repeats: int) -> float:
    """Median seconds of some work, after one run that isn't counted."""
    work()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def matmul_rate() -> float:
    """GFLOP a second of products of float32 matrices of 2048 x 2048 by TensorFlow: the best of a second of them."""
    import numpy as np
    import tensorflow as tf

    a, b = tf.constant(np.random.default_rng(0).normal(size=(2, _SIDE, _SIDE)), tf.float32)
    best, until = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < until:
        began = time.perf_counter()
        tf.matmul(a, b).numpy()
        best = min(best, time.perf_counter() - began)
    return 2 * _SIDE**3 / 1e9 / best


def convolution_work(network: Any, shape: Sequence[int]) -> float:  # noqa: ANN401  a Keras model
    """GFLOP of one answer of a network, as TensorFlow counts them; nearly all are its convolutions'."""
    import tensorflow as tf
    from tensorflow.python.profiler import model_analyzer, option_builder  # type: ignore[import-untyped]

    function = tf.function(lambda x: network(x, training=False)).get_concrete_function(tf.TensorSpec(shape))
    options = option_builder.ProfileOptionBuilder(option_builder.ProfileOptionBuilder.float_operation())
    counted: Any = model_analyzer.profile(function.graph, options=options.with_empty_output().build())
    return counted.total_float_ops / 1e9
