"""One Keras network -> the weights that Fiji's engines, the zoo and Python load.

TensorFlow 2.7.4 and 2.10.1 (JDLL's) read the SavedModel, ONNX Runtime 1.13.1 the ONNX: so constants in place of
variables, no attribute that an older TensorFlow doesn't know, opset 15.
"""

from __future__ import annotations

import logging
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen.differences import largest_deviation
from relumen.errors import CheckFailedError, UserError
from relumen.runners import SIGNATURE
from relumen.tiling import Float32, Runner

from .channels_last import has_channels_first, with_channels_last
from .foreign import foreign_parts
from .plain import plain, steady

if TYPE_CHECKING:
    import keras

INPUT_ID = "input"
OUTPUT_ID = "output"
ONNX_OPSET = 15
"""From opset 16 on, tf2onnx 1.17 gives rank 5 for a convolution after a convolution."""
NEWEST_IR = 8
"""The newest file version that ONNX Runtime 1.13 reads."""
_BROKEN_PASS = "reshape_optimizer"
"""It squeezes an output of rank 5, and forgets that where this is the network's own output: with some hash seeds."""
_ZIP_TIME = (2000, 1, 1, 0, 0, 0)  # so that equal graphs make equal zips
_SAVED_MODEL_FILE = "saved_model.pb"

Frozen = Callable[..., Any]
"""A TensorFlow ConcreteFunction without variables; its type is private."""


def freeze(model: keras.Model, size: int | None = None) -> Frozen:
    """The network as a TensorFlow function with its weights folded into constants.

    Args:
        model: one tensor (batch, y, x, channels) -> one tensor (batch, scale * y, scale * x, channels out).
        size: y and x of the only input that is to be taken; None: any.

    Returns:
        A function of one argument named "input", which gives {"output": ...}, both float32; batch is open, and y and x
        where no size is given.

    Raises:
        UserError: Keras runs on another backend, or the network has several inputs or outputs.
    """
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"Packages are exported with Keras on TensorFlow. KERAS_BACKEND is {keras.backend.backend()!r}: "
            "set it to 'tensorflow'."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            f"DeepImageJ runs networks with one input and one output. {model.name} has {len(model.inputs)} and "
            f"{len(model.outputs)}: put conditions into the graph."
        )
    model = steady(model)
    channels = model.inputs[0].shape[-1]
    argument = tf.TensorSpec((None, size, size, channels), tf.float32, name=INPUT_ID)
    network = tf.function(
        lambda image: tf.cast(_only(model(image, training=False)), tf.float32), input_signature=[argument]
    )
    folded = convert_variables_to_constants_v2(network.get_concrete_function())

    graph = folded.graph.as_graph_def()
    turned = with_channels_last(graph) if has_channels_first(graph) else None

    # The folded function takes and gives positions: wrapped once more, it takes and gives names.
    def named(image: Any) -> dict[str, Any]:  # noqa: ANN401  a symbolic tensor
        if turned is None:
            answer = _only(folded(image))
        else:
            places = {folded.inputs[0].name: image}
            (answer,) = tf.graph_util.import_graph_def(turned, places, [folded.outputs[0].name], name="turned")
            answer.set_shape(folded.outputs[0].shape)
        return {OUTPUT_ID: tf.identity(answer, name=OUTPUT_ID)}

    return tf.function(named, input_signature=[argument]).get_concrete_function()


def tensor_runner(frozen: Frozen) -> Runner:
    """A frozen network as a function of arrays (batch, y, x, channels)."""
    import tensorflow as tf

    def run(tiles: Float32) -> Float32:
        return np.asarray(frozen(tf.constant(tiles, tf.float32))[OUTPUT_ID], np.float32)

    return run


def save_saved_model(frozen: Frozen, path: Path) -> None:
    """Writes the network as a zipped SavedModel with one signature; saved_model.pb stands at the zip's root.

    Args:
        frozen: from :func:`freeze`.
        path: the .zip file.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.python.framework.meta_graph import strip_graph_default_valued_attrs

    with tempfile.TemporaryDirectory(prefix="relumen-saved-model-") as name:
        tf.saved_model.save(tf.Module(), name, signatures={SIGNATURE: frozen})
        folder = Path(name)
        saved = SavedModel.FromString((folder / _SAVED_MODEL_FILE).read_bytes())
        # Attributes at their defaults say nothing, and those that are newer than the reader make it refuse.
        for graph in saved.meta_graphs:
            strip_graph_default_valued_attrs(graph)
            graph.meta_info_def.stripped_default_attrs = True
        (folder / _SAVED_MODEL_FILE).write_bytes(saved.SerializeToString(deterministic=True))
        # The checkpoint is empty but for the objects' names; Python's TensorFlow wants it.
        files = [folder / _SAVED_MODEL_FILE, *sorted((folder / "variables").iterdir())]
        with zipfile.ZipFile(path, "w") as zipped:
            for file in files:
                entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _ZIP_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                zipped.writestr(entry, file.read_bytes())


def save_onnx(frozen: Frozen, path: Path) -> None:
    """Writes the network as ONNX with tensors named "input" and "output", and batch, y and x open where they were.

    Args:
        frozen: from :func:`freeze`.
        path: the .onnx file.

    Raises:
        CheckFailedError: the conversion failed, or gave a graph that Fiji's ONNX Runtime can't read.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tf2onnx import optimizer

    flat = convert_variables_to_constants_v2(frozen)  # inlines the wrapper
    source, target = flat.inputs[0].name, flat.outputs[0].name
    try:
        with _quiet("tensorflow", "tf2onnx"), tf.Graph().as_default() as graph:
            folded = tf2onnx.tf_loader.tf_optimize([source], [target], flat.graph.as_graph_def())
            tf.import_graph_def(folded, name="")
            converted = tf2onnx.tfonnx.process_tf_graph(
                graph,
                opset=ONNX_OPSET,
                input_names=[source],
                output_names=[target],
                tensors_to_rename={source: INPUT_ID, target: OUTPUT_ID},
            )
            passes = {name: each for name, each in optimizer._optimizers.items() if name != _BROKEN_PASS}
            model = optimizer.optimize_graph(converted, catch_errors=False, optimizers=passes).make_model("relumen")
    # tf2onnx raises whatever its handlers for single operations raise.
    except Exception as error:
        raise CheckFailedError(
            f"The network could not be converted to ONNX opset {ONNX_OPSET}: {error}. "
            "It probably holds an operation that tf2onnx doesn't know."
        ) from error
    shapes = flat.inputs[0].shape, flat.outputs[0].shape
    for value, shape in zip((model.graph.input[0], model.graph.output[0]), shapes, strict=True):
        dimensions = value.type.tensor_type.shape.dim
        if len(dimensions) != 4:
            raise CheckFailedError(f"The ONNX conversion gave {value.name!r} the rank {len(dimensions)} in place of 4.")
        which = "in" if value.name == INPUT_ID else "out"
        for dimension, axis, size in zip(dimensions, ("batch", f"y_{which}", f"x_{which}"), shape, strict=False):
            dimension.Clear()
            if size is None:
                dimension.dim_param = axis
            else:
                dimension.dim_value = size
    del model.graph.value_info[:]  # shapes of inner tensors, in names that no longer exist
    model.ir_version = min(model.ir_version, NEWEST_IR)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def save_keras(model: keras.Model, path: Path) -> None:
    """Writes the network as Keras's own file, without optimiser and relumen's own layers, for users of Python.

    Args:
        model: the network.
        path: the .keras file.
    """
    import keras

    model = plain(model)
    if model.compiled:  # its losses and metrics may need code that nobody else has
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    model.save(path)


def custom_layers(model: keras.Model) -> list[str]:
    """What the network holds that doesn't come with Keras, so that a .keras file would open with its code alone."""
    import keras

    config = keras.saving.serialize_keras_object(plain(model))
    return sorted({part.name for part in foreign_parts(config)})


def difference(answer: NDArray[Any], reference: NDArray[Any], what: str) -> float:
    """Largest difference of two answers in standard deviations of the reference.

    Raises:
        CheckFailedError: they differ in shape, or the answer holds no finite numbers.
    """
    if answer.shape != reference.shape:
        raise CheckFailedError(f"{what} answers with the shape {answer.shape}, Keras with {reference.shape}.")
    if not np.isfinite(answer).all():
        raise CheckFailedError(f"{what} answers with NaN or infinite values.")
    return largest_deviation(answer, reference)


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keeps libraries' notices about their own deprecated parts from the user."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _only(answer: Any) -> Any:  # noqa: ANN401  a tensor, alone or in a container
    if isinstance(answer, dict):
        return next(iter(answer.values()))
    return answer[0] if isinstance(answer, list | tuple) else answer
