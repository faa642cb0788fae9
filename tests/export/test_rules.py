import copy
import datetime
import os
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from relumen.errors import UserError
from relumen.export.rule import Content
from relumen.export.rules import RULES, check_rules
from relumen.package import read_package


def _broken(folder: Path) -> list[tuple[str, str]]:
    return [(result.rule, result.message) for result in check_rules(folder) if not result.ok]


def _set(rdf: dict, path: str, value: object) -> None:
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place = rdf
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value


def test_a_good_package_keeps_every_rule(hand_made):
    results = check_rules(hand_made)
    assert [result for result in results if not result.ok] == []
    assert len(results) == len(RULES) + 1
    assert len({rule.name for rule in RULES}) == len(RULES)


STEP = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}
# Changes of the rdf, the one rule that they break, and words of its message.
MUTATIONS = [
    ({"type": "dataset"}, "one image", "type is 'dataset'"),
    ({"inputs.0.id": ...}, "one image", "inputs[0].id is None"),
    ({"outputs.0.data.type": "float64"}, "float32 output", "'float64'"),
    ({"inputs.0.axes.1.halo": 8}, "axes", "inputs[0].axes[1] has a halo"),
    ({"inputs.0.axes.0.type": ..., "inputs.0.axes.0.id": "batch"}, "axes", "axes[0] has no type"),
    ({"outputs.0.axes.3.channel_names": ...}, "channel names", "outputs[0], channel axis: channel_names is None"),
    ({"inputs.0.axes.1.size": "128"}, "input size", "inputs[0], axis y: size is '128'"),
    ({"inputs.0.axes.2.size": {"min": 100, "step": 32}}, "input size", "Write min: 128"),
    ({"inputs.0.axes.2.size": {"min": 64, "step": 0}}, "input size", "axis x: size is"),
    ({"outputs.0.axes.1.size": 128}, "output size", "Write size: {tensor_id: input, axis_id: y}"),
    ({"outputs.0.axes.1.size.axis_id": "x"}, "output size", "axis y: size is"),
    ({"outputs.0.axes.1.size.offset": 2}, "output size", "has the offset 2"),
    ({"inputs.0.axes.1.unit": "micrometer"}, "unit", "inputs[0], axis y: scale 4.0 has the unit 'micrometer'"),
    ({"outputs.0.axes.1.halo": 15}, "halo", "Write halo: 16"),
    ({"outputs.0.axes.1.halo": -2}, "halo", "axis y: halo is -2"),
    ({"outputs.0.axes.1.halo": 64}, "halo", "leaves nothing of a tile of 64"),
    ({"inputs.0.preprocessing.0.id": "scale_range"}, "processing", "preprocessing[0] is scale_range: JDLL's"),
    ({"inputs.0.preprocessing": "none"}, "processing", "inputs[0].preprocessing is 'none'"),
    ({"inputs.0.preprocessing.0.kwargs.axes": ["batch", "y", "x"]}, "processing", "Write axes: [y, x]"),
    ({"inputs.0.preprocessing.0.kwargs.eps": None}, "processing", "eps is None"),
    ({"inputs.0.preprocessing.0.kwargs.mode": "fixed"}, "processing", "fails on the argument mode"),
    ({"inputs.0.axes.3.channel_names": ["a", "b"]}, "processing", "once for each channel"),
    ({"outputs.0.postprocessing": [{"id": "softmax"}]}, "processing", "JDLL has no softmax"),
    ({"outputs.0.postprocessing": [{"id": "clip", "kwargs": {"min": 0}}]}, "processing", "without both bounds"),
    (
        {"outputs.0.postprocessing": [{"id": "scale_linear", "kwargs": {"gain": [1, 2]}}]},
        "processing",
        "JDLL uses the first gain",
    ),
    (
        {"outputs.0.postprocessing": [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 1}}]},
        "processing",
        "std is missing",
    ),
    ({"format_version": "0.5.11"}, "format version", "Write format_version: 0.5.10"),
    ({"format_version": "0.4.10"}, "format version", "is 0.4.10"),
    ({"format_version": 0.5}, "format version", "Write three numbers as text"),
    ({"documentation": {"source": "README.md"}}, "plain strings", "documentation is {'source'"),
    ({"covers": [{"source": "cover.png"}]}, "plain strings", "covers is [{'source'"),
    ({"id": "brave-otter"}, "no id", "Leave it out"),
    ({"config.bioimageio": ...}, "nickname", "config.bioimageio.nickname is None"),
    ({"config.deepimagej": {"prediction": {}}}, "tiling", "allow_tiling None"),
    ({"config.deepimagej.allow_tiling": "true"}, "tiling", "allow_tiling 'true'"),
    ({"config.deepimagej.pyramidal_model": True}, "tiling", "pyramidal_model"),
    ({"name": ...}, "name", "name is None"),
    ({"authors": []}, "people", "authors is []"),
    ({"maintainers": [{"name": "Ada"}]}, "people", "each with github_user"),
    ({"uploader": ...}, "people", "uploader is None"),
    ({"cite": [{"text": "A paper"}]}, "citation", "each with text and doi or url"),
    ({"license": ["MIT"]}, "license", "Write an SPDX name"),
    ({"tags": ["super-resolution"]}, "tags", "deepimagej among them"),
    ({"git_repo": ...}, "git repo", "git_repo is None"),
    ({"weights.onnx": ...}, "weights", "the only one on Apple silicon"),
    ({"weights.keras_v3": "weights.keras"}, "weights", "weights.keras_v3 is 'weights.keras'"),
    ({"weights.tensorflow_saved_model_bundle.tensorflow_version": 2.2}, "versions", "tensorflow_version is 2.2"),
    ({"weights.tensorflow_saved_model_bundle.tensorflow_version": "2.21"}, "versions", "three numbers"),
    ({"outputs.0.test_tensor": ...}, "test tensors", "outputs[0].test_tensor is None"),
    ({"outputs.0.test_tensor": {"source": "cover.png"}}, "test tensors", "cover.png is not a .npy file"),
    ({"inputs.0.sample_tensor": {"source": "test_input.npy"}}, "samples", "save it as test_input.tif"),
    ({"inputs.0.sample_tensor": ...}, "samples", "inputs[0].sample_tensor should name a file"),
    ({"covers": []}, "cover", "covers is empty"),
    ({"covers": ["README.md"]}, "cover", "is no picture that the zoo shows"),
    ({"inputs.0.test_tensor.sha256": "0" * 64}, "checksums", "inputs[0].test_tensor: test_input.npy has"),
    ({"attachments": ["gone.ijm"]}, "files", "attachments[0] names 'gone.ijm'"),
    ({"attachments": ["../secret"]}, "files", "leads out of the package"),
    ({"icon": "https://example.org/icon.png"}, "files", "is an address"),
]


@pytest.mark.parametrize(("changes", "rule", "words"), MUTATIONS, ids=[f"{m[1]}: {m[2]}" for m in MUTATIONS])
def test_each_broken_rule_is_told_alone(package_copy, changes, rule, words):
    rdf = yaml.safe_load((package_copy / "rdf.yaml").read_text())
    for path, value in changes.items():
        _set(rdf, path, value)
    (package_copy / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))
    broken = _broken(package_copy)
    assert any(name == rule and words in message for name, message in broken), broken
    follows = {  # what else a change must break
        "inputs.0.id": {"saved model", "onnx", "output size"},
        "inputs.0.axes.3.channel_names": {"test tensors"},
        "inputs.0.axes.2.size": {"test tensors"},
    }
    allowed = {rule}.union(*(follows.get(path, set()) for path in changes))
    assert {name for name, _ in broken} <= allowed


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        ((1.0, 0.5), "scale: 4 at the input and scale: 2 at the output"),
        ((2.0, 1.0), "scale: 4 at the input and scale: 2 at the output"),
        ((1.0, 2.0), "scale: 4 at the input and scale: 2 at the output"),
        ((8.0, 1.0), "scale: 64 at the input and scale: 8 at the output"),
        ((0, 2.0), "should be numbers above 0"),
        (("wide", 2.0), "should be numbers above 0"),
    ],
)
def test_only_one_pair_of_scales_is_read_alike(package_copy, scales, words):
    rdf = yaml.safe_load((package_copy / "rdf.yaml").read_text())
    for index in (1, 2):
        rdf["inputs"][0]["axes"][index]["scale"] = scales[0]
        rdf["outputs"][0]["axes"][index]["scale"] = scales[1]
    content = Content(package_copy, rdf)
    (rule,) = [rule for rule in RULES if rule.name == "scale"]
    messages = [result.message for result in rule.results(content)]
    assert len(messages) == 2 and all(words in message for message in messages)
    for index in (1, 2):
        rdf["inputs"][0]["axes"][index]["scale"] = rdf["outputs"][0]["axes"][index]["scale"] = 1.0
    assert all(result.ok for result in rule.results(content))


def test_several_tensors_long_ids_and_no_channel(package_copy):
    rdf = yaml.safe_load((package_copy / "rdf.yaml").read_text())
    rdf["inputs"].append(copy.deepcopy(rdf["inputs"][0]))
    rdf["outputs"][0]["axes"][1]["id"] = "row"
    del rdf["inputs"][0]["axes"][3]
    (package_copy / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    messages = " ".join(message for _, message in _broken(package_copy))
    assert "inputs has 2 tensors" in messages
    assert "outputs[0].axes[1] has the id 'row'" in messages
    assert "inputs[0] has no channel axis" in messages


def test_an_rdf_that_cannot_be_read_is_the_only_result(tmp_path):
    (tmp_path / "rdf.yaml").write_text("inputs: [")
    (result,) = check_rules(tmp_path)
    assert (result.rule, result.ok) == ("rdf", False) and "not readable as YAML" in result.message


def _resave(path: Path, change) -> None:
    import onnx

    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


ONNX_FAULTS = {
    "has opset 17": lambda model: setattr(model.opset_import[0], "version", 17),
    "and opset_version says 15": lambda model: setattr(model.opset_import[0], "version", 13),
    "has IR version 10": lambda model: setattr(model, "ir_version", 10),
    "outside the ONNX standard": lambda model: setattr(model.graph.node[0], "domain", "com.microsoft"),
    "has 5 axes": lambda model: model.graph.output[0].type.tensor_type.shape.dim.add(),
    "its input is not float32": lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 11),
    "has the outputs ['mask']": lambda model: setattr(model.graph.output[0], "name", "mask"),
}


@pytest.mark.parametrize("words", ONNX_FAULTS)
def test_onnx_that_fiji_cannot_run(package_copy, words):
    _resave(package_copy / "weights.onnx", ONNX_FAULTS[words])
    broken = dict(_broken(package_copy))
    assert set(broken) == {"onnx", "checksums"}
    assert words in broken["onnx"]


def _zip(folder: Path, target: Path) -> None:
    target.unlink()
    shutil.make_archive(str(target.with_suffix("")), "zip", folder)


def test_saved_models_that_fiji_cannot_run(package_copy, tmp_path):
    import keras
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    target = package_copy / "saved_model.zip"
    with zipfile.ZipFile(target) as zipped:
        zipped.extractall(tmp_path / "good")

    def told() -> str:
        return " ".join(message for rule, message in _broken(package_copy) if rule == "saved model")

    graph = tmp_path / "good/saved_model.pb"
    for old, new, words in [
        ("serving_default", "predict", "has the signatures ['predict']"),
        ("serve", "train", "no graph with the tag serve"),
    ]:
        saved = SavedModel.FromString(graph.read_bytes())
        if old == "serve":
            saved.meta_graphs[0].meta_info_def.tags[:] = [new]
        else:
            signatures = saved.meta_graphs[0].signature_def
            signatures[new].CopyFrom(signatures[old])
            del signatures[old]
        shutil.copytree(tmp_path / "good", tmp_path / words, dirs_exist_ok=True)
        (tmp_path / words / "saved_model.pb").write_bytes(saved.SerializeToString())
        _zip(tmp_path / words, target)
        assert words in told()

    # As Keras exports by itself: variables, and names of its own.
    inputs = keras.Input((None, None, 1), name="raw")
    model = keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(inputs))
    model.export(tmp_path / "exported", format="tf_saved_model", verbose=False)
    _zip(tmp_path / "exported", target)
    assert "holds variables" in told() and "has the inputs ['raw'], the rdf 'input'" in told()

    target.write_bytes(b"no zip")
    assert "not a zip that can be read" in told()
    with zipfile.ZipFile(target, "w") as zipped:
        zipped.writestr("model/saved_model.pb", b"")
    assert "no saved_model.pb at its root" in told()
    with zipfile.ZipFile(target, "w") as zipped:
        zipped.writestr("saved_model.pb", os.urandom(500))
    assert "saved_model.pb that is none" in told()


def test_tensors_cover_and_card_are_looked_into(package_copy):
    from PIL import Image

    image = np.load(package_copy / "test_input.npy")
    faults = [
        ("test_input.npy", image[0], "the rdf 4 axes"),
        ("test_input.npy", image.astype(np.float64), "is float64"),
        ("test_input.npy", image[:, :32], "has 32 along y, the rdf says 64"),
        ("test_input.npy", image * np.nan, "NaN or infinity"),
        ("test_input.npy", image * 0, "same number everywhere"),
        ("test_output.npy", np.load(package_copy / "test_output.npy")[:, :64], "64 and 64 pixels along y"),
    ]
    for name, array, words in faults:
        kept = (package_copy / name).read_bytes()
        np.save(package_copy / name, array)
        broken = dict(_broken(package_copy))
        assert words in broken["test tensors"], words
        (package_copy / name).write_bytes(kept)
    np.save(package_copy / "test_input.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "not a .npy file" in dict(_broken(package_copy))["test tensors"]

    Image.fromarray(np.zeros((90, 200, 3), np.uint8)).save(package_copy / "cover.png")
    assert "measures 200 x 90" in dict(_broken(package_copy))["cover"]
    noise = np.random.default_rng(0).integers(0, 255, (500, 1000, 3), np.uint8)
    Image.fromarray(noise).save(package_copy / "cover.png")
    assert "more than 500" in dict(_broken(package_copy))["cover"]
    (package_copy / "cover.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "cannot be opened" in dict(_broken(package_copy))["cover"]

    (package_copy / "README.md").write_text("# Cells\n\nNo validation here.\n")
    messages = [message for rule, message in _broken(package_copy) if rule == "card"]
    assert "no heading with the word Validation" in messages[0] and "training data" in messages[1]


ODD = [
    None, True, -1, 0, 2.5, float("inf"), float("nan"), 10**400, "", "x", "a\x00b", "../x", [], [None], [[]], {},
    {1: 2}, {"source": None}, {"source": "rdf.yaml"}, {"min": float("inf"), "step": 1}, datetime.date(2024, 1, 1),
    b"bytes",
]  # fmt: skip


def _places(value: object, path: tuple = ()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from _places(part, (*path, key))


def test_odd_content_never_raises(hand_made):
    rdf = yaml.safe_load((hand_made / "rdf.yaml").read_text())
    draw = random.Random(0)
    places = [path for path in _places(rdf) if path]
    trials = [(path, value) for path in places for value in ODD]
    rules = [rule for rule in RULES if rule.name not in ("saved model", "onnx")]
    for index, (path, value) in enumerate(draw.sample(trials, 800)):
        odd = copy.deepcopy(rdf)
        place = odd
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        for rule in RULES if index % 10 == 0 else rules:
            for result in rule.results(Content(hand_made, odd)):
                assert isinstance(result.message, str) and result.message


def test_odd_content_is_a_plain_message_when_it_is_opened(package_copy):
    rdf = yaml.safe_load((package_copy / "rdf.yaml").read_text())
    draw = random.Random(1)
    trials = [(path, value) for path in _places(rdf) if path for value in ODD if value is not ODD[7]]
    refused = 0
    for path, value in draw.sample(trials, 250):
        odd = copy.deepcopy(rdf)
        place = odd
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        (package_copy / "rdf.yaml").write_text(yaml.safe_dump(odd, sort_keys=False))
        try:
            read_package(package_copy)
        except UserError:
            refused += 1
    assert refused > 50
