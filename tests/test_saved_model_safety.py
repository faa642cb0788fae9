"""A SavedModel's graph only computes, or it isn't loaded."""

import shutil
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from relumen.export.verify import verify_package
from relumen.runners import runner
from relumen.saved_model_safety import UnsafeGraphError


def save(folder, function, module=None):
    module = module or tf.Module()
    signature = tf.TensorSpec((None, None, None, 1), tf.float32, "input")
    made = tf.function(lambda input: {"output": function(input)}).get_concrete_function(signature)
    tf.saved_model.save(module, str(folder / "model"), {"serving_default": made})
    return folder / "model"


def load(folder):
    return runner("tensorflow_saved_model_bundle", folder, input_id="input", output_id="output")


def test_variables_and_random_numbers_are_what_networks_have(tmp_path):
    module = tf.Module()
    module.factor = tf.Variable(2.0)
    model = save(tmp_path, lambda x: x * module.factor + 0 * tf.random.normal(tf.shape(x)), module)
    assert load(model)(np.ones((1, 2, 2, 1), np.float32)).max() == 2


def hostile(path):
    file = str(path)
    return {
        "writes": lambda x: (tf.io.write_file(file, "x"), x)[1],
        "writes in a branch": lambda x: tf.cond(
            x[0, 0, 0, 0] > 0, lambda: (tf.io.write_file(file, "x"), x)[1], lambda: x
        ),
        "prints": lambda x: (tf.print("x", output_stream=f"file://{file}"), x)[1],
        "saves": lambda x: (tf.raw_ops.SaveV2(prefix=file, tensor_names=["x"], shape_and_slices=[""], tensors=[x]), x)[
            1
        ],
        "reads": lambda x: x + tf.cast(tf.strings.length(tf.io.read_file(file)), tf.float32),
        "looks": lambda x: x + tf.cast(tf.size(tf.io.matching_files(file)), tf.float32),
        "calls Python": lambda x: tf.ensure_shape(tf.numpy_function(lambda y: y, [x], tf.float32), x.shape),
    }


@pytest.mark.parametrize("what", hostile("x"))
def test_what_does_more_is_refused(tmp_path, what):
    model = save(tmp_path, hostile(tmp_path / "written")[what])
    with pytest.raises(UnsafeGraphError, match="beside computing, its graph would do"):
        load(model)
    assert not (tmp_path / "written").exists()


def test_verify_runs_nothing_of_such_a_package(tmp_path, small_package):
    package = tmp_path / "package"
    shutil.copytree(small_package, package)
    model = save(tmp_path, hostile(tmp_path / "written")["writes"])
    with zipfile.ZipFile(package / "saved_model.zip", "w") as archive:
        for path in model.rglob("*"):
            archive.write(path, path.relative_to(model))
    report = verify_package(package)
    states = {check.name: check.status for check in report.checks}
    assert states["load tensorflow_saved_model_bundle"] == "failed"
    assert states["bioimageio test"] == "skipped"
    assert not (tmp_path / "written").exists()
