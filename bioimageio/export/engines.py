"""Fiji's own engines: TensorFlow for Java and ONNX Runtime for Java, in the versions that JDLL installs.

Every call is a fresh process with a Java virtual machine in it, where Python's TensorFlow is never loaded: two
TensorFlows in one process disturb each other, and an engine that crashes must not take its caller along.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from relumen.archive import unpack
from relumen.errors import CheckFailedError, UserError
from relumen.jvm import fetch_jars, find_java

_TENSORFLOW_PLATFORMS = {
    ("Linux", "x86_64"): "linux-x86_64",
    ("Darwin", "x86_64"): "macosx-x86_64",
    ("Windows", "AMD64"): "windows-x86_64",
}
_WORKER = "relumen.export.engine_worker"
_TAIL_LINES = 15


@dataclass(frozen=True)
class Engine:
    """An engine of Fiji.

    Attributes:
        name: as in :data:`ENGINES`.
        weights_format: "tensorflow_saved_model_bundle" or "onnx".
        runtime: what is inside, such as "TensorFlow 2.7.4".
        libraries: "group:artifact:version" of what holds the engine.
        native: whether each platform has its own jar beside these.
    """

    name: str
    weights_format: str
    runtime: str
    libraries: tuple[str, ...]
    native: bool

    @property
    def missing_here(self) -> str | None:
        """Why this engine does not exist for this machine, or None where it does."""
        machine = (platform.system(), platform.machine())
        if not self.native or machine in _TENSORFLOW_PLATFORMS:
            return None
        return (
            f"{self.name} is not made for {' '.join(machine)}, so Fiji can't run it on this machine either; "
            "the package's ONNX weights run there."
        )

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The jars' Maven coordinates on this machine.

        Raises:
            UserError: the engine does not exist for this machine.
        """
        if self.missing_here:
            raise UserError(self.missing_here)
        if not self.native:
            return self.libraries
        classifier = _TENSORFLOW_PLATFORMS[platform.system(), platform.machine()]
        return (*self.libraries, *(f"{library}:{classifier}" for library in self.libraries))


def _tensorflow(version: str, runtime: str) -> Engine:
    library = f"org.tensorflow:tensorflow-core-api:{version}"
    return Engine(f"tf-java-{version}", "tensorflow_saved_model_bundle", runtime, (library,), native=True)


def _onnx(version: str) -> Engine:
    library = f"com.microsoft.onnxruntime:onnxruntime:{version}"
    return Engine(f"onnxruntime-java-{version}", "onnx", f"ONNX Runtime {version}", (library,), native=False)


ENGINES: Mapping[str, Engine] = MappingProxyType(
    {
        engine.name: engine
        for engine in (
            _tensorflow("0.4.2", "TensorFlow 2.7.4"),
            _tensorflow("0.5.0", "TensorFlow 2.10.1"),
            _onnx("1.13.1"),
        )
    }
)
"""Fiji's engines by their names."""


def run_in_engine(
    engine: str,
    weights: Path,
    inputs: Sequence[NDArray[np.float32]],
    *,
    input_id: str,
    output_id: str,
    timeout_s: float = 600,
) -> list[NDArray[np.float32]]:
    """Runs a network in one of Fiji's engines: one process and one session for all inputs.

    Args:
        engine: a key of :data:`ENGINES`.
        weights: a SavedModel (folder, or zip with saved_model.pb at its root), or an .onnx file.
        inputs: arrays (1, y, x, channels) in the network's units.
        input_id: name of the network's input.
        output_id: name of its output.
        timeout_s: after so many seconds the engine is stopped.

    Returns:
        One array (1, scale * y, scale * x, channels) for each input.

    Raises:
        UserError: no such engine, here or anywhere; no weights; no Java; jars that can't be fetched.
        CheckFailedError: the engine refused the network, crashed, or took too long; in the engine's own words.
    """
    if engine not in ENGINES:
        raise UserError(f"There is no engine {engine!r}. Choose one of: {', '.join(ENGINES)}.")
    if not weights.exists():
        raise UserError(f"There are no weights at {weights}.")
    chosen = ENGINES[engine]
    jars = fetch_jars(chosen.coordinates)
    with tempfile.TemporaryDirectory(prefix="relumen-engine-") as name:
        folder = Path(name)
        model = weights.resolve()
        if chosen.weights_format == "tensorflow_saved_model_bundle" and weights.is_file():
            model = folder / "model"
            unpack(weights, model)
        for index, array in enumerate(inputs):
            np.save(folder / f"input-{index}.npy", np.ascontiguousarray(array, np.float32))
        job = {
            "weights_format": chosen.weights_format,
            "jars": [str(jar) for jar in jars],
            "weights": str(model),
            "input_id": input_id,
            "output_id": output_id,
            "count": len(inputs),
        }
        (folder / "job.json").write_text(json.dumps(job))
        problem = _run_worker(folder, timeout_s)
        if problem:
            raise CheckFailedError(f"{chosen.name} ({chosen.runtime}) did not run {weights}: {problem}")
        return [np.load(folder / f"output-{index}.npy") for index in range(len(inputs))]


def _run_worker(folder: Path, timeout_s: float) -> str | None:
    """Runs the job that a folder holds; gives what went wrong, in words, or None."""
    environment = {**os.environ, "JAVA_HOME": str(find_java().home), "TF_CPP_MIN_LOG_LEVEL": "2"}
    log = folder / "log.txt"
    command = [sys.executable, "-P", "-m", _WORKER, str(folder)]
    with log.open("wb") as sink:
        try:
            ended = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment, timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            return f"it was stopped after {timeout_s:g} s without an answer.{_last_words(log)}"
    if ended.returncode < 0:
        return f"it crashed ({signal.Signals(-ended.returncode).name}).{_last_words(log)}"
    if ended.returncode > 0:
        return f"it ended with exit code {ended.returncode} and no answer.{_last_words(log)}"
    return json.loads((folder / "answer.json").read_text())["problem"]


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip(" #")]
    return " Its last words:\n" + "\n".join(lines[-_TAIL_LINES:]) if lines else " It said nothing."
