"""Checkpoints of rosinality's stylegan2-pytorch: a dictionary, written by torch.save, with the variables of g_ema.

Kernels are (1, out, in, y, x); all apply as ours do. The file does not say the mapping network's learning-rate
multiplier; the program's default is taken. It has no clamping. Only converted checkpoints hold the mean w.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from relumen.models.stylegan2 import Architecture
from relumen.prior.variables import Float32, Imported, Variables, convolutions, layer

NAME = "stylegan2-pytorch by rosinality"

_LR_MULTIPLIER = 0.01
_DRAWS = 10_000  # of z, for the mean w


def fits(value: Any) -> bool:  # noqa: ANN401  whatever a file holds
    """Whether a file of this layout was read."""
    return isinstance(value, dict) and isinstance(value.get("g_ema"), dict) and "style.1.weight" in value["g_ema"]


def convert(value: Any) -> Imported:  # noqa: ANN401  see fits
    """The generator g_ema, whose weights are averages over the training.

    Raises:
        RefusedError: it is not one that our generator can stand for.
    """
    mean = {"latent_avg": value["latent_avg"]} if "latent_avg" in value else {}
    variables = Variables({**value["g_ema"], **mean})
    widths = [variables.length("conv1.activate.bias")]
    while (last := f"convs.{2 * len(widths) - 1}.activate.bias") in variables:
        widths.append(variables.length(last))
    depth = variables.mapping_layers("style.{}.weight", first=1)
    w_dim = variables.length("style.1.bias")
    a = Architecture(
        tuple(widths), variables.length("to_rgb1.bias", axes=4, axis=1), w_dim, w_dim, depth, _LR_MULTIPLIER
    )
    weights = _weights(variables, a)
    weights["w_avg"] = variables.take("latent_avg", w_dim) if mean else _mean_w(weights, a)
    variables.take_blurs("conv.blur.kernel", gain=4)
    variables.take_blurs("upsample.kernel", gain=4)
    variables.finish()
    return Imported(NAME, a, weights)


def _mean_w(weights: dict[str, Float32], a: Architecture) -> Float32:
    """The mean style vector of random codes."""
    x = np.random.default_rng(0).normal(size=(_DRAWS, a.z_dim)).astype(np.float32)
    x /= np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
    for i in range(a.mapping_layers):
        kernel, bias = weights[f"mapping/dense{i}/kernel"], weights[f"mapping/dense{i}/bias"]
        x = a.lr_multiplier * (x @ kernel / np.sqrt(np.float32(len(kernel))) + bias)
        x = np.sqrt(np.float32(2)) * np.maximum(x, np.float32(0.2) * x)
    return x.mean(0)


def _weights(variables: Variables, a: Architecture) -> dict[str, Float32]:
    take = variables.take
    weights = layer("synthesis/b4", const=take("input.input", 1, a.widths[0], 4, 4)[0].transpose(1, 2, 0))
    for i in range(a.mapping_layers):
        dense = f"style.{i + 1}"  # style.0 normalises z
        weights |= layer(
            f"mapping/dense{i}",
            kernel=take(f"{dense}.weight", a.w_dim, a.w_dim).T,
            bias=take(f"{dense}.bias", a.w_dim),
        )
    for i, (size, name, features, width) in enumerate(convolutions(a)):
        conv = "conv1" if size == 4 else f"convs.{i - 1}"
        weights |= layer(
            f"synthesis/b{size}/{name}",
            kernel=take(f"{conv}.conv.weight", 1, width, features, 3, 3)[0].transpose(2, 3, 1, 0),
            affine_kernel=take(f"{conv}.conv.modulation.weight", features, a.w_dim).T,
            affine_bias=take(f"{conv}.conv.modulation.bias", features),
            noise_strength=take(f"{conv}.noise.weight", 1)[0],
            noise=take(f"noises.noise_{i}", 1, 1, size, size)[0, 0],
            bias=take(f"{conv}.activate.bias", width),
        )
    for i, (size, width) in enumerate(zip(a.resolutions, a.widths, strict=True)):
        rgb = "to_rgb1" if size == 4 else f"to_rgbs.{i - 1}"
        weights |= layer(
            f"synthesis/b{size}/to_rgb",
            kernel=take(f"{rgb}.conv.weight", 1, a.channels, width, 1, 1)[0].transpose(2, 3, 1, 0),
            affine_kernel=take(f"{rgb}.conv.modulation.weight", width, a.w_dim).T,
            affine_bias=take(f"{rgb}.conv.modulation.bias", width),
            bias=take(f"{rgb}.bias", 1, a.channels, 1, 1).reshape(-1),
        )
    return weights
