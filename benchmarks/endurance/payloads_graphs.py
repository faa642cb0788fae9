"""SavedModels and ONNX files whose graphs would write, read or never end, or are no graphs."""

from __future__ import annotations

import random
from pathlib import Path

from damage_zip import write


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
