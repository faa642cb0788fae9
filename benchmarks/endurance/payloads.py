"""Inputs that would run something, or write or read somewhere, in a program that trusts them.

All that they do is to touch the file ``outside/written``, two folders above the current one, or to read what lies
there.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

TOUCH = "touch ../../outside/written"
_TOUCH_IN_PYTHON = "open('../../outside/written', 'w').close()"
_LAUGHS = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9) if i else ', '.join(['ha'] * 9)}]" for i in range(11))

YAML = (
    f"!!python/object/apply:os.system ['{TOUCH}']",
    f"!!python/object/apply:subprocess.check_output [['sh', '-c', '{TOUCH}']]",
    f"!!python/object/new:os.system ['{TOUCH}']",
    "!!python/name:os.system",
    "!!python/module:this",
    f'!!python/object/apply:builtins.eval ["{_TOUCH_IN_PYTHON}"]',
    f'!!python/object/apply:builtins.exec ["{_TOUCH_IN_PYTHON}"]',
    "!!python/object:relumen.run.RunFolder {path: ../../outside/written}",
    "!!python/tuple [1, 2]",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['true']",
    "!custom {a: 1}",
    "!!binary '#'",
    "!!binary AAAA",
    "2020-99-99",
    "2020-01-01T99:99:99Z",
    "9999-12-31T23:59:59.999999999+23:59",
    "!!int 0x",
    "!!int ''",
    "!!int abc",
    "!!float x",
    "!!bool maybe",
    "!!timestamp x",
    "!!null x",
    "!!set {a, b}",
    "!!omap [a: 1, b: 2]",
    "!!pairs [a: 1]",
    "!!str [a]",
    "!!map [a]",
    "!!seq {a: 1}",
    "190:20:30:59:59:99",
    "1" * 5000,
    "0b" + "1" * 20_000,
    "0o" + "7" * 5000,
    "1e" + "9" * 400,
    ".inf",
    ".nan",
    "&a [*a]",
    "&a {*a : *a}",
    "&a {a: *a}",
    "*undefined",
    "? [a, b]\n: c",
    "? {a: 1}\n: c",
    "[" * 50,
    "[" * 100_000,
    "{a: " * 3000 + "}" * 3000,
    "- " * 3000 + "a",
    "a: " * 200 + "b",
    "? " * 3000,
    _LAUGHS,
    f"{_LAUGHS}\nsystem: *l10\nfolder: *l10\nname: *l10",
    "m: &m {a: 1}\n<<: *m\nb: {<<: [*m, *m], <<: *m}",
    "<<: 1",
    "<<: [1, 2]",
    "---\na: 1\n---\nb: 2",
    "%YAML 9.9\n---\na: 1",
    "%TAG ! tag:yaml.org,2002:python/\n---\n!object/apply:os.system ['true']",
    "a: b\n\tc: d",
    "a: 'b",
    "=",
    "a: =",
    "a: !!value =",
    "y: yes\ny: no",
    "\ufeffa: 1",
    "a: \x85b",
    "{[1]: 2}",
    "? !!binary AAAA\n: 1",
    "1: 2\n1.0: 3\ntrue: 4\nnull: 5\n2020-01-01: 6",
)
"""Texts in place of a value, or of a whole file."""


def yaml_bytes(draw: random.Random, text: str) -> bytes:
    """A YAML text with one of these somewhere in it, in some coding."""
    payload = draw.choice(YAML)
    lines = text.splitlines()
    way = draw.random()
    if way < 0.5 and lines:
        at = draw.randrange(len(lines))
        name, colon, _ = lines[at].partition(":")
        inside = payload if "\n" not in payload else json.dumps(payload)
        lines[at] = f"{name}: {inside}" if colon else f"- {inside}"
        payload = "\n".join(lines)
    elif way < 0.7:
        payload = f"{text}\n{payload}"
    coding = draw.choice(("utf-8", "utf-8", "utf-8", "utf-8", "utf-16", "utf-32", "latin1"))
    data = payload.encode(coding, "replace")
    return data if draw.random() < 0.9 else data + draw.choice((b"\xff\xfe", b"\0", b"\xed\xa0\x80", b"\x1b[2J"))


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.function, self.arguments


def evil(draw: random.Random) -> object:
    """An object whose unpickling runs something."""
    import builtins
    import subprocess

    calls = (
        Calls(os.system, TOUCH),
        Calls(subprocess.Popen, ["sh", "-c", TOUCH]),
        Calls(builtins.eval, _TOUCH_IN_PYTHON),
        Calls(builtins.exec, _TOUCH_IN_PYTHON),
        Calls(builtins.open, "../../outside/written", "w"),
        Calls(os.mkdir, "../../outside/written"),
        Calls(getattr, "", "__class__"),
        Calls(builtins.__import__, "this"),
    )
    return draw.choice(calls)


def hostile_pickle(draw: random.Random, value: object = None) -> bytes:
    """A pickle that runs something, by itself or inside another value."""
    inside = draw.choice((evil(draw), {"G_ema": evil(draw)}, (value, evil(draw)), [evil(draw)] * 3))
    data = pickle.dumps(inside, draw.randrange(6))
    return data if draw.random() < 0.8 else b"\x80\x02" + data[2:]


_OPERATIONS = (
    b"(", b")", b"]", b"}", b"t", b"l", b"d", b"a", b"e", b"s", b"u", b"0", b"1", b"2", b"R", b"b", b"o", b"\x81",
    b"\x85", b"\x86", b"\x87", b"\x8f", b"\x90", b"\x91", b"\x92", b"\x93", b"\x94", b"\x95" + b"\xff" * 8,
    b"\x96" + b"\xff" * 8, b"\x97", b"\x98", b"N", b"\x88", b"Q", b"P1\n", b"cos\nsystem\n", b"ios\nsystem\n",
    b"\x8c\x02os\x8c\x06system\x93", b"X\xff\xff\xff\x7f", b"\x8d" + b"\xff" * 8,
    b"\x8e" + b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"T\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f",
    b"\x8b\xff\xff\xff\xff", b"\x8a\xff" + b"\xff" * 255, b"j\xff\xff\xff\xff", b"h\xff", b"r\xff\xff\xff\xff",
    b"I" + b"9" * 6000 + b"\n", b"Lxx\n", b"F1e999\n", b"V\\u0000\n", b"\x82\x01", b"\x84\xff\xff\xff\x7f",
    b"J\xff\xff\xff\xff", b".", b"\x85" * 3000, b"(" * 3000, b"]" * 3000, b"2\x86" * 60, b"]\x942aa" * 40,
)  # fmt: skip


def other_instructions(draw: random.Random, data: bytes) -> bytes:
    """A pickle with instructions more, fewer, twice, or in another order."""
    import pickletools

    try:
        starts = [at for _, _, at in pickletools.genops(data) if at is not None]
    except Exception:  # damaged before
        return data
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.choice(starts)
        end = min((each for each in starts if each > at), default=len(data))
        way = draw.randrange(4)
        if way == 0:
            data = data[:at] + draw.choice(_OPERATIONS) + data[at:]
        elif way == 1:
            data = data[:at] + data[end:]
        elif way == 2:
            data = data[:at] + data[at:end] * draw.choice((2, 500)) + data[end:]
        else:
            data = data[:at] + draw.choice(_OPERATIONS) + data[end:]
    return data


def object_array(draw: random.Random) -> bytes:
    """A .npy file whose array holds a pickle."""
    payload = pickle.dumps(evil(draw), 2)
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload


def _lambda() -> dict[str, Any]:
    code = compile(f"(lambda x: ({_TOUCH_IN_PYTHON}, x)[1])", "x", "eval")
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
        layer("builtins", "eval", {"source": _TOUCH_IN_PYTHON}),
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


def write(parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these members."""
    answer = io.BytesIO()
    with zipfile.ZipFile(answer, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return answer.getvalue()


def saved_models(folder: Path) -> None:
    """SavedModels whose graphs write, read or never end, as zips in a folder; each multiplies its input by one too."""
    import tensorflow as tf

    secret, written = "../../outside/secret.txt", "../../outside/written"

    def write_file(x: tf.Tensor) -> tf.Tensor:
        tf.io.write_file(written, "hostile")
        return x

    def print_to_file(x: tf.Tensor) -> tf.Tensor:
        tf.print("hostile", output_stream=f"file://{written}")
        return x

    def read_file(x: tf.Tensor) -> tf.Tensor:
        return x + tf.cast(tf.strings.length(tf.io.read_file(secret)), tf.float32)

    def matching(x: tf.Tensor) -> tf.Tensor:
        return x + tf.cast(tf.size(tf.io.matching_files("../../outside/*")), tf.float32)

    def save(x: tf.Tensor) -> tf.Tensor:
        tf.raw_ops.SaveV2(prefix=written, tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        return x

    def calls_python(x: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(lambda y: y, [x], tf.float32), x.shape)

    def dataset(x: tf.Tensor) -> tf.Tensor:
        lines = tf.data.TextLineDataset(secret).map(lambda line: tf.cast(tf.strings.length(line), tf.float32))
        return x + lines.reduce(0.0, lambda a, b: a + b)

    def inner(x: tf.Tensor) -> tf.Tensor:
        return tf.cond(tf.reduce_sum(x) > -1e30, lambda: write_file(x), lambda: x)

    for function in (write_file, print_to_file, read_file, matching, save, calls_python, dataset, inner):
        module = tf.Module()
        made = tf.function(lambda input, function=function: {"output": function(input)})
        signature = tf.TensorSpec((None, None, None, 1), tf.float32, "input")
        target = folder / "model"
        tf.saved_model.save(module, str(target), {"serving_default": made.get_concrete_function(signature)})
        parts = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        (folder / f"{function.__name__}.zip").write_bytes(write(parts))


def onnx_file(draw: random.Random, data: bytes) -> bytes:
    """An ONNX file whose weights lie elsewhere, or whose sizes, types or nodes are others."""
    import onnx

    model = onnx.load_from_string(data)
    graph = model.graph
    way = draw.randrange(6)
    if way == 0:
        tensor = draw.choice(graph.initializer)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        place = draw.choice(("../../outside/secret.txt", "/etc/passwd", "nothing"))
        for key, value in (("location", place), ("offset", "0"), ("length", draw.choice(("64", "-1", "99999999999")))):
            tensor.external_data.add(key=key, value=value)
    elif way == 1:
        tensor = draw.choice([each for each in graph.initializer if each.dims])
        tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice((0, -1, 1 << 40, (1 << 63) - 1))
    elif way == 2:
        node = draw.choice(graph.node)
        node.op_type, node.domain = draw.choice(("If", "Loop", "Nothing", "Conv", "Reshape")), draw.choice(("", "evil"))
    elif way == 3:
        node = draw.choice([each for each in graph.node if each.input])
        node.input[draw.randrange(len(node.input))] = draw.choice(
            [*graph.node[0].output, "", "nothing", node.output[0]]
        )
    elif way == 4:
        model.opset_import[0].version = draw.choice((0, 1, 99, -1))
        model.ir_version = draw.choice((0, 3, 99))
    else:
        del graph.node[draw.randrange(len(graph.node))]
    return model.SerializeToString()


def saved_model_bytes(draw: random.Random, data: bytes) -> bytes:
    """A saved_model.pb with other operations, types, names, functions or constants."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel.FromString(data)
    meta = model.meta_graphs[0]
    graphs = [meta.graph_def.node, *(function.node_def for function in meta.graph_def.library.function)]
    nodes = draw.choice([each for each in graphs if len(each)])
    node = draw.choice(nodes)
    way = draw.randrange(8)
    if way == 0:
        node.op = draw.choice(("WriteFile", "Nothing", "Const", "PyFunc", "StatefulPartitionedCall", "While", "Conv2D"))
    elif way == 1 and node.input:
        node.input[draw.randrange(len(node.input))] = draw.choice((node.name, "", "nothing:9", "^x", nodes[-1].name))
    elif way == 2 and node.attr:
        del node.attr[draw.choice(sorted(node.attr))]
    elif way == 3:
        node.attr["T"].type = draw.choice((0, 1, 7, 20, 21, 99))
        node.attr["dtype"].type = draw.choice((0, 1, 7, 20, 21, 99))
    elif way == 4:
        constants = [each for each in nodes if each.op == "Const"] or [node]
        tensor = draw.choice(constants).attr["value"].tensor
        if tensor.tensor_shape.dim:
            tensor.tensor_shape.dim[0].size = draw.choice((0, -1, 1 << 20, 1 << 40, (1 << 63) - 1))
        tensor.tensor_content = tensor.tensor_content[: draw.choice((0, 3))]
    elif way == 5:
        for function in meta.graph_def.library.function:
            for each in function.node_def:
                if "f" in each.attr:
                    each.attr["f"].func.name = function.signature.name  # calls itself
    elif way == 6:
        for each in meta.object_graph_def.nodes:
            for child in each.children:
                child.node_id = draw.choice((0, child.node_id, child.node_id, 9999, -1))
    else:
        signature = meta.signature_def["serving_default"]
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            tensor.name = draw.choice((tensor.name, "nothing:0", "", "x:99"))
            tensor.dtype = draw.choice((tensor.dtype, 0, 7))
    return model.SerializeToString()
