"""Small checkpoints of random numbers in the layouts of others, and the pickles that they are written by.

Nothing of the other programs is needed: classes of their names stand for theirs while a file is written.
"""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

WIDTHS = (12, 10, 8)  # at 4, 8 and 16 pixels
W_DIM = 16
LAYERS = 2
MAGIC = 0x1950A86A20F9469CFC6C


def path(dotted: str):
    """Gives a class or function the name that it has in another program."""

    def named(thing: Any) -> Any:
        thing.__module__, _, thing.__qualname__ = dotted.rpartition(".")
        thing.__name__ = thing.__qualname__
        _NAMED[dotted] = thing
        return thing

    return named


_NAMED: dict[str, Any] = {}


@path("dnnlib.util.EasyDict")
class EasyDict(dict):
    pass


@path("dnnlib.tflib.network.Network")
class Network:
    def __init__(self, state: dict) -> None:
        self.state = state

    def __getstate__(self) -> dict:
        return self.state


@path("torch_utils.persistence._reconstruct_persistent_obj")
def _reconstruct(meta: dict) -> None: ...


@path("torch._utils._rebuild_tensor_v2")
def _rebuild_tensor(*arguments: object) -> None: ...


@path("torch._utils._rebuild_parameter")
def _rebuild_parameter(*arguments: object) -> None: ...


@path("torch.storage._load_from_bytes")
def load_from_bytes(data: bytes) -> None: ...


@path("torch.FloatStorage")
class FloatStorage: ...


class Module:
    """A network, block or layer of official PyTorch: its class's name, own fields, variables and parts."""

    source = "raise SystemExit('the source was run')"

    def __init__(self, kind: str, variables: dict | None = None, parts: dict | None = None, **fields: object) -> None:
        values = {name: Tensor(value) for name, value in (variables or {}).items()}
        buffers = ("noise_const", "resample_filter", "w_avg")
        self.kind = kind
        self.state = {
            "training": False,
            "_parameters": OrderedDict((name, Parameter(t)) for name, t in values.items() if name not in buffers),
            "_buffers": OrderedDict((name, tensor) for name, tensor in values.items() if name in buffers),
            "_non_persistent_buffers_set": set(),
            "_modules": OrderedDict(parts or {}),
            "weight_gain": np.float64(0.25),
            **fields,
        }

    def __reduce__(self) -> tuple:
        meta = dict(type="class", version=6, module_src=self.source, class_name=self.kind, state=self.state)
        return _reconstruct, (meta,), None


class Storage:
    """The flat memory of a tensor; ``count`` is what a file says of its length."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers
        self.count = numbers.size

    def __reduce__(self) -> tuple:
        return load_from_bytes, (saved_old(self),)


class Tensor:
    def __init__(self, value: np.ndarray) -> None:
        self.value = np.array(value, np.float32)
        self.storage = Storage(self.value.reshape(-1))

    def __reduce__(self) -> tuple:
        strides = tuple(stride // 4 for stride in self.value.strides)
        return _rebuild_tensor, (self.storage, 0, self.value.shape, strides, False, OrderedDict())


class Parameter:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __reduce__(self) -> tuple:
        return _rebuild_parameter, (self.tensor, False, OrderedDict())


@contextmanager
def pretended() -> Iterator[None]:
    """The other programs' modules, with what is named in this file."""
    modules: dict[str, ModuleType] = {}
    for dotted, thing in _NAMED.items():
        parts = dotted.split(".")
        for depth in range(1, len(parts)):
            modules.setdefault(".".join(parts[:depth]), ModuleType(parts[depth - 1]))
        setattr(modules[".".join(parts[:-1])], parts[-1], thing)
    with patch.dict(sys.modules, modules):
        yield


def dumped(value: object, protocol: int = 4) -> bytes:
    with pretended():
        return pickle.dumps(value, protocol)


class _TorchPickler(pickle.Pickler):
    def __init__(self, stream: io.BytesIO, part: tuple = ()) -> None:
        super().__init__(stream, 2)
        self.part = part
        self.storages: list[Storage] = []

    def persistent_id(self, obj: object) -> tuple | None:
        if not isinstance(obj, Storage):
            return None
        if obj not in self.storages:
            self.storages.append(obj)
        key = str(self.storages.index(obj))
        return ("storage", FloatStorage, key, "cpu", obj.count, *self.part)


def saved_old(value: object) -> bytes:
    """As torch.save wrote before PyTorch 1.6, and writes storages in a pickle to this day."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    stream = io.BytesIO()
    for each in (MAGIC, 1001, system):
        pickle.dump(each, stream, 2)
    with pretended():
        pickler = _TorchPickler(stream, (None,))
        pickler.dump(value)
    pickle.dump([str(key) for key in range(len(pickler.storages))], stream, 2)
    for storage in pickler.storages:
        stream.write(storage.count.to_bytes(8, "little") + storage.numbers.tobytes())
    return stream.getvalue()


def saved(value: object) -> bytes:
    """As torch.save writes since PyTorch 1.6."""
    head, archive = io.BytesIO(), io.BytesIO()
    with pretended():
        pickler = _TorchPickler(head)
        pickler.dump(value)
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("checkpoint/data.pkl", head.getvalue())
        zipped.writestr("checkpoint/byteorder", "little")
        for key, storage in enumerate(pickler.storages):
            zipped.writestr(f"checkpoint/data/{key}", storage.numbers.tobytes())
        zipped.writestr("checkpoint/version", "3\n")
    return archive.getvalue()


def blur(gain: float = 1) -> np.ndarray:
    return gain * np.outer((1, 3, 3, 1), (1, 3, 3, 1)) / 64


def tensorflow_variables(rng: np.random.Generator, channels: int = 3, z_dim: int = 20) -> dict[str, np.ndarray]:
    """Gs's own variables and those of its parts, with the parts' names before them."""
    draw = _normal(rng)
    found = {"lod": np.float32(0), "dlatent_avg": draw(W_DIM)}
    for i in range(LAYERS):
        found[f"mapping/Dense{i}/weight"] = 100 * draw(z_dim if i == 0 else W_DIM, W_DIM)
        found[f"mapping/Dense{i}/bias"] = 30 * draw(W_DIM)
    found["synthesis/4x4/Const/const"] = draw(1, WIDTHS[0], 4, 4)
    index, before = 0, WIDTHS[0]
    for size, width in zip((4, 8, 16), WIDTHS, strict=True):
        for name in ("Conv",) if size == 4 else ("Conv0_up", "Conv1"):
            found |= {
                f"synthesis/noise{index}": draw(1, 1, size, size),
                f"synthesis/{size}x{size}/{name}/weight": draw(3, 3, before, width),
                f"synthesis/{size}x{size}/{name}/mod_weight": draw(W_DIM, before),
                f"synthesis/{size}x{size}/{name}/mod_bias": 0.3 * draw(before),
                f"synthesis/{size}x{size}/{name}/noise_strength": np.float32(draw()),
                f"synthesis/{size}x{size}/{name}/bias": 0.3 * draw(width),
            }
            index, before = index + 1, width
        found |= {
            f"synthesis/{size}x{size}/ToRGB/weight": draw(1, 1, width, channels),
            f"synthesis/{size}x{size}/ToRGB/mod_weight": draw(W_DIM, width),
            f"synthesis/{size}x{size}/ToRGB/mod_bias": 0.3 * draw(width),
            f"synthesis/{size}x{size}/ToRGB/bias": 0.3 * draw(channels),
        }
    return found


def tensorflow_networks(variables: dict[str, Any], **options: object) -> tuple[Network, Network, Network]:
    """G, D and Gs, of which the first two are empty."""

    def network(name: str, builder: str, prefix: str, own: list[str], parts: dict[str, Network]) -> Network:
        state = {
            "version": 4,
            "name": name,
            "static_kwargs": {"resolution": 16, "num_channels": 3, **options},
            "components": parts,
            "build_module_src": Module.source,
            "build_func_name": builder,
            "variables": [(each.removeprefix(prefix), variables[each]) for each in own],
        }
        return Network(state)

    def part(name: str) -> Network:
        own = [each for each in variables if each.startswith(f"{name}/")]
        return network(f"G_{name}", f"G_{name}", f"{name}/", own, {})

    own = [each for each in variables if "/" not in each or not each.startswith(("mapping/", "synthesis/"))]
    gs = network("Gs", "G_main", "", own, {"mapping": part("mapping"), "synthesis": part("synthesis")})
    empty = network("G", "G_main", "", [], {})
    return empty, network("D", "D_main", "", [], {}), gs


def pytorch_state(rng: np.random.Generator, channels: int = 2, z_dim: int = 20) -> dict[str, np.ndarray]:
    """G_ema's variables by their dotted paths."""
    draw = _normal(rng)
    found = {"mapping.w_avg": draw(W_DIM), "synthesis.b4.const": draw(WIDTHS[0], 4, 4)}
    for i in range(LAYERS):
        found[f"mapping.fc{i}.weight"] = 100 * draw(W_DIM, z_dim if i == 0 else W_DIM)
        found[f"mapping.fc{i}.bias"] = 30 * draw(W_DIM)
    before = WIDTHS[0]
    for size, width in zip((4, 8, 16), WIDTHS, strict=True):
        found[f"synthesis.b{size}.resample_filter"] = blur()
        for name in ("conv1",) if size == 4 else ("conv0", "conv1"):
            found |= {
                f"synthesis.b{size}.{name}.weight": draw(width, before, 3, 3),
                f"synthesis.b{size}.{name}.affine.weight": draw(before, W_DIM),
                f"synthesis.b{size}.{name}.affine.bias": 1 + 0.3 * draw(before),
                f"synthesis.b{size}.{name}.noise_const": draw(size, size),
                f"synthesis.b{size}.{name}.noise_strength": draw(),
                f"synthesis.b{size}.{name}.bias": 0.3 * draw(width),
                f"synthesis.b{size}.{name}.resample_filter": blur(),
            }
            before = width
        found |= {
            f"synthesis.b{size}.torgb.weight": draw(channels, width, 1, 1),
            f"synthesis.b{size}.torgb.affine.weight": draw(width, W_DIM),
            f"synthesis.b{size}.torgb.affine.bias": 1 + 0.3 * draw(width),
            f"synthesis.b{size}.torgb.bias": 0.3 * draw(channels),
        }
    return found


def pytorch_network(
    state: dict[str, np.ndarray], clamp: float | None = None, more: dict[str, dict[str, Any]] | None = None
) -> Module:
    """G_ema as a tree of modules; ``more`` are other fields of the part of that path."""
    z_dim = state["mapping.fc0.weight"].shape[1]

    def fields(path: str) -> dict[str, Any]:
        last = path.rpartition(".")[2]
        own: dict[str, Any] = {}
        if not path:
            own = {"z_dim": z_dim, "c_dim": 0, "w_dim": W_DIM, "img_resolution": 16, "_init_kwargs": EasyDict(c_dim=0)}
        elif last.startswith("fc"):
            own = {"activation": "lrelu", "bias_gain": 0.01}
        elif last in ("conv0", "conv1"):
            own = {"activation": "lrelu", "use_noise": True, "conv_clamp": clamp}
        elif last == "torgb":
            own = {"conv_clamp": clamp}
        elif last.startswith("b"):
            own = {"architecture": "skip"}
        return own | (more or {}).get(path, {})

    def module(path: str) -> Module:
        inside = {name.removeprefix(f"{path}.") if path else name for name in state if name.startswith(path)}
        parts = sorted({name.partition(".")[0] for name in inside if "." in name})
        variables = {name: state[f"{path}.{name}".lstrip(".")] for name in sorted(inside) if "." not in name}
        return Module("Part", variables, {n: module(f"{path}.{n}".lstrip(".")) for n in parts}, **fields(path))

    return module("")


def rosinality_state(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The variables of g_ema."""
    draw = _normal(rng)
    found = {"input.input": draw(1, WIDTHS[0], 4, 4)}
    for i in range(LAYERS):
        found[f"style.{i + 1}.weight"] = 100 * draw(W_DIM, W_DIM)
        found[f"style.{i + 1}.bias"] = 30 * draw(W_DIM)
    before = WIDTHS[0]
    convs = ((4, 0), (8, 1), (8, 1), (16, 2), (16, 2))
    for i, (size, block) in enumerate(convs):
        name, width = "conv1" if i == 0 else f"convs.{i - 1}", WIDTHS[block]
        found |= {
            f"{name}.conv.weight": draw(1, width, before, 3, 3),
            f"{name}.conv.modulation.weight": draw(before, W_DIM),
            f"{name}.conv.modulation.bias": 1 + 0.3 * draw(before),
            f"{name}.noise.weight": draw(1),
            f"{name}.activate.bias": 0.3 * draw(width),
            f"noises.noise_{i}": draw(1, 1, size, size),
        }
        if i % 2:
            found[f"{name}.conv.blur.kernel"] = blur(4)
        before = width
    for i, width in enumerate(WIDTHS):
        name = "to_rgb1" if i == 0 else f"to_rgbs.{i - 1}"
        found |= {
            f"{name}.conv.weight": draw(1, 3, width, 1, 1),
            f"{name}.conv.modulation.weight": draw(width, W_DIM),
            f"{name}.conv.modulation.bias": 1 + 0.3 * draw(width),
            f"{name}.bias": 0.3 * draw(1, 3, 1, 1),
        }
        if i:
            found[f"{name}.upsample.kernel"] = blur(4)
    return found


def rosinality_tensors(state: dict[str, np.ndarray]) -> OrderedDict[str, Tensor]:
    return OrderedDict((name, Tensor(value)) for name, value in state.items())


def written(file: Path, data: bytes) -> Path:
    file.write_bytes(data)
    return file


def _normal(rng: np.random.Generator):
    return lambda *shape: np.asarray(rng.normal(size=shape), np.float32)
