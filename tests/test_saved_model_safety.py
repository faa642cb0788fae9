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


def old(folder, written, route):
    """A SavedModel as TensorFlow 1 made them, that writes a file while it is loaded."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder(tf.float32, (None, None, None, 1), "input")
        factor = v1.get_variable("factor", initializer=2.0, use_resource=False)
        answer = tf.multiply(given, factor, "output")
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver([factor])
        write = tf.io.write_file(written, "x")
        if route == "restores":
            with tf.control_dependencies([write, session.graph.get_operation_by_name("save/restore_all")]):
                tf.no_op("restores_and_writes")
            saver.saver_def.restore_op_name = "restores_and_writes"
        elif route == "sets its tables":
            v1.add_to_collection("table_initializer", write)
        elif route == "sets its local variables":
            with tf.control_dependencies([write]):
                v1.get_variable("local", initializer=tf.constant(1.0), collections=["local_variables"])
        builder = v1.saved_model.Builder(str(folder / "model"))
        signature = v1.saved_model.predict_signature_def({"input": given}, {"output": answer})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, saver=saver)
        builder.save()
    return folder / "model"


def test_a_network_of_tensorflow_1_is_loaded(tmp_path):
    model = old(tmp_path, str(tmp_path / "written"), "does nothing else")
    assert load(model)(np.ones((1, 2, 2, 1), np.float32)).max() == 2


@pytest.mark.parametrize("route", ["restores", "sets its tables", "sets its local variables"])
def test_what_does_more_while_it_is_loaded_is_refused(tmp_path, route):
    model = old(tmp_path, str(tmp_path / "written"), route)
    with pytest.raises(UnsafeGraphError, match="WriteFile"):
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
