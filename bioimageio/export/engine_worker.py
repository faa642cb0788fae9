"""The process in which an engine of Fiji runs: ``python -m relumen.export.engine_worker FOLDER``.

The folder holds job.json and input-0.npy, input-1.npy ...; output-0.npy ... and answer.json are put there.
Everything goes by files, since native libraries write to stdout and stderr as they like.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jpype
import jpype.nio
import numpy as np
from numpy.typing import NDArray

from relumen.jvm import start_jvm

Float32 = NDArray[np.float32]
Network = Callable[[Float32], Float32]


class EngineError(Exception):
    """The engine works, but the network isn't what was announced."""


def main(folder: Path) -> None:
    """Does the job in a folder and writes the answer: {"problem": text or null}."""
    job = json.loads((folder / "job.json").read_text())
    problem = None
    try:
        start_jvm([Path(jar) for jar in job["jars"]], _jvm_options(folder))
        opened = {"tensorflow_saved_model_bundle": _saved_model, "onnx": _onnx}[job["weights_format"]]
        with opened(job["weights"], job["input_id"], job["output_id"]) as run:
            for index in range(job["count"]):
                np.save(folder / f"output-{index}.npy", run(np.load(folder / f"input-{index}.npy")))
    except (EngineError, ValueError) as error:
        problem = str(error)
    except jpype.JException as error:
        problem = _in_java_words(error)
    (folder / "answer.json").write_text(json.dumps({"problem": problem}))


def _jvm_options(folder: Path) -> list[str]:
    return [
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={folder}",  # ONNX Runtime unpacks itself there (TensorFlow: in ~/.javacpp, for good)
        "-Dorg.bytedeco.javacpp.maxphysicalbytes=0",  # else TensorFlow stops at 4 times Java's own heap
        f"-XX:ErrorFile={folder / 'crash.txt'}",
        "-XX:-CreateCoredumpOnCrash",
    ]


@contextmanager
def _saved_model(weights: str, input_id: str, output_id: str) -> Iterator[Network]:
    bundle_class: Any = jpype.JClass("org.tensorflow.SavedModelBundle")
    tensor_class: Any = jpype.JClass("org.tensorflow.types.TFloat32")
    shape_class: Any = jpype.JClass("org.tensorflow.ndarray.Shape")
    buffers: Any = jpype.JClass("org.tensorflow.ndarray.buffer.DataBuffers")
    with bundle_class.load(weights, "serve") as bundle:
        function = bundle.function("serving_default")
        _check_name("input", input_id, function.signature().inputNames())
        _check_name("output", output_id, function.signature().outputNames())

        def run(array: Float32) -> Float32:
            shape = shape_class.of(*array.shape)
            with tensor_class.tensorOf(shape, buffers.of(_floats(array))) as tensor:
                found = function.call({input_id: tensor}).get(output_id)
            # 0.4 gives the tensor, 0.5 an Optional of it.
            with found.get() if hasattr(found, "isPresent") else found as result:
                if not isinstance(result, tensor_class):
                    raise EngineError(f"Its output {output_id!r} is {result.dataType()}, not float32.")
                answer = np.empty([int(n) for n in result.shape().asArray()], np.float32)
                result.read(buffers.of(_floats(answer)))
                return answer

        yield run


@contextmanager
def _onnx(weights: str, input_id: str, output_id: str) -> Iterator[Network]:
    longs: Any = jpype.JArray(jpype.JLong)
    tensor_class: Any = jpype.JClass("ai.onnxruntime.OnnxTensor")
    environment: Any = jpype.JClass("ai.onnxruntime.OrtEnvironment").getEnvironment()
    with environment.createSession(weights) as session:
        _check_name("input", input_id, session.getInputNames())
        _check_name("output", output_id, session.getOutputNames())

        def run(array: Float32) -> Float32:
            shape = longs(array.shape)
            with tensor_class.createTensor(environment, _floats(array), shape) as tensor:
                with session.run({input_id: tensor}) as results:
                    result = results.get(output_id).get()
                    values = result.getFloatBuffer()
                    if values is None:
                        raise EngineError(f"Its output {output_id!r} is {result.getInfo()}, not float32.")
                    answer = np.empty([int(n) for n in result.getInfo().getShape()], np.float32)
                    _floats(answer).put(values)
                    return answer

        yield run


def _floats(array: Float32) -> Any:  # noqa: ANN401 (a Java FloatBuffer)
    """Lets Java read and write an array's own memory; the array has to outlive the buffer."""
    native = jpype.JClass("java.nio.ByteOrder").nativeOrder()
    return jpype.nio.convertToDirectBuffer(array).order(native).asFloatBuffer()


def _check_name(kind: str, name: str, names: Any) -> None:  # noqa: ANN401 (a Java Set)
    found = sorted(str(other) for other in names)
    if name not in found:
        raise EngineError(f"It has no {kind} named {name!r}. Its {kind}s: {', '.join(found)}.")


def _in_java_words(error: Any) -> str:  # noqa: ANN401 (a Java Throwable)
    """What an exception says, and what it says of its causes."""
    words = []
    while error is not None:
        words.append(str(error.toString()))
        error = error.getCause()
    return "\ncaused by ".join(words)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # the answer is on disk: native libraries that fall over while they unload can't spoil it
