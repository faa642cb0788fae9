"""Keras files whose layers or weights would run, import, read or allocate something."""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import random
import zipfile
from typing import Any

from damage_zip import write
from payloads import TOUCH, TOUCH_IN_PYTHON


def _lambda() -> dict[str, Any]:
    code = compile(f"(lambda x: ({TOUCH_IN_PYTHON}, x)[1])", "x", "eval")
    function = eval(code).__code__  # is not called
    config = {"code": base64.b64encode(marshal.dumps(function)).decode(), "defaults": None, "closure": None}
    return {"class_name": "__lambda__", "config": config}


def keras_layers() -> list[dict[str, Any]]:
    """Layers of a Keras configuration that would run, import, read or allocate something."""

    def layer(module: str | None, name: str, config: Any, registered: str | None = None) -> dict[str, Any]:  # noqa: ANN401
        return {"module": module, "class_name": name, "config": config, "registered_name": registered}

    core = "keras.layers"
    return [
        layer(core, "Lambda", {"name": "l", "function": _lambda(), "arguments": {}}),
        layer(core, "Lambda", {"name": "l", "function": {"class_name": "function", "config": "system",
              "module": "os"}}),
        layer("os", "system", TOUCH),
        layer("os", "system", {"command": TOUCH}),
        layer("builtins", "eval", {"source": TOUCH_IN_PYTHON}),
        layer("builtins", "function", "os.system", "os.system"),
        layer("subprocess", "Popen", {"args": ["sh", "-c", TOUCH]}),
        layer("this", "Zen", {}),
        layer("antigravity", "Fly", {}),
        layer("keras.utils", "get_file", {"fname": "written", "origin": "http://127.0.0.1:9/", "cache_dir": "../.."}),
        layer("keras.src.utils.file_utils", "extract_archive", {"file_path": "a.zip", "path": "../../outside"}),
        layer("keras.models", "load_model", {"filepath": "../../outside/secret.txt"}),
        layer(core, "TFSMLayer", {"name": "l", "filepath": "../../outside", "call_endpoint": "serve"}),
        layer(core, "TorchModuleWrapper", {"name": "l", "module": base64.b64encode(pickle.dumps(1)).decode()}),
        layer(core, "StringLookup", {"name": "l", "vocabulary": "../../outside/secret.txt"}),
        layer(core, "TextVectorization", {"name": "l", "vocabulary": "../../outside/secret.txt"}),
        layer(core, "Dense", {"name": "l", "units": 10**9}),
        layer(core, "Conv2D", {"name": "l", "filters": 10**6, "kernel_size": [999, 999]}),
        layer(core, "Conv2D", {"name": "l", "filters": 2, "kernel_size": 3, "activation": {"class_name": "system",
              "module": "os", "config": TOUCH, "registered_name": "system"}}),
        layer("relumen.run", "RunFolder", {"path": "../../outside/written"}),
        layer(None, "CompressedFile", {}, "relumen>None"),
        layer("numpy", "fromfile", {"file": "../../outside/secret.txt"}),
        layer("keras", "Model", {"name": "m", "layers": []}),
    ]  # fmt: skip


def keras_file(draw: random.Random, data: bytes) -> bytes:
    """A .keras file that begins or ends with such a layer, or is one of them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    payload = draw.choice(keras_layers())
    layers = config["config"].get("layers") or [config]  # a network of one class of its own has none
    way = draw.random()
    if way < 0.3:
        layers[draw.randrange(len(layers))] |= payload
    elif way < 0.6:
        start = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None,
                 "config": {"batch_shape": [None, 8, 8, 1], "dtype": "float32", "name": "input"}}  # fmt: skip
        config = {"module": "keras", "class_name": "Sequential", "registered_name": None,
                  "config": {"name": "s", "layers": [start, payload]}}  # fmt: skip
    elif way < 0.8:
        config = payload
    else:
        at = draw.choice(layers)["config"]
        at[draw.choice(list(at))] = payload
    parts["config.json"] = json.dumps(config).encode()
    return write(parts)


def hdf5(draw: random.Random, data: bytes) -> bytes:
    """Weights that lie in other files, or claim to be far larger than the file."""
    import h5py

    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        name = draw.choice(found)
        del file[name]
        way = draw.randrange(4)
        if way == 0:
            file[name] = h5py.ExternalLink("../../outside/secret.h5", "/x")
        elif way == 1:
            file.create_dataset(name, (70,), "u1", external=[("../../outside/secret.txt", 0, 70)])
        elif way == 2:
            file.create_dataset(name, draw.choice(((10**6, 10**6), (1 << 33,))), "f4", chunks=True, compression="gzip")
        else:
            file[name] = h5py.SoftLink("/")
    return buffer.getvalue()
