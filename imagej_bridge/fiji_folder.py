"""A Fiji on the disk: whether it is one, how pyimagej starts it without a network, and what relumen puts into it."""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from relumen.errors import CheckFailedError, UserError
from relumen.jvm import find_java
from relumen.shipped import shipped_packages, shipped_path
from relumen.whole import copy_whole, file_appears_whole, files_in

from .session import PLUGIN

Mode = Literal["headless", "interactive", "gui"]
"""pyimagej's: without windows; with windows and without waiting; with windows until they are closed."""

_MACROS = "relumen"
_LIBRARIES = ("imglib2-imglyb", "imglib2-unsafe")  # pyimagej's own part in Java


def check_fiji(folder: Path) -> None:
    """Looks whether pyimagej can start what lies in a folder.

    Raises:
        UserError: it is no Fiji, or lacks a library; the message says what to do.
    """
    if not any((folder / "jars").glob("imagej-legacy-*.jar")):
        raise UserError(
            f"There is no Fiji in {folder}: it has no jars/imagej-legacy-*.jar. Name the folder that holds jars/ and "
            "plugins/, often Fiji.app or Fiji."
        )
    missing = [name for name in _LIBRARIES if not any((folder / "jars").glob(f"{name}-*.jar"))]
    if missing:
        raise UserError(
            f"The Fiji in {folder} lacks {' and '.join(missing)}, by which Python speaks to it. Update it (Help > "
            f"Update...); if that does not bring them, put their jars (net.imglib2, on SciJava's Maven site) into "
            f"{folder / 'jars'}. Fiji itself, with `relumen serve` beside it, does not need them."
        )


def start_fiji(folder: Path, mode: Mode, on_start: Callable[[Any], object] | None = None) -> Any:  # noqa: ANN401
    """Starts a Fiji in this process, offline.

    Args:
        folder: of :func:`check_fiji`.
        mode: of pyimagej; "gui" comes back when the windows are closed, and on macOS never.
        on_start: is given pyimagej's gateway when it is there.

    Returns:
        pyimagej's gateway; None after "gui".

    Raises:
        UserError: there is no Java.
        CheckFailedError: Fiji doesn't start.
    """
    import jpype
    import scyjava

    os.environ["JAVA_HOME"] = str(find_java().home)  # not a Java of Fiji's, which may be too old
    jpype.addClassPath(PLUGIN)  # before Fiji's own jars, among which an older one may be
    import imagej

    # By being imported it asks for a library from the network; Fiji has it.
    scyjava.config.endpoints.clear()
    scyjava.config.set_java_constraints(fetch="auto")
    if on_start is not None:
        imagej.when_imagej_starts(on_start)
    try:
        gateway = imagej.init(str(folder), mode=mode)
    except Exception as error:  # pyimagej's, JPype's and Java's, of many classes
        raise CheckFailedError(f"The Fiji in {folder} does not start ({error}). Does it start by itself?") from error
    if gateway is False or (gateway is None and mode != "gui"):
        raise CheckFailedError(f"The Fiji in {folder} does not start: it has no ImageJ2. Does it start by itself?")
    return gateway


def install(folder: Path) -> Iterator[str]:
    """Puts the commands, the macros and the shipped packages into a Fiji, or a plain ImageJ.

    Each file, and each package as a whole, appears at once or not at all. What is there of the same content stays, and
    so does what is there of another, but for older versions of relumen's jar.

    Args:
        folder: that holds plugins/.

    Yields:
        What was done, and what was left, a sentence each.

    Raises:
        UserError: it is no Fiji, or can't be written to.
        CheckFailedError: the disk is full, or relumen's own jar is damaged.
    """
    plugins = folder / "plugins"
    if not plugins.is_dir() or not ((folder / "jars").is_dir() or (folder / "ij.jar").is_file()):
        raise UserError(
            f"There is no Fiji in {folder}: it has no plugins/ beside jars/ (or ij.jar). Name the folder that holds "
            "them, often Fiji.app or Fiji."
        )
    yield from _install_plugin(plugins)
    yield from _install_macros(_made(folder / "macros" / _MACROS))
    models = _made(folder / "models")
    for name in shipped_packages():
        yield _install_package(shipped_path(name), models / name)


def has_plugin(folder: Path) -> bool:
    """Whether this version's commands are installed in a Fiji."""
    installed = folder / "plugins" / PLUGIN.name
    return installed.is_file() and filecmp.cmp(installed, PLUGIN, shallow=False)


def _install_plugin(plugins: Path) -> Iterator[str]:
    stated = PLUGIN.with_name(f"{PLUGIN.name}.sha256").read_text(encoding="utf-8").split()[0]
    if hashlib.sha256(PLUGIN.read_bytes()).hexdigest() != stated:
        raise CheckFailedError(f"{PLUGIN} is damaged: its SHA-256 is not {stated}. Install relumen again.")
    target = plugins / PLUGIN.name
    if has_plugin(plugins.parent):
        yield f"There already: {target}"
    else:
        _copy(PLUGIN, target)
        yield f"Installed: {target}"
    for other in sorted(plugins.rglob("relumen_-*.jar")):
        if other == target:
            continue
        if not _is_ours(other):
            yield f"Left as it is: {other}, which is not relumen's"
            continue
        try:
            other.unlink()
        except OSError as error:
            raise UserError(f"{other} is older, and can't be removed ({error.strerror}). Close Fiji first.") from error
        yield f"Removed: {other}, which is older"


def _is_ours(jar: Path) -> bool:
    try:
        with zipfile.ZipFile(jar) as archive:
            return b"relumen." in archive.read("plugins.config")
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def _install_macros(target: Path) -> Iterator[str]:
    for macro in sorted(Path(str(files("relumen.imagej_bridge.macros"))).glob("*.ijm")):
        path = target / macro.name
        if not path.exists():
            _copy(macro, path)
            yield f"Installed: {path}"
        elif filecmp.cmp(macro, path, shallow=False):
            yield f"There already: {path}"
        else:
            yield f"Left as it is: {path}, which differs. Move it away to have this version's"


def _install_package(source: Path, target: Path) -> str:
    names = files_in(source)
    if target.exists():
        # DeepImageJ unpacks weights into the folder; so what is there besides is no difference.
        _, different, absent = filecmp.cmpfiles(source, target, names, shallow=False)
        if different or absent:
            return f"Left as it is: {target}, which differs. Move it away, or rename it, to have this version's"
        return f"There already: {target}"
    room = sum((source / name).stat().st_size for name in names)
    free = shutil.disk_usage(target.parent).free
    if room > free:
        raise CheckFailedError(f"{target} needs {room / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free.")
    copy_whole(source, names, target)
    return f"Installed: {target}"


def _copy(source: Path, target: Path) -> None:
    with file_appears_whole(target, source.stat().st_size) as partial:
        shutil.copyfile(source, partial)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} can't be made ({error.strerror}).") from error
    return folder
