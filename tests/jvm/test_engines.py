"""Fiji's engines on a real Java virtual machine, against Keras."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from relumen.errors import CheckFailedError, UserError
from relumen.export import engines
from relumen.export.engines import ENGINES, run_in_engine

pytestmark = pytest.mark.jvm
NAMES = {"input_id": "raw", "output_id": "restored"}
TENSORFLOW, ONNX = "tf-java-0.4.2", "onnxruntime-java-1.13.1"


@pytest.fixture(scope="module")
def network():
    import keras

    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 2))
    features = keras.layers.Conv2D(8, 3, padding="same", activation="leaky_relu")(image)
    larger = keras.layers.UpSampling2D(2, interpolation="nearest")(features)
    return keras.Model(image, keras.layers.Conv2D(1, 3, padding="same")(larger))


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    """Frozen weights in both formats, with tensor ids as names: {format: path}."""
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    folder = tmp_path_factory.mktemp("weights")
    signature = [tf.TensorSpec((None, None, None, 2), tf.float32, name="raw")]
    concrete = tf.function(lambda raw: network(raw, training=False)).get_concrete_function(*signature)
    frozen = convert_variables_to_constants_v2(concrete)
    module = tf.Module()
    module.serve = tf.function(lambda raw: {"restored": frozen(raw)[0]}, input_signature=signature)
    bundle = folder / "bundle"
    tf.saved_model.save(module, str(bundle), {"serving_default": module.serve.get_concrete_function()})
    onnx = folder / "weights.onnx"
    tf2onnx.convert.from_function(module.serve, signature, opset=15, output_path=str(onnx))
    zipped = Path(shutil.make_archive(str(bundle), "zip", bundle))
    return {"tensorflow_saved_model_bundle": zipped, "onnx": onnx}


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(3)
    return [random.normal(size=(1, *size, 2)).astype(np.float32) for size in ((32, 48), (17, 23), (64, 64))]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_answers_like_keras(engine, network, weights, images):
    answers = run_in_engine(engine, weights[ENGINES[engine].weights_format], images, **NAMES)
    for answer, image in zip(answers, images, strict=True):
        expected = np.asarray(network(image))
        assert (answer.shape, answer.dtype) == (expected.shape, np.float32)
        np.testing.assert_allclose(answer, expected, atol=1e-5 * expected.std())


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_runs_a_network_of_one_size(engine, fixed_package):
    """Means over a whole tile, and a graph whose input has a fixed size."""
    files = {"tensorflow_saved_model_bundle": "saved_model.zip", "onnx": "model.onnx"}
    image, expected = (np.load(fixed_package / f"test_{which}.npy") for which in ("input", "output"))
    image = (image - image.mean(dtype=np.float64)) / (image.std(dtype=np.float64) + 1e-6)
    path = fixed_package / files[ENGINES[engine].weights_format]
    [answer] = run_in_engine(engine, path, [image.astype(np.float32)], input_id="input", output_id="output")
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-4 * expected.std())


def test_a_saved_model_may_be_a_folder_and_its_input_any_memory_layout(network, weights, images):
    strided = images[0][:, ::-1, ::2]
    folder = weights["tensorflow_saved_model_bundle"].with_suffix("")
    [answer] = run_in_engine(TENSORFLOW, folder, [strided], **NAMES)
    np.testing.assert_allclose(answer, network(strided.copy()), atol=1e-5)


def test_python_tensorflow_is_not_in_the_engines_process():
    code = "import sys, relumen.export.engine_worker; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("engine", "file"), [(TENSORFLOW, "saved_model.pb"), (ONNX, "weights.onnx")])
def test_broken_weights_are_refused_in_the_engines_words(engine, file, images, tmp_path):
    (tmp_path / file).write_bytes(b"no network" * 20)
    path = tmp_path / file if engine == ONNX else tmp_path
    with pytest.raises(CheckFailedError, match=rf"{engine} .* did not run .*: (org\.tensorflow|ai\.onnx).*\w+"):
        run_in_engine(engine, path, images[:1], **NAMES)


@pytest.mark.parametrize("engine", [TENSORFLOW, ONNX])
def test_other_names_and_other_channels_are_told(engine, weights, images):
    path = weights[ENGINES[engine].weights_format]
    with pytest.raises(CheckFailedError, match=r"no output named 'sharp'. Its outputs: restored"):
        run_in_engine(engine, path, images[:1], input_id="raw", output_id="sharp")
    with pytest.raises(CheckFailedError, match="depth|dimensions"):
        run_in_engine(engine, path, [images[0][..., :1]], **NAMES)


def test_a_crash_is_told_with_the_last_words(weights, images, tmp_path, monkeypatch):
    crash = "import os, signal\nprint('going down', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    (tmp_path / "crashing_worker.py").write_text(crash)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(engines, "_WORKER", "crashing_worker")
    with pytest.raises(CheckFailedError, match=r"(?s)crashed \(SIGSEGV\). Its last words:\ngoing down"):
        run_in_engine(ONNX, weights["onnx"], images[:1], **NAMES)


def test_a_slow_engine_is_stopped(weights, images):
    with pytest.raises(CheckFailedError, match=r"stopped after 0\.1 s"):
        run_in_engine(ONNX, weights["onnx"], images[:1], **NAMES, timeout_s=0.1)


def test_wrong_use_is_told(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no engine 'tf-java-9'. Choose one of: tf-java-0.4.2"):
        run_in_engine("tf-java-9", tmp_path, [], **NAMES)
    with pytest.raises(UserError, match="no weights at"):
        run_in_engine(ONNX, tmp_path / "none.onnx", [], **NAMES)
    monkeypatch.setattr(engines.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(engines.platform, "machine", lambda: "arm64")
    with pytest.raises(UserError, match="tf-java-0.4.2 is not made for Darwin arm64.*ONNX"):
        run_in_engine(TENSORFLOW, tmp_path, [], **NAMES)
    assert ENGINES[ONNX].missing_here is None
