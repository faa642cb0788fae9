"""A .keras file of anyone as a model in memory; what can't be opened is told with the next step."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relumen.archive import NOT_READ
from relumen.errors import UserError
from relumen.keras_files import load_network, register

from .foreign import ForeignPart, foreign_parts, lambdas

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras

_OTHERS = {
    ".h5": "is a file of the old HDF5 format",
    ".hdf5": "is a file of the old HDF5 format",
    ".onnx": "is an ONNX network",
    ".pt": "is a file of PyTorch",
    ".pth": "is a file of PyTorch",
    ".tflite": "is a network for TensorFlow Lite",
}
_REBUILD = (
    "Build the network in Keras 3 by the code that trained it, load its weights by load_weights, and save it by "
    'model.save("model.keras").'
)
_OWN_LAYERS = (
    "Layers of one's own need a get_config that gives all arguments of their __init__; a network that is whole opens "
    "where it was saved."
)
_CONFIG_BYTES = 64 << 20


def load_keras(path: Path, code: Sequence[Path] = (), say: Callable[[str], None] = lambda line: None) -> keras.Model:
    """Opens a .keras file of Keras 3, without running code that it holds itself.

    Args:
        path: the file.
        code: Python files that define the classes and functions of its own; they are imported, which runs them.
        say: told what is imported.

    Raises:
        UserError: another kind of file, code in the file, classes that no file defines, or anything that Keras refuses.
    """
    config = _config(path)
    if names := lambdas(config):
        raise UserError(
            f"{path} has layers whose code is in the file itself ({', '.join(names)}: Lambda), and such code is not "
            "run: it could do anything. Write it as a class of its own (keras.layers.Layer), or with keras.ops, save "
            "the network with that, and name the class's file by --code."
        )
    known: dict[str, Any] = {}
    for file in code:
        say(f"Importing {file}, as --code says: its code runs")
        known |= _imported(file)
    parts = {part.key: part for part in foreign_parts(config)}
    register()
    missing = [part for key, part in parts.items() if not _is_known(part, known)]
    if missing:
        listed = ", ".join(part.name + (f" (of {part.module})" if part.module else "") for part in missing)
        raise UserError(
            f"{path} holds what doesn't come with Keras: {listed}. Name the Python file that defines it: "
            f"--code {_file_of(missing[0])}"
        )
    return load_network(path, _OWN_LAYERS, known)


def _config(path: Path) -> dict[str, Any]:
    """What the file says of the network."""
    if path.is_dir() and (path / "saved_model.pb").is_file():
        raise UserError(f"{path} is a SavedModel, which Keras 3 can run and not open. {_REBUILD}")
    if not path.is_file():
        raise UserError(f"There is no .keras file at {path}.")
    if path.name.endswith(".weights.h5"):
        raise UserError(f"{path} holds weights without a network. {_REBUILD}")
    if path.suffix.lower() in _OTHERS:
        step = _REBUILD
        if path.suffix.lower() in (".h5", ".hdf5"):
            step = (
                f'Keras 3 opens many of them: keras.saving.load_model("{path.name}", compile=False)'
                f'.save("model.keras"); compare its answers with those before. '
                f"Else: {_REBUILD[0].lower()}{_REBUILD[1:]}"
            )
        raise UserError(f"{path} {_OTHERS[path.suffix.lower()]}, and relumen exports files of Keras 3 (.keras). {step}")
    try:
        with zipfile.ZipFile(path) as zipped:
            names = ("metadata.json", "config.json")
            if any(zipped.getinfo(name).file_size > _CONFIG_BYTES for name in names):
                raise UserError(f"{path} describes a network in over 64 MiB, which is not read.")
            about, config = (json.loads(zipped.read(name)) for name in names)
    # KeyError: a member is missing; RuntimeError: encrypted, or nested without end.
    except (*NOT_READ, KeyError, OSError) as error:
        raise UserError(
            f"{path} is no .keras file, or it is damaged ({error}). Save the network anew: model.save('model.keras')."
        ) from error
    version = str(about.get("keras_version") if isinstance(about, dict) else None)
    if not version.split(".")[0].isdecimal() or int(version.split(".")[0]) < 3:
        raise UserError(f"{path} was saved by Keras {version}, and relumen exports networks of Keras 3. {_REBUILD}")
    return config


def _is_known(part: ForeignPart, known: dict[str, Any]) -> bool:
    import keras

    return part.key in known or part.name in known or keras.saving.get_registered_object(part.key) is not None


def _file_of(part: ForeignPart) -> str:
    module = (part.module or "__main__").split(".")[-1]
    return "layers.py" if module in ("__main__", "builtins") else f"{module}.py"


def _imported(path: Path) -> dict[str, Any]:
    """Runs a Python file; gives the classes and functions that it names."""
    if path.suffix != ".py" or not path.is_file():
        raise UserError(f"--code names a Python file (.py). There is none at {path}.")
    name = f"relumen_code_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} can't be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _beside(path):
            spec.loader.exec_module(module)
    # It is anyone's code.
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"{path} can't be imported: {type(error).__name__}: {error}") from error
    return {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("__")}


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Lets a file import what lies beside it."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
