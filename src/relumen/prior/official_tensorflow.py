"""NVIDIA's checkpoints of StyleGAN2 and StyleGAN2-ADA for TensorFlow 1: a pickle of three networks, G, D and Gs.

Each network holds the text of its source, options, variables by name, and the networks that it is made of. Kernels are
(y, x, in, out) and correlate. A style's bias lacks the 1 that is added to it. Kernels that double the resolution apply
to an image with zeros between its pixels; in a transposed convolution, as ours is, they are turned by half a turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from relumen.models.stylegan2 import Architecture
from relumen.prior.pickles import Record, RefusedError, told
from relumen.prior.variables import Float32, Imported, Variables, convolutions, expect, full_name, layer, number

NAME = "StyleGAN2 or StyleGAN2-ADA for TensorFlow"

_BUILDERS = {"": ("G_main",), "mapping": ("G_mapping",), "synthesis": ("G_synthesis", "G_synthesis_stylegan2")}
"""Functions that make a generator and its parts; StyleGAN's first version and its variants have others."""

_OURS: dict[str, Any] = {
    "label_size": 0,
    "architecture": "skip",
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "resample_kernel": [1, 3, 3, 1],
    "normalize_latents": True,
    "use_noise": True,
}
"""Options of which our generator has one value. It is their default there, which a file leaves out."""


def fits(value: Any) -> bool:  # noqa: ANN401  whatever a file holds
    """Whether a file of this layout was read."""
    return isinstance(value, tuple) and len(value) == 3 and all(map(_is_network, value))


def convert(value: Any) -> Imported:  # noqa: ANN401  see fits
    """The generator Gs, whose weights are averages over the training.

    Raises:
        RefusedError: it is not one that our generator can stand for.
    """
    options: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name, builders in _BUILDERS.items():
        network = _part(value[2], name)
        made_by = network.fields.get("build_func_name")
        if not isinstance(made_by, str) or made_by not in builders:
            raise RefusedError(f"its generator is made by {told(made_by)}, not by StyleGAN2's {builders[0]}")
        options |= _field(network, "static_kwargs", dict)
        for pair in _field(network, "variables", list):
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise RefusedError("its variables are not pairs of name and values")
            values[full_name(name, "/", pair[0])] = pair[1]
    for option, ours in _OURS.items():
        expect(f"option {option!r}", options.get(option, ours), ours)
    return _imported(Variables(values), options)


def _part(generator: Record, name: str) -> Record:
    """A network that the generator is made of, or the generator itself for an empty name."""
    part = _field(generator, "components", dict).get(name) if name else generator
    if not _is_network(part):
        raise RefusedError(f"its generator has no {name} network, as StyleGAN2's has")
    return part


def _field(network: Record, name: str, kind: type) -> Any:  # noqa: ANN401  of that kind
    found = network.fields.get(name)
    if not isinstance(found, kind):
        raise RefusedError(f"its generator has no {name}, as StyleGAN2's has")
    return found


def _is_network(value: Any) -> bool:  # noqa: ANN401  see fits
    return isinstance(value, Record) and value.kind == "Network"


def _imported(variables: Variables, options: dict[str, Any]) -> Imported:
    last = "synthesis/4x4/Conv/bias"
    widths = [variables.length(last)]
    while (last := f"synthesis/{4 << len(widths)}x{4 << len(widths)}/Conv1/bias") in variables:
        widths.append(variables.length(last))
    clamp = options.get("conv_clamp")
    architecture = Architecture(
        tuple(widths),
        channels=variables.length("synthesis/4x4/ToRGB/bias"),
        z_dim=variables.length("mapping/Dense0/weight", axes=2),
        w_dim=variables.length("dlatent_avg"),
        mapping_layers=variables.mapping_layers("mapping/Dense{}/weight"),
        lr_multiplier=number("option 'mapping_lrmul'", options.get("mapping_lrmul", 0.01)),
        clamp=None if clamp is None else number("option 'conv_clamp'", clamp),
    )
    weights = _weights(variables, architecture)
    variables.values.pop("lod", None)  # StyleGAN2's stage of progressive growing, which it no longer has
    variables.finish()
    return Imported(NAME, architecture, weights)


def _weights(variables: Variables, a: Architecture) -> dict[str, Float32]:
    take = variables.take
    weights = {"w_avg": take("dlatent_avg", a.w_dim)}
    weights |= layer(
        "synthesis/b4", const=take("synthesis/4x4/Const/const", 1, a.widths[0], 4, 4)[0].transpose(1, 2, 0)
    )
    for i in range(a.mapping_layers):
        dense, features = f"mapping/Dense{i}", a.z_dim if i == 0 else a.w_dim
        weights |= layer(
            f"mapping/dense{i}",
            kernel=take(f"{dense}/weight", features, a.w_dim),
            bias=take(f"{dense}/bias", a.w_dim),
        )
    for i, (size, name, features, width) in enumerate(convolutions(a)):
        conv = f"synthesis/{size}x{size}/" + ("Conv" if size == 4 else {"conv0": "Conv0_up", "conv1": "Conv1"}[name])
        kernel = take(f"{conv}/weight", 3, 3, features, width)
        weights |= layer(
            f"synthesis/b{size}/{name}",
            kernel=kernel[::-1, ::-1] if name == "conv0" else kernel,
            affine_kernel=take(f"{conv}/mod_weight", a.w_dim, features),
            affine_bias=take(f"{conv}/mod_bias", features) + np.float32(1),
            noise_strength=take(f"{conv}/noise_strength"),
            noise=take(f"synthesis/noise{i}", 1, 1, size, size)[0, 0],
            bias=take(f"{conv}/bias", width),
        )
    for size, width in zip(a.resolutions, a.widths, strict=True):
        rgb = f"synthesis/{size}x{size}/ToRGB"
        weights |= layer(
            f"synthesis/b{size}/to_rgb",
            kernel=take(f"{rgb}/weight", 1, 1, width, a.channels),
            affine_kernel=take(f"{rgb}/mod_weight", a.w_dim, width),
            affine_bias=take(f"{rgb}/mod_bias", width) + np.float32(1),
            bias=take(f"{rgb}/bias", a.channels),
        )
    return weights
