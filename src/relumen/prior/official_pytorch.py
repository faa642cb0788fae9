"""NVIDIA's checkpoints of StyleGAN2-ADA for PyTorch: a pickle of a dictionary with the networks G, D and G_ema.

Each network, block and layer is a record of its own, with the text of its source, its parameters, buffers and parts,
and what it was made with. Kernels are (out, in, y, x); all apply as ours do.
"""

from __future__ import annotations

import re
from typing import Any

from relumen.models.stylegan2 import Architecture
from relumen.prior.pickles import Record, RefusedError, told
from relumen.prior.variables import (
    Float32,
    Imported,
    Variables,
    convolutions,
    expect,
    full_name,
    layer,
    number,
    whole,
)

NAME = "StyleGAN2-ADA for PyTorch"

_CONV = re.compile(r"synthesis\.b\d+\.conv[01]")
_CLAMPED = re.compile(r"synthesis\.b\d+\.(conv[01]|torgb)")
_DENSE = re.compile(r"mapping\.fc\d+")


def fits(value: Any) -> bool:  # noqa: ANN401  whatever a file holds
    """Whether a file of this layout was read."""
    return isinstance(value, dict) and isinstance(value.get("G_ema"), Record)


def convert(value: Any) -> Imported:  # noqa: ANN401  see fits
    """The generator G_ema, whose weights are averages over the training.

    Raises:
        RefusedError: it is not one that our generator can stand for.
    """
    modules, variables = _flattened(value["G_ema"])
    if "synthesis.input" in modules:
        raise RefusedError("its generator is StyleGAN3's, and relumen's is StyleGAN2's")
    if "synthesis.b4" not in modules or "mapping.fc0" not in modules:
        raise RefusedError("its generator lacks StyleGAN2's parts synthesis.b4 and mapping.fc0")
    whole_network = modules[""]
    expect("number of classes (c_dim)", whole_network.get("c_dim"), 0)
    for path, fields in modules.items():
        if _CONV.fullmatch(path):
            expect(f"{path}.use_noise", fields.get("use_noise"), True)
        if _CONV.fullmatch(path) or _DENSE.fullmatch(path):
            expect(f"{path}.activation", fields.get("activation"), "lrelu")
        if re.fullmatch(r"synthesis\.b\d+", path):
            expect(f"{path}.architecture", fields.get("architecture"), "skip")
    clamp = _common(modules, _CLAMPED, "conv_clamp")
    resolutions = [4]
    while f"synthesis.b{2 * resolutions[-1]}" in modules:
        resolutions.append(2 * resolutions[-1])
    architecture = Architecture(
        tuple(variables.length(f"synthesis.b{size}.conv1.bias") for size in resolutions),
        channels=variables.length("synthesis.b4.torgb.bias"),
        z_dim=whole("z_dim", whole_network.get("z_dim")),
        w_dim=whole("w_dim", whole_network.get("w_dim")),
        mapping_layers=variables.mapping_layers("mapping.fc{}.weight"),
        lr_multiplier=number("mapping network's bias_gain", _common(modules, _DENSE, "bias_gain")),
        clamp=None if clamp is None else number("conv_clamp", clamp),
    )
    weights = _weights(variables, architecture)
    variables.take_blurs("resample_filter")
    variables.finish()
    return Imported(NAME, architecture, weights)


def _flattened(network: Record) -> tuple[dict[str, dict[str, Any]], Variables]:
    """Fields of each part and values of all variables, by their dotted paths; the whole's own path is empty."""
    modules: dict[str, dict[str, Any]] = {}
    values: dict[str, Any] = {}
    waiting, seen = [("", network)], set()
    while waiting:
        path, module = waiting.pop()
        if not isinstance(module, Record):
            raise RefusedError(f"its part {told(path)} is not a network of StyleGAN2-ADA's")
        modules[path] = module.fields
        for kind in ("_parameters", "_buffers", "_modules"):
            parts = module.fields.get(kind)
            if not isinstance(parts, dict):
                continue
            if id(parts) in seen:  # with those inside it, and so on: there would be no end of names
                raise RefusedError(f"its part {told(path)} has what another part has")
            seen.add(id(parts))
            for name, value in parts.items():
                full = full_name(path, ".", name)
                if kind == "_modules":
                    waiting.append((full, value))
                elif value is not None:
                    values[full] = value
    return modules, Variables(values)


def _common(modules: dict[str, dict[str, Any]], paths: re.Pattern[str], field: str) -> Any:  # noqa: ANN401
    """The value of a field that is the same in all these parts."""
    found = [fields.get(field) for path, fields in modules.items() if paths.fullmatch(path)]
    if not found or any(type(each) not in (int, float, type(None)) or each != found[0] for each in found):
        raise RefusedError(f"its layers lack or differ in {field}, and those of relumen's generator do not")
    return found[0]


def _weights(variables: Variables, a: Architecture) -> dict[str, Float32]:
    take = variables.take
    weights = {"w_avg": take("mapping.w_avg", a.w_dim)}
    weights |= layer("synthesis/b4", const=take("synthesis.b4.const", a.widths[0], 4, 4).transpose(1, 2, 0))
    for i in range(a.mapping_layers):
        dense, features = f"mapping.fc{i}", a.z_dim if i == 0 else a.w_dim
        weights |= layer(
            f"mapping/dense{i}",
            kernel=take(f"{dense}.weight", a.w_dim, features).T,
            bias=take(f"{dense}.bias", a.w_dim),
        )
    for size, name, features, width in convolutions(a):
        conv = f"synthesis.b{size}.{name}"
        weights |= layer(
            f"synthesis/b{size}/{name}",
            kernel=take(f"{conv}.weight", width, features, 3, 3).transpose(2, 3, 1, 0),
            affine_kernel=take(f"{conv}.affine.weight", features, a.w_dim).T,
            affine_bias=take(f"{conv}.affine.bias", features),
            noise_strength=take(f"{conv}.noise_strength"),
            noise=take(f"{conv}.noise_const", size, size),
            bias=take(f"{conv}.bias", width),
        )
    for size, width in zip(a.resolutions, a.widths, strict=True):
        rgb = f"synthesis.b{size}.torgb"
        weights |= layer(
            f"synthesis/b{size}/to_rgb",
            kernel=take(f"{rgb}.weight", a.channels, width, 1, 1).transpose(2, 3, 1, 0),
            affine_kernel=take(f"{rgb}.affine.weight", width, a.w_dim).T,
            affine_bias=take(f"{rgb}.affine.bias", width),
            bias=take(f"{rgb}.bias", a.channels),
        )
    return weights
