"""How fast the shipped networks restore on a GPU where TensorFlow can't be had: by Keras on JAX, the same XLA.

Needs Keras, JAX, and the folder shipped/; not relumen. Times are those of the network alone, of float32 images that lie
in the GPU's memory; beside each is what products of matrices of 8192 x 8192 come to in the same moment, by the same
precision: JAX's own on this card, which rounds the factors of float32 products and convolutions ("default"), and
float32 throughout ("highest").

    KERAS_BACKEND=jax python benchmarks/long/restore_gpu.py shipped    # prints Markdown
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np

NETWORKS = {  # side of the image, pixels
    "esrgan-widefield": 1024,
    "cgan-fluorescence": 1024,
    "cascade-phase-2x": 1024,
    "cascade-phase-4x": 512,
    "cascade-phase-8x": 256,
}
SIDE = 8192
SECONDS = 1.0


def main() -> None:
    """Prints a table of all networks and precisions."""
    print(f"Device: {jax.devices()[0].device_kind}, JAX {jax.__version__}, Keras {keras.__version__}.\n")
    print("| network | image | precision | compile, s | image, ms | Mpixel/s out | matrices, TFLOP/s | from float32 |")
    print("|---|---|---|---|---|---|---|---|")
    for name, side in NETWORKS.items():
        network: Any = keras.models.load_model(Path(sys.argv[1]) / name / "model.keras")
        image = jax.device_put(np.random.default_rng(0).normal(size=(1, side, side, 1)).astype(np.float32))
        exact = None
        for precision in ("highest", "default"):
            with jax.default_matmul_precision(precision):
                answer, compiled, seconds = measured(network, image)
                rate = matrices()
            exact = answer if exact is None else exact
            pixels = answer.shape[1] * answer.shape[2] / 1e6
            apart = float(np.abs(answer - exact).max() / exact.std())
            print(
                f"| {name} | {side} x {side} | {precision} | {compiled:.1f} | {1e3 * seconds:.2f} "
                f"| {pixels / seconds:,.0f} | {rate:.0f} | {apart:.0e} |",
                flush=True,
            )


def measured(network: Any, image: Any) -> tuple[np.ndarray, float, float]:  # noqa: ANN401
    """The answer, the seconds of compiling, and the median seconds of a run."""
    trained, fixed = (
        [each.value for each in part] for part in (network.trainable_variables, network.non_trainable_variables)
    )

    @jax.jit
    def run(image: Any) -> Any:  # noqa: ANN401
        return network.stateless_call(trained, fixed, image, training=False)[0]

    began = time.perf_counter()
    answer = np.asarray(run(image))
    compiled = time.perf_counter() - began
    return answer, compiled, median_seconds(lambda: run(image).block_until_ready())


def matrices() -> float:
    """TFLOP a second of products of float32 matrices."""
    a = jax.random.normal(jax.random.key(0), (SIDE, SIDE), jnp.float32)
    multiply = jax.jit(jnp.matmul)
    multiply(a, a).block_until_ready()
    return 2 * SIDE**3 / 1e12 / median_seconds(lambda: multiply(a, a).block_until_ready())


def median_seconds(work: Callable[[], Any]) -> float:
    """Median seconds of as many runs as take a second."""
    seconds = []
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(seconds) < 3:
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


if __name__ == "__main__":
    main()
