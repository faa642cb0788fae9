import hashlib
import json
import shutil
import socket
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from relumen.errors import CheckFailedError, UserError
from relumen.export import engines
from relumen.export.verify import verify_package


def _change(folder: Path, change) -> None:
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    change(rdf)
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))


def _failed(report) -> dict[str, str]:
    return {check.name: check.message for check in report.checks if check.status == "failed"}


def _skipped(report) -> dict[str, str]:
    return {check.name: check.message for check in report.checks if check.status == "skipped"}


@pytest.fixture(scope="module")
def report(hand_made):
    return verify_package(hand_made)


def test_a_good_package_passes_every_check(report):
    assert _failed(report) == {} and report.ok
    names = [check.name for check in report.checks]
    assert sum(name.startswith("bioimageio test, ") for name in names) == 3
    assert "onnx against tensorflow_saved_model_bundle" in names
    assert sum(name.startswith("Fiji's tiles, ") for name in names) == 4
    (tiled,) = [check for check in report.checks if check.name.startswith("tiled against whole")]
    assert tiled.status == "passed"
    measured = [check for check in report.checks if check.value is not None]
    assert len(measured) == 10 and all(0 <= check.value <= check.limit == 1e-4 for check in measured)
    assert any(check.value > 0 for check in measured)


def test_the_report_is_a_table_and_json(report):
    read = json.loads(report.to_json())
    assert read["ok"] is True and read["package"] == "Cells x2" and read["tolerance"] == 1e-4
    assert {"tensorflow", "bioimageio.core", "relumen"} <= set(read["versions"])
    assert set(read["checks"][0]) == {"name", "status", "message", "value", "limit", "matters", "change"}
    assert (read["runs_in_fiji"], read["zoo_accepts"]) == ("yes", "yes")
    assert read["summary"] == "Runs in Fiji: yes; the zoo accepts it: yes."
    console = Console(width=160, record=True)
    console.print(report.table())
    text = console.export_text()
    assert "rules hold" in text and "Cells x2" in text and "checks passed." in text and "1.0e-04" in text


def test_a_zip_is_verified_without_the_network(hand_made, tmp_path, monkeypatch):
    import tensorflow as tf

    asked, rounds = [], {}

    def refuse(*arguments, **_):
        asked.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    archive = Path(shutil.make_archive(str(tmp_path / "cells"), "zip", hand_made))
    seen = []

    def on_check(check):
        seen.append(check)
        rounds[check.name] = tf.config.experimental.tensor_float_32_execution_enabled()

    report = verify_package(archive, on_check=on_check)
    assert _failed(report) == {} and seen == report.checks
    assert asked == []
    assert not any(rounds[name] for name in rounds if name.startswith(("test output", "tiled", "Fiji's tiles")))


def test_a_halo_too_small_is_found(package_copy):
    def no_halo(rdf):
        for axis in rdf["outputs"][0]["axes"][1:3]:
            del axis["halo"]

    _change(package_copy, no_halo)
    report = verify_package(package_copy)
    failed = _failed(report)
    assert not report.ok
    assert any(name.startswith("tiled against whole") for name in failed)
    assert not any(name.startswith("rule: ") for name in failed)
    message = next(message for name, message in failed.items() if name.startswith("tiled"))
    assert "Measure the halo again" in message and "config.relumen.tolerance" in message


def test_a_declared_tolerance_is_used_and_shown(package_copy):
    def loose(rdf):
        rdf["config"]["relumen"]["tolerance"] = 50.0
        for axis in rdf["outputs"][0]["axes"][1:3]:
            del axis["halo"]

    _change(package_copy, loose)
    report = verify_package(package_copy)
    assert report.ok and report.tolerance == 50.0
    assert {check.limit for check in report.checks if check.limit is not None} == {50.0}


def test_weights_that_differ_are_found(package_copy):
    import onnx
    from onnx import numpy_helper

    model = onnx.load(package_copy / "weights.onnx")
    largest = max(model.graph.initializer, key=lambda tensor: numpy_helper.to_array(tensor).size)
    largest.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(largest) * np.float32(1.01), largest.name))
    onnx.save(model, package_copy / "weights.onnx")
    report = verify_package(package_copy)
    failed = _failed(report)
    assert {"rule: checksums", "test output, onnx", "onnx against tensorflow_saved_model_bundle"} <= set(failed)
    assert "test output, keras_v3" not in failed
    assert "Mend that first" in _skipped(report)["bioimageio test, onnx"]  # the zoo reads no file with a wrong SHA-256
    digest = hashlib.sha256((package_copy / "weights.onnx").read_bytes()).hexdigest()
    _change(package_copy, lambda rdf: rdf["weights"]["onnx"].update(sha256=digest))
    failed = _failed(verify_package(package_copy))
    assert "rule: checksums" not in failed
    assert "bioimageio test, onnx" in failed and len(failed["bioimageio test, onnx"]) > 20


def test_a_network_that_magnifies_otherwise_than_it_says_is_found(package_copy):
    import keras

    inputs = keras.Input((None, None, 1))
    keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(inputs)).save(package_copy / "weights.keras")
    digest = hashlib.sha256((package_copy / "weights.keras").read_bytes()).hexdigest()

    def keras_alone(rdf):
        rdf["weights"] = {"keras_v3": {**rdf["weights"]["keras_v3"], "sha256": digest}}

    _change(package_copy, keras_alone)
    failed = _failed(verify_package(package_copy))
    wrong = [name for name, words in failed.items() if "as it is said to magnify 2x" in words]
    assert {name.split(" (")[0].split(",")[0] for name in wrong} == {"tiled against whole", "Fiji's tiles"}


def test_names_in_brackets_are_names(report):
    console = Console(width=160, record=True)
    console.print(replace(report, name="Nuclei [nuclear stain] [/v2]").table())
    assert "Nuclei [nuclear stain] [/v2]" in console.export_text()


def test_weights_that_do_not_load_are_found(package_copy):
    (package_copy / "weights.onnx").write_bytes(b"nothing")
    failed = _failed(verify_package(package_copy))
    assert "not an ONNX model" in failed["load onnx"] and "rule: onnx" in failed


def test_a_package_that_cannot_be_run_ends_with_its_rules(package_copy):
    _change(package_copy, lambda rdf: rdf["inputs"][0].update(preprocessing=[{"id": "scale_range"}]))
    report = verify_package(package_copy)
    assert not report.ok
    assert "scale_range" in _skipped(report)["Fiji's tiles"] and "scale_range" in _skipped(report)["test output"]
    assert report.verdict("fiji") == "no" and report.verdict("zoo") == "no"  # the test output is of another network
    (package_copy / "rdf.yaml").write_text("- nothing")
    report = verify_package(package_copy)
    assert _failed(report).keys() == {"rule: rdf"} and len(_skipped(report)) == len(report.checks) - 1 > 3
    assert (
        report.summary == "Runs in Fiji: no, 1 thing to change; the zoo accepts it: not known (see what was not run)."
    )


def test_test_tensors_that_are_missing(package_copy):
    _change(package_copy, lambda rdf: rdf["inputs"][0].pop("test_tensor"))
    failed = _failed(verify_package(package_copy))
    assert "inputs[0].test_tensor should name a file" in failed["test tensors"]


def test_nothing_there_and_a_hostile_zip_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="no package at"):
        verify_package(tmp_path / "none")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
        zipped.writestr("../rdf.yaml", "type: model")
    with pytest.raises(UserError, match="leads out"):
        verify_package(tmp_path / "evil.zip")


def test_engines_that_cannot_be_had_fail_with_the_mend(hand_made, monkeypatch):
    def refuse(engine, *_, **__):
        raise UserError(f"{engine}: no Java was found. Install one.")

    monkeypatch.setattr(engines, "run_in_engine", refuse)
    failed = _failed(verify_package(hand_made, jvm=True))
    assert len(failed) == len(engines.ENGINES)
    assert all("Install one." in message for message in failed.values())


def test_an_engine_that_answers_otherwise_fails(hand_made, monkeypatch):
    def slightly_off(engine, weights, inputs, **_):
        if engine.startswith("onnx"):
            raise CheckFailedError("the engine crashed")
        return [each.repeat(2, 1).repeat(2, 2) for each in inputs]

    monkeypatch.setattr(engines, "run_in_engine", slightly_off)
    failed = _failed(verify_package(hand_made, jvm=True, sizes=(0.4, 1.0, 1.7)))
    assert sum(name.startswith("tf-java") for name in failed) == 2 * 4
    assert [message for name, message in failed.items() if name.startswith("onnx")] == ["the engine crashed"]


def test_a_package_of_the_zoos_own_library_is_explained(hand_made, tmp_path):
    from bioimageio.spec import ValidationContext, load_description, save_bioimageio_package_as_folder

    from relumen.export.zoo_library import _offline, _quiet

    rdf = yaml.safe_load((hand_made / "rdf.yaml").read_text())
    with _offline(rdf) as known, _quiet(), ValidationContext(known_files=dict(known), log_warnings=False):
        description = load_description(hand_made / "rdf.yaml")
        folder = Path(save_bioimageio_package_as_folder(description, output_path=tmp_path / "newest"))
    _change(folder, lambda rdf: rdf.update(id="brave-otter"))
    report = verify_package(folder)
    failed = {check.name: check for check in report.checks if check.status == "failed"}
    assert set(failed) == {"rule: format version", "rule: plain strings", "rule: no id"}
    assert failed["rule: format version"].change == "format_version: 0.5.10"
    changes = [check.change for check in report.checks if check.name == "rule: plain strings"]
    assert changes == ["documentation: README.md", "covers:\n- cover.png"]
    assert report.summary.startswith("Runs in Fiji: no, 3 things to change; the zoo accepts it: no, 1 thing to change")
    console = Console(width=160, record=True)
    console.print(report.table())
    text = console.export_text()
    assert text.index("so that it runs in Fiji") < text.index("so that the zoo accepts it")

    def mend(rdf):
        del rdf["id"]
        rdf |= {"format_version": "0.5.10", "documentation": "README.md", "covers": ["cover.png"]}

    _change(folder, mend)
    assert verify_package(folder).ok


def test_weights_that_only_pytorch_runs(package_copy):
    for form, verdict, words in (
        ("pytorch_state_dict", "no", "PyTorch of several GB"),
        ("torchscript", "not known", "which relumen can't try"),
    ):
        entry = {"source": "weights.onnx", "pytorch_version": "2.3.1"}
        _change(package_copy, lambda rdf, form=form, entry=entry: rdf.update(weights={form: entry}))
        report = verify_package(package_copy)
        assert report.verdict("fiji") == verdict
        assert words in next(check.message for check in report.checks if check.name == "rule: weights")
        assert "opset_version: 15" in next(check.change for check in report.checks if check.name == "rule: weights")
        assert "Fiji's tiles" in _skipped(report)


def test_an_older_format_and_several_inputs_are_not_judged_by_what_they_are_not(package_copy):
    _change(package_copy, lambda rdf: rdf["inputs"].append(rdf["inputs"][0] | {"id": "mask"}))
    report = verify_package(package_copy)
    assert "inputs has 2 tensors" in _failed(report)["rule: one image"] and "Fiji's tiles" in _skipped(report)
    _change(package_copy, lambda rdf: rdf.update(format_version="0.4.10"))
    report = verify_package(package_copy)
    assert "reads this older format too" in _failed(report)["rule: format version"]
    assert "Convert it first" in _skipped(report)["rule: axes"]
    (package_copy / "rdf.yaml").rename(package_copy / "bioimageio.yaml")
    with pytest.raises(UserError, match="Rename bioimageio.yaml to rdf.yaml"):
        verify_package(package_copy)
