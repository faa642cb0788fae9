"""Weights for engines of 2021 and 2022: constants alone, few attributes, names as the tensor ids, any size."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from relumen.errors import CheckFailedError, UserError
from relumen.export import weights
from relumen.models.esrgan import generator
from relumen.runners import runner


@pytest.fixture(scope="module")
def network():
    import keras

    keras.utils.set_random_seed(3)
    return generator(blocks=1, width=8, growth=4)


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    frozen = weights.freeze(network)
    weights.save_saved_model(frozen, folder / "tensorflow_saved_model_bundle.zip")
    weights.save_onnx(frozen, folder / "onnx.onnx")
    weights.save_keras(network, folder / "keras_v3.keras")
    return folder


@pytest.mark.parametrize("file", ["tensorflow_saved_model_bundle.zip", "onnx.onnx", "keras_v3.keras"])
@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 21, 34)])
def test_each_format_answers_as_keras_does_at_any_size(network, files, file, shape):
    image = np.random.default_rng(0).normal(size=(*shape, 1)).astype(np.float32)
    run = runner(file.split(".")[0], files / file, input_id="input", output_id="output")
    assert weights.difference(run(image), np.asarray(network(image, training=False)), file) < 1e-4


def test_the_saved_model_holds_nothing_that_tensorflow_2_7_does_not_know(files):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    with zipfile.ZipFile(files / "tensorflow_saved_model_bundle.zip") as zipped:
        names = zipped.namelist()
        saved = SavedModel.FromString(zipped.read("saved_model.pb"))
    assert names[0] == "saved_model.pb" and all(name.startswith("variables/") for name in names[1:])
    (graph,) = saved.meta_graphs
    assert set(graph.signature_def) - {"__saved_model_init_op"} == {"serving_default"}
    signature = graph.signature_def["serving_default"]
    for tensors, name in ((signature.inputs, "input"), (signature.outputs, "output")):
        assert list(tensors) == [name]
        assert [d.size for d in tensors[name].tensor_shape.dim] == [-1, -1, -1, 1]
    nodes = [*graph.graph_def.node, *(n for f in graph.graph_def.library.function for n in f.node_def)]
    assert not {node.op for node in nodes} & {"VarHandleOp", "ReadVariableOp", "AssignVariableOp"}
    assert not any("grad_a" in node.attr or "use_cudnn_on_gpu" in node.attr for node in nodes)  # defaults are gone


def test_the_zip_tells_nothing_of_when_and_where_it_was_made(files):
    with zipfile.ZipFile(files / "tensorflow_saved_model_bundle.zip") as zipped:
        assert {(entry.date_time, entry.external_attr >> 16) for entry in zipped.infolist()} == {
            ((2000, 1, 1, 0, 0, 0), 0o644)
        }


def test_the_onnx_file_is_one_that_onnx_runtime_1_13_reads(files):
    import onnx

    model = onnx.load(files / "onnx.onnx")
    assert model.ir_version <= 8
    assert [(entry.domain, entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")] == [
        ("", 15)
    ]
    for (value,), name, last in ((model.graph.input, "input", "in"), (model.graph.output, "output", "out")):
        dims = value.type.tensor_type.shape.dim
        assert value.name == name
        assert [d.dim_param or d.dim_value for d in dims] == ["batch", f"y_{last}", f"x_{last}", 1]


def test_layers_of_ones_own_are_named(network):
    import keras

    class Mine(keras.layers.Layer):
        def call(self, x):
            return x + 1

    image = keras.Input((None, None, 1))
    inner = keras.Model(image, Mine()(image))
    outer = keras.Input((None, None, 1))
    assert weights.custom_layers(network) == []
    (name,) = weights.custom_layers(keras.Model(outer, inner(outer)))
    assert name.endswith("Mine")


def test_two_inputs_are_refused():
    import keras

    a, b = keras.Input((None, None, 1)), keras.Input((None, None, 1))
    with pytest.raises(UserError, match="has 2 and 1: put conditions into the graph"):
        weights.freeze(keras.Model([a, b], a + b))


@pytest.mark.parametrize(
    ("answer", "words"),
    [(np.zeros((1, 4, 4, 1)), r"with the shape \(1, 4, 4, 1\)"), (np.full((1, 8, 8, 1), np.nan), "NaN")],
)
def test_answers_that_cannot_be_compared_are_told(answer, words):
    with pytest.raises(CheckFailedError, match=words):
        weights.difference(answer, np.ones((1, 8, 8, 1)), "ONNX")


def test_the_order_of_hashes_does_not_change_the_onnx_files_rank(tmp_path):
    """With this seed, one of tf2onnx's optimizers loses the last operation of a one-channel network."""
    program = (
        "import sys, keras\n"
        "from pathlib import Path\n"
        "from relumen.export import weights\n"
        "image = keras.Input((None, None, 1))\n"
        "model = keras.Model(image, keras.layers.DepthwiseConv2D(1)(image))\n"
        "weights.save_onnx(weights.freeze(model), Path(sys.argv[1]))\n"
    )
    path = tmp_path / "model.onnx"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run([sys.executable, "-P", "-c", program, str(path)], env=environment, check=True, timeout=120)
    run = runner("onnx", path, input_id="input", output_id="output")
    assert run(np.ones((2, 5, 6, 1), np.float32)).shape == (2, 5, 6, 1)
