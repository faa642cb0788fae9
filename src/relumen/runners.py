"""A package's weights as a function on arrays: SavedModel, ONNX or Keras file, all called alike."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relumen.archive import unpack
from relumen.errors import UserError
from relumen.keras_files import load_network
from relumen.onnx_claims import check_onnx
from relumen.package import WEIGHTS_FORMATS, Package
from relumen.saved_model_safety import UnsafeGraphError, check_saved_model
from relumen.tiling import Float32, Runner

if TYPE_CHECKING:
    import keras

SIGNATURE = "serving_default"


def package_runner(package: Package, weights_format: str | None = None) -> Runner:
    """A package's network on (batch, y, x, channels), whatever the order of the axes in its weights.

    Args:
        package: an open package.
        weights_format: one of the package's formats; by default the first that relumen prefers.

    Raises:
        UserError: the package has no weights of that format, or they cannot be loaded.
    """
    chosen = weights_format or next(iter(package.weights))
    if chosen not in package.weights:
        raise UserError(f"{package.name} has no weights of format {chosen!r}. It has: {', '.join(package.weights)}")
    return runner(
        chosen,
        package.weights[chosen],
        input_id=package.input_id,
        output_id=package.output_id,
        input_axes=package.input_axes,
        output_axes=package.output_axes,
    )


def check_weights(saved_model: Path) -> None:
    """Refuses a zip of a SavedModel that would do more than compute, before anything loads it.

    Raises:
        UnsafeGraphError: it would.
    """
    with tempfile.TemporaryDirectory(prefix="relumen-weights-") as temporary:
        folder = Path(temporary) / "model"
        try:
            unpack(saved_model, folder)
            check_saved_model(folder, saved_model)
        except UnsafeGraphError:
            raise
        except UserError:
            return  # a damaged file, which whoever loads it tells


def runner(
    weights_format: str,
    weights: Path,
    *,
    input_id: str,
    output_id: str,
    input_axes: str = "byxc",
    output_axes: str = "byxc",
) -> Runner:
    """Loads weights and returns them as a function.

    Args:
        weights_format: ``tensorflow_saved_model_bundle``, ``onnx`` or ``keras_v3``.
        weights: a SavedModel's folder or zip, an .onnx file, or a .keras file.
        input_id: name of the input in a SavedModel's signature or an ONNX graph.
        output_id: name of the output.
        input_axes: order of the input's axes in these weights, such as ``bcyx``.
        output_axes: order of the output's axes.

    Returns:
        A function (batch, y, x, channels) -> (batch, scale * y, scale * x, channels out), float32. It raises a
        UserError where the network can't compute, and a MemoryError where it has too little memory to.

    Raises:
        UserError: an unknown format, weights that cannot be loaded, or names that they do not have.
    """
    loaders = {"tensorflow_saved_model_bundle": _saved_model, "onnx": _onnx, "keras_v3": _keras}
    if weights_format not in loaders:
        raise UserError(
            f"relumen runs weights of the formats {', '.join(WEIGHTS_FORMATS)}. Received: {weights_format!r}"
        )
    if not weights.exists():
        raise UserError(f"There are no weights at {weights}.")
    call = loaders[weights_format](weights, input_id, output_id)
    if input_axes == output_axes == "byxc":
        return call
    return _reordered(call, input_axes, output_axes)


def _saved_model(weights: Path, input_id: str, output_id: str) -> Runner:
    import tensorflow as tf

    if weights.is_dir():
        loaded = _load_saved_model(weights, weights)
    else:
        temporary = Path(tempfile.mkdtemp(prefix="relumen-weights-"))
        try:
            unpack(weights, temporary / "model")
            loaded = _load_saved_model(temporary / "model", weights)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        # Variables are read when loading, but a model may open asset files later.
        weakref.finalize(loaded, shutil.rmtree, temporary, ignore_errors=True)
    signature = loaded.signatures.get(SIGNATURE)
    if signature is None:
        raise UserError(
            f"{weights} has no signature {SIGNATURE!r}; it has: {', '.join(loaded.signatures) or 'none'}. "
            "Export it with one signature of that name."
        )
    _check_name(weights, "input", input_id, signature.structured_input_signature[1])
    _check_name(weights, "output", output_id, signature.structured_outputs)

    def run(tiles: Float32) -> Float32:
        with _engine_errors(weights, tf.errors.ResourceExhaustedError):
            answer = signature(**{input_id: tf.constant(tiles, tf.float32)})
            return np.asarray(answer[output_id], np.float32)

    run.loaded = loaded  # type: ignore[attr-defined]  # a signature alone does not keep its model alive
    return run


def _load_saved_model(folder: Path, weights: Path) -> Any:  # noqa: ANN401  TensorFlow's own type is a private class
    import tensorflow as tf

    if not (folder / "saved_model.pb").is_file():
        raise UserError(f"{weights} has no saved_model.pb at its root. Zip the SavedModel's content, not its folder.")
    check_saved_model(folder, weights)
    try:
        loaded: Any = tf.saved_model.load(str(folder))
        if not all(hasattr(each, "structured_input_signature") for each in loaded.signatures.values()):
            raise ValueError("its signatures are damaged")
        return loaded
    except Exception as error:  # TensorFlow raises whatever it likes on a damaged graph
        raise UserError(f"{weights} is not a SavedModel that TensorFlow {tf.__version__} can load: {error}") from error


def _onnx(weights: Path, input_id: str, output_id: str) -> Runner:
    import onnxruntime

    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [provider for provider in wanted if provider in onnxruntime.get_available_providers()]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        check_onnx(weights)
        session = onnxruntime.InferenceSession(str(weights), options, providers=providers)
    # ONNX Runtime's own exceptions share no public base but RuntimeError and Exception.
    except Exception as error:
        raise UserError(
            f"{weights} is not an ONNX model that ONNX Runtime {onnxruntime.__version__} can load: {error}"
        ) from error
    _check_name(weights, "input", input_id, [value.name for value in session.get_inputs()])
    _check_name(weights, "output", output_id, [value.name for value in session.get_outputs()])

    def run(tiles: Float32) -> Float32:
        with _engine_errors(weights, RuntimeError, saying="allocate memory"):
            (answer,) = session.run([output_id], {input_id: np.ascontiguousarray(tiles, np.float32)})
            return np.asarray(answer, np.float32)

    return run


def _keras(weights: Path, input_id: str, output_id: str) -> Runner:
    network = load_network(weights, "Export the package again, or run another of its weights.")
    return network_runner(network, weights, output_id)


def network_runner(network: keras.Model, source: Path, output_id: str = "output") -> Runner:
    """Runs a Keras network that is open already; what it gives and raises is as of :func:`runner`.

    Args:
        network: (batch, y, x, channels) -> (batch, scale * y, scale * x, channels out), or outputs by their names.
        source: where it is from, for messages.
        output_id: the output's name.
    """
    import tensorflow as tf

    @tf.function(autograph=False, reduce_retracing=True)
    def graph(tiles: Any) -> Any:  # noqa: ANN401  symbolic tensors
        answer: Any = network(tiles, training=False)
        return answer[output_id] if isinstance(answer, dict) else answer

    def run(tiles: Float32) -> Float32:
        with _engine_errors(source, tf.errors.ResourceExhaustedError):
            return np.asarray(graph(tf.constant(tiles, tf.float32)), np.float32)

    return run


@contextmanager
def _engine_errors(weights: Path, exhausted: type[Exception], saying: str = "") -> Iterator[None]:
    """An engine's error becomes the user's; that of exhausted memory Python's, so that a smaller tile can be tried."""
    try:
        yield
    except Exception as error:  # of any engine on a graph that someone else made
        if isinstance(error, exhausted) and saying in str(error):
            raise MemoryError(str(error)) from error
        raise UserError(
            f"The network in {weights.name} can't compute on this image: {error}\n"
            "It may take other sizes or channels, or be damaged: run `relumen verify` on its package."
        ) from error


def _check_name(weights: Path, what: str, name: str, names: object) -> None:
    present = list(names)  # type: ignore[call-overload]
    if name not in present:
        raise UserError(
            f"{weights} has no {what} named {name!r}; it has: {', '.join(present) or 'none'}. The rdf's "
            "tensor ids and the names in the weights must be equal."
        )


def _reordered(call: Runner, input_axes: str, output_axes: str) -> Runner:
    """A network whose weights order their axes in another way, or have no batch or channel axis."""

    def run(tiles: Float32) -> Float32:
        if "b" in input_axes:
            return from_axes(call(to_axes(tiles, input_axes)), output_axes)
        each = [call(to_axes(tile[np.newaxis], input_axes)) for tile in tiles]
        return np.concatenate([from_axes(answer, output_axes) for answer in each])

    return run


def to_axes(array: NDArray[Any], axes: str) -> NDArray[Any]:
    """(batch, y, x, channels) in another order; an axis that is left out must have size 1."""
    for position, letter in reversed(list(enumerate("byxc"))):
        if letter not in axes:
            if array.shape[position] != 1:
                raise UserError(
                    f"This network has no {letter!r} axis and takes one at a time. Received: shape={array.shape}"
                )
            array = np.squeeze(array, position)
    kept = [letter for letter in "byxc" if letter in axes]
    return np.ascontiguousarray(np.transpose(array, [kept.index(letter) for letter in axes]))


def from_axes(array: NDArray[Any], axes: str) -> NDArray[Any]:
    """An array in another order as (batch, y, x, channels); an axis that is missing gets size 1."""
    kept = [letter for letter in "byxc" if letter in axes]
    ordered = np.transpose(array, [axes.index(letter) for letter in kept])
    for position, letter in enumerate("byxc"):
        if letter not in axes:
            ordered = np.expand_dims(ordered, position)
    return np.ascontiguousarray(ordered)
