"""Rules about the weights: what TensorFlow 2.7 and ONNX Runtime 1.13 for Java can load."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from relumen.rdf import is_whole, short
from relumen.runners import SIGNATURE

from .rule import Content, Fault, Rule, older_format
from .weights import NEWEST_IR, ONNX_OPSET

if TYPE_CHECKING:
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

SAVED_MODEL = "tensorflow_saved_model_bundle"
ONNX = "onnx"
_ENGINES = {SAVED_MODEL: "TensorFlow", ONNX: "ONNX Runtime, the only one on Apple silicon"}
_ONNX_LINES = f"weights:\n  onnx:\n    source: weights.onnx\n    opset_version: {ONNX_OPSET}"
_VARIABLES = {"VarHandleOp", "ReadVariableOp", "VariableV2", "Variable", "AssignVariableOp"}


def _formats(content: Content) -> Iterator[str | Fault]:
    weights = content.at("weights")
    entries = weights if isinstance(weights, dict) else {}
    known = [form for form in _ENGINES if isinstance(entries.get(form), dict)]
    if not known:
        yield _without(entries)
    for form in _ENGINES:
        if form in known:
            path, wrong = content.find(entries[form].get("source"), f"weights.{form}.source")
            if path is None:
                yield wrong
        elif known:
            yield Fault(
                f"weights has no {form}, which Fiji runs with {_ENGINES[form]}. Export it too.", matters="better"
            )
    for form, entry in entries.items():
        if form not in known and not isinstance(entry, dict):
            yield f"weights.{form} is {short(entry)}, and JDLL dies on it. Write a map with source, or leave it out."


def _without(entries: dict[str, object]) -> Fault:
    """What is to be done about weights of which Fiji's TensorFlow and ONNX Runtime load none."""
    if "torchscript" in entries:
        return Fault(
            "weights has neither SavedModel nor ONNX. Fiji runs torchscript with its PyTorch engine, which relumen "
            "can't try. For a package that is checked, and that runs everywhere, add ONNX: torch.onnx.export with "
            f"opset_version={ONNX_OPSET}.",
            _ONNX_LINES,
            "better",
        )
    if "pytorch_state_dict" in entries:
        return Fault(
            "weights has pytorch_state_dict alone, which no engine in Fiji loads: DeepImageJ 3.1 first installs a "
            "Python with PyTorch of several GB, and older ones refuse. Add ONNX: torch.onnx.export with "
            f"opset_version={ONNX_OPSET}, or 'bioimageio add-weights' of bioimageio.core.",
            _ONNX_LINES,
        )
    names = ", ".join(map(str, entries)) or "no format"
    return Fault(
        f"weights has {names}, and Fiji runs tensorflow_saved_model_bundle and onnx. Export one of these.", _ONNX_LINES
    )


def _versions(content: Content) -> Iterator[str | Fault]:
    if isinstance(content.at("weights", SAVED_MODEL), dict):
        version = content.at("weights", SAVED_MODEL, "tensorflow_version")
        if not isinstance(version, str) or not re.fullmatch(r"\d+\.\d+\.\d+", version):
            yield Fault(
                f"weights.{SAVED_MODEL}.tensorflow_version is {short(version)}. Write three numbers as text, such as "
                "'2.21.0': YAML makes 2.2 of an unquoted 2.20.",
                f"weights:\n  {SAVED_MODEL}:\n    tensorflow_version: '2.21.0'",
            )
    if isinstance(content.at("weights", ONNX), dict):
        opset = content.at("weights", ONNX, "opset_version")
        if not is_whole(opset) or not 7 <= opset <= ONNX_OPSET:
            yield f"weights.onnx.opset_version is {short(opset)}. Export with opset {ONNX_OPSET} and write that."


def _saved_model(content: Content) -> Iterator[str | Fault]:
    path, _ = content.find(content.at("weights", SAVED_MODEL, "source"), "source")
    if path is None:
        return  # told by the rule about formats
    where = f"weights.{SAVED_MODEL}: {path.name}"
    graph, wrong = _read_graph(path)
    if graph is None:
        yield f"{where} {wrong}"
        return
    found = sorted(set(graph.signature_def) - {"__saved_model_init_op"})
    if found != [SIGNATURE]:
        yield f"{where} has the signatures {found}. Export it with one, {SIGNATURE}."
    if SIGNATURE in found:
        signature = graph.signature_def[SIGNATURE]
        for what, infos, key in (("input", signature.inputs, "inputs"), ("output", signature.outputs, "outputs")):
            wanted = content.tensor_id(key)
            if list(infos) != [wanted]:
                yield f"{where} has the {what}s {sorted(infos)}, the rdf {wanted!r}. Name them alike."
                continue
            info = infos[str(wanted)]
            shape = info.tensor_shape
            rank = len(content.axes(key))
            if not shape.unknown_rank and len(shape.dim) != rank:
                yield f"{where}: its {what} has {len(shape.dim)} axes, the rdf {rank}. Export it again."
            if info.dtype != 1:  # DT_FLOAT
                yield f"{where}: its {what} is not float32. Let the network take and give float32."
    nodes = [*graph.graph_def.node, *(n for f in graph.graph_def.library.function for n in f.node_def)]
    variables = sorted({node.op for node in nodes} & _VARIABLES)
    if variables:
        yield (
            f"{where} holds variables ({variables[0]}), which TensorFlow 2.7 in Fiji and the zoo's test cannot read. "
            "Fold the weights into constants before saving."
        )


def _read_graph(path: Path) -> tuple[MetaGraphDef | None, str]:
    """The graph with the tag that JDLL asks for, or None and what is wrong with the file."""
    try:
        with zipfile.ZipFile(path) as zipped:
            if "saved_model.pb" not in zipped.namelist():
                return None, "has no saved_model.pb at its root. Zip the SavedModel's content, not its folder."
            with zipped.open("saved_model.pb") as stream:
                written = stream.read(max(64 << 20, 100 * path.stat().st_size))  # no bomb
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        return None, f"is not a zip that can be read: {error}. Zip the SavedModel's content again."
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel()
    try:
        model.ParseFromString(written)
    except DecodeError:
        return None, "has a saved_model.pb that is none. Export it again."
    for graph in model.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            return graph, ""
    return None, "has no graph with the tag serve. Export it with tf.saved_model.save."


def _onnx(content: Content) -> Iterator[str | Fault]:
    path, _ = content.find(content.at("weights", ONNX, "source"), "source")
    if path is None:
        return
    import onnx
    from google.protobuf.message import DecodeError

    where = f"weights.onnx: {path.name}"
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except DecodeError:
        yield f"{where} is not an ONNX model. Export it again."
        return
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    opset = opsets.pop("ai.onnx", 0)
    if not 7 <= opset <= ONNX_OPSET:
        yield (
            f"{where} has opset {opset}; ONNX Runtime 1.13 in Fiji is sure of {ONNX_OPSET}. Export with that, or "
            "lower it with onnx.version_converter."
        )
    elif content.at("weights", ONNX, "opset_version") != opset:
        stated = short(content.at("weights", ONNX, "opset_version"))
        yield f"{where} has opset {opset}, and opset_version says {stated}. Write {opset}."
    if model.ir_version > NEWEST_IR:
        yield (
            f"{where} has IR version {model.ir_version}, and Fiji reads up to {NEWEST_IR}. Set ir_version to that in "
            "the file (model = onnx.load(...); model.ir_version = ...; onnx.save), and its new SHA-256 in rdf.yaml."
        )
    if any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
        yield f"{where} uses operators outside the ONNX standard ({', '.join(opsets)}). Export with standard ones."
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        yield f"{where} keeps its weights in another file. Save them inside the .onnx file."
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    for what, values, key in (("input", inputs, "inputs"), ("output", model.graph.output, "outputs")):
        wanted = content.tensor_id(key)
        if [value.name for value in values] != [wanted]:
            names = [value.name for value in values]
            yield f"{where} has the {what}s {names}, the rdf {wanted!r}. Name them alike."
            continue
        kind = values[0].type.tensor_type
        rank = len(content.axes(key))
        if kind.HasField("shape") and len(kind.shape.dim) != rank:
            yield (
                f"{where}: its {what} has {len(kind.shape.dim)} axes, the rdf {rank}. Export with opset "
                f"{ONNX_OPSET}: tf2onnx adds an axis from opset 16 on."
            )
        if kind.elem_type != onnx.TensorProto.FLOAT:
            yield f"{where}: its {what} is not float32. Let the network take and give float32."


WEIGHTS_RULES = (
    Rule("weights", "SavedModel and ONNX are there", _formats),
    Rule("versions", "The versions of the weights are told in full", _versions),
    Rule(
        "saved model",
        "The SavedModel has one signature, the rdf's names and no variables",
        _saved_model,
        blocked=older_format,
    ),
    Rule(
        "onnx",
        f"The ONNX has opset {ONNX_OPSET} or lower, IR {NEWEST_IR} or lower and the rdf's names",
        _onnx,
        blocked=older_format,
    ),
)
