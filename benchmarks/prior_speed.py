"""Shows how many images a second a prior is trained on, and what each part of a step costs.

A step of the preset's networks on images at random, without and with the augmentation; the same step compiled by XLA
as a whole, where relumen compiles only what lies between two convolutions. Medians over blocks of steps, which take
turns.

    python benchmarks/prior_speed.py > benchmarks/prior_speed.md
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from relumen.training.prior import Prior

KINDS = {
    "float32": ("precision=float32",),
    "mixed_bfloat16": ("precision=mixed_bfloat16",),
}


def main() -> None:
    """Measures, and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cells")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="of a block")
    parser.add_argument("--set", action="append", default=[], help="changes the preset, such as size=64")
    given = parser.parse_args()
    print(report(given.preset, *measure(given.preset, given.blocks, given.steps, given.set)))


def measure(preset: str, blocks: int, steps: int, changes: list[str]) -> tuple[int, int, dict[str, list[float]]]:
    """Batch, size, and milliseconds of each part of a step for an image, by kind, part and augmentation."""
    import numpy as np

    systems = {kind: made(preset, [*changes, *overrides]) for kind, overrides in KINDS.items()}
    trials: dict[str, Callable[[], Any]] = {}
    for kind, system in systems.items():
        images, seeds = system.batch(0)
        for part, step in parts(system, images, seeds).items():
            trials[f"{kind} | {part}"] = step
    whole = parts(systems["float32"], *systems["float32"].batch(0), xla=True)
    trials["float32, XLA as a whole | generator"] = whole["generator"]
    batch = len(systems["float32"].batch(0)[0])
    size = systems["float32"].architecture.size
    seconds: dict[str, list[float]] = {}
    for name, trial in trials.items():
        trial()  # compiles
        print(f"compiled: {name}", file=sys.stderr)
    for _ in range(blocks):
        for name, trial in trials.items():
            began = time.perf_counter()
            for _ in range(steps):
                {key: np.asarray(value) for key, value in trial().items()}
            seconds.setdefault(name, []).append((time.perf_counter() - began) / steps / batch * 1000)
    return batch, size, seconds


def made(preset: str, overrides: list[str]) -> Prior:
    """A training on random images."""
    import numpy as np

    from relumen.training.config import load_config
    from relumen.training.prior import Prior
    from relumen.training.prior_config import PriorConfig
    from relumen.training.prior_data import PriorData
    from relumen.training.replicas import Replicas

    config = load_config("prior", preset, overrides)
    assert isinstance(config, PriorConfig)

    class Random(PriorData):
        """Images at random, which cost nothing to draw."""

        def __init__(self) -> None:
            self.stains = ("a", "b", "c")
            self.held_out = np.zeros((8, config.size, config.size, 3), np.uint8)

        def batch(self, step: int) -> Any:  # noqa: ANN401  as the class it stands for
            shape = (config.batch, config.size, config.size, 3)
            return np.random.default_rng(step).uniform(-1, 1, shape).astype(np.float32)

    return Prior(config, Random(), Replicas(), command="benchmark", machine="benchmark")


def parts(system: Prior, images: Any, seeds: Any, *, xla: bool = False) -> dict[str, Callable[[], Any]]:  # noqa: ANN401
    """Each part of a step by its name, and the two that are due every time with the augmentation at work."""
    import tensorflow as tf

    real, drawn = tf.constant(images), tf.constant(seeds)
    compiled = (lambda f: tf.function(f, autograph=False, jit_compile=True)) if xla else system._replicas.step
    g, d, path, r1 = (
        compiled(each)
        for each in (
            system._train_generator,
            system._train_discriminator,
            system._regularise_generator,
            system._regularise_discriminator,
        )
    )

    def at(strength: float, step: Callable[..., Any], *given: Any) -> Callable[[], Any]:  # noqa: ANN401
        def trial() -> Any:  # noqa: ANN401
            system._strength.assign(strength)
            return step(*given)

        return trial

    share = system._config.regularisation.path_share
    return {
        "generator": at(0.0, g, drawn),
        "discriminator": at(0.0, d, real, drawn),
        "generator, augmented": at(0.2, g, drawn),
        "discriminator, augmented": at(0.2, d, real, drawn),
        "path length": at(0.0, path, drawn[::share]),
        "R1": at(0.0, r1, real, drawn),
    }


def report(preset: str, batch: int, size: int, seconds: dict[str, list[float]]) -> str:
    """The tables with what they were measured on."""
    from relumen.device import describe_device
    from relumen.training.config import load_config
    from relumen.training.prior_config import PriorConfig

    config = load_config("prior", preset)
    assert isinstance(config, PriorConfig)
    reg = config.regularisation
    blocks = len(next(iter(seconds.values())))
    lines = [
        "# How fast a prior is trained",
        "",
        f"Made by `python benchmarks/prior_speed.py` (preset {preset}, {size} pixels, {batch} images a step,",
        f"medians of {blocks} blocks): {describe_device()}.",
        "",
        "| computed in | part of a step | ms an image (from, to) |",
        "|---|---|---|",
    ]
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name, each in seconds.items():
        lines.append(f"| {name} | {medians[name]:.1f} ({min(each):.1f}, {max(each):.1f}) |")
    lines += [
        "",
        f"R1 is due every {reg.r1_every} steps and path length every {reg.path_every}, so an image costs:",
        "",
    ]
    for kind in KINDS:
        lazy = medians[f"{kind} | path length"] / reg.path_every + medians[f"{kind} | R1"] / reg.r1_every
        for words, ending in (("without augmentation", ""), ("with it", ", augmented")):
            cost = lazy + sum(medians[f"{kind} | {part}{ending}"] for part in ("generator", "discriminator"))
            lines.append(f"- {kind}, {words}: {cost:.0f} ms, {3600 / cost:.0f} kimg an hour")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
