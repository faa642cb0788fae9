import shutil
from pathlib import Path

import numpy as np
import pytest

from relumen.errors import UserError
from relumen.package import open_package
from relumen.runners import from_axes, package_runner, runner, to_axes

NAMES = {"input_id": "input", "output_id": "output"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    """One network, twice the size and three channels out, in the three formats."""
    import keras
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 1), name="input")
    hidden = keras.layers.Conv2D(3, 3, padding="same", name="hidden")(keras.layers.UpSampling2D(2)(inputs))
    model = keras.Model(inputs, hidden)
    model.save(folder / "weights.keras")

    spec = tf.TensorSpec((None, None, None, 1), tf.float32, name="input")
    call = tf.function(lambda x: {"output": model(x)}, input_signature=[spec])
    frozen = convert_variables_to_constants_v2(call.get_concrete_function())
    module = tf.Module()
    module.call = tf.function(lambda x: {"output": frozen(x)[0]}, input_signature=[spec])  # type: ignore[attr-defined]
    signatures = {"serving_default": module.call.get_concrete_function(spec)}  # type: ignore[attr-defined]
    tf.saved_model.save(module, str(folder / "saved"), signatures=signatures)
    shutil.make_archive(str(folder / "saved"), "zip", folder / "saved")
    tf2onnx.convert.from_function(call, [spec], opset=15, output_path=str(folder / "weights.onnx"))
    return {
        "keras_v3": folder / "weights.keras",
        "folder": folder / "saved",
        "tensorflow_saved_model_bundle": folder / "saved.zip",
        "onnx": folder / "weights.onnx",
    }


def test_all_formats_give_the_same(weights):
    tiles = np.random.default_rng(0).normal(size=(2, 16, 24, 1)).astype(np.float32)
    answers = {
        name: runner("tensorflow_saved_model_bundle" if name == "folder" else name, path, **NAMES)(tiles)
        for name, path in weights.items()
    }
    for answer in answers.values():
        assert answer.shape == (2, 32, 48, 3) and answer.dtype == np.float32
        np.testing.assert_allclose(answer, answers["keras_v3"], atol=1e-5)
    assert answers["onnx"].std() > 0.1


def test_float64_and_strided_tiles_are_taken(weights):
    run = runner("onnx", weights["onnx"], **NAMES)
    tiles = np.random.default_rng(0).normal(size=(1, 32, 32, 1))
    np.testing.assert_array_equal(run(tiles[:, ::2, ::2]), run(tiles[:, ::2, ::2].astype(np.float32)))


def test_names_that_the_weights_do_not_have(weights):
    for form in ("onnx", "tensorflow_saved_model_bundle"):
        with pytest.raises(UserError, match="no input named 'raw'; it has: .*input"):
            runner(form, weights[form], input_id="raw", output_id="output")
        with pytest.raises(UserError, match="no output named 'mask'; it has: output"):
            runner(form, weights[form], input_id="input", output_id="mask")


def test_unknown_format_and_missing_file(tmp_path):
    with pytest.raises(UserError, match="Received: 'torchscript'"):
        runner("torchscript", tmp_path, **NAMES)
    with pytest.raises(UserError, match="no weights at"):
        runner("onnx", tmp_path / "gone.onnx", **NAMES)


def test_an_onnx_tensor_that_is_shorter_than_its_shape_is_refused(weights, tmp_path):
    import onnx

    model = onnx.load(weights["onnx"])
    next(each for each in model.graph.initializer if each.dims).dims[0] = 1 << 40
    onnx.save(model, tmp_path / "claims.onnx")
    with pytest.raises(UserError, match=r"says to hold [\d,]+ values, and is shorter"):
        runner("onnx", tmp_path / "claims.onnx", **NAMES)


@pytest.mark.parametrize("form", ["onnx", "keras_v3", "tensorflow_saved_model_bundle"])
def test_files_that_hold_something_else(tmp_path, form):
    path = tmp_path / ("weights.keras" if form == "keras_v3" else "weights.bin")
    path.write_bytes(b"this is not a network" * 50)
    with pytest.raises(UserError, match="is not a"):
        runner(form, path, **NAMES)


def test_a_saved_model_must_lie_at_the_root_and_be_one(weights, tmp_path):
    wrapped = shutil.make_archive(str(tmp_path / "wrapped"), "zip", weights["folder"].parent, "saved")
    with pytest.raises(UserError, match="no saved_model.pb at its root"):
        runner("tensorflow_saved_model_bundle", Path(wrapped), **NAMES)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match="not a SavedModel"):
        runner("tensorflow_saved_model_bundle", tmp_path / "broken", **NAMES)


@pytest.mark.parametrize("axes", ["byxc", "bcyx", "cxyb", "yxc", "byx", "xy"])
def test_axes_go_there_and_back(axes):
    array = np.random.default_rng(0).normal(size=(1, 5, 4, 1 if "c" not in axes else 3))
    there = to_axes(array, axes)
    assert there.shape == tuple(array.shape["byxc".index(letter)] for letter in axes)
    np.testing.assert_array_equal(from_axes(there, axes), array)


def test_a_channel_first_network_is_called_channel_last(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    shape = ["b", 2, "y", "x"]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["input"], ["output"])],
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
    )
    path = tmp_path / "first.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    run = runner("onnx", path, **NAMES, input_axes="bcyx", output_axes="bcyx")
    tiles = np.random.default_rng(0).normal(size=(3, 5, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(run(tiles), np.maximum(tiles, 0))
    with pytest.raises(UserError, match="takes one at a time"):
        to_axes(tiles, "byx")


def test_exhausted_memory_is_pythons_own_error(small_package, monkeypatch):
    """So that `relumen restore` can go on with smaller tiles, whichever engine it is."""
    import tensorflow as tf

    with open_package(small_package) as package:
        run = package_runner(package, "keras_v3")

        def exhausted(*_, **__):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

        monkeypatch.setattr(tf, "constant", exhausted)
        with pytest.raises(MemoryError, match="OOM"):
            run(np.zeros((1, 8, 8, 1), np.float32))


def test_a_network_that_fails_is_told_plainly(small_package):
    with open_package(small_package) as package:
        for form in package.weights:
            with pytest.raises(UserError, match="can't compute on this image"):
                package_runner(package, form)(np.zeros((1, 8, 8, 5), np.float32))
