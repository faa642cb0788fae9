"""Jars from Maven Central, without an installed Maven.

jgo reads the project descriptions and works out what a library needs. It is made strict here: by itself it
only warns of a wrong checksum, leaves half a file behind when it is interrupted, and goes on without a
library whose description it could not download.

Files lie where Maven would keep them: ``~/.m2/repository``, or the folder that the variable M2_REPO names.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree.ElementTree import ParseError

import requests
from jgo.maven import Artifact, MavenContext, PythonResolver
from jgo.util import http
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from relumen.errors import UserError

_ATTEMPTS = 3
_TIMEOUT_S = 60
_CHUNK = 1 << 20
_PROGRESS_FROM_BYTES = 4 << 20


def fetch(coordinates: Sequence[str]) -> list[Path]:
    """See :func:`relumen.jvm.fetch_jars`."""
    resolver = CheckedResolver()
    context = MavenContext(resolver=resolver, timeout=_TIMEOUT_S)
    wanted = [context.create_dependency(coordinate) for coordinate in coordinates]
    for dependency in wanted:
        dependency.raw = True  # a library gets the versions that it asks for itself
    try:
        named, needed = resolver.resolve(wanted)
    except ParseError as error:
        raise UserError(
            f"A library's description in {context.repo_cache} is damaged ({error}). "
            "Delete that folder, and run this again with a network."
        ) from error
    if resolver.failure:  # jgo went on without it
        raise resolver.failure
    return [_sound_jar(dependency.artifact) for dependency in (*named, *needed)]


class CheckedResolver(PythonResolver):
    """jgo's resolver, whose downloads appear whole and with the right checksum, or not at all.

    Attributes:
        failure: the first download that failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failure: UserError | None = None

    def download(self, artifact: Artifact) -> Path:
        """Brings one file into the local copy.

        Raises:
            UserError: it could not be had; the message names it.
        """
        target = artifact.cached_path
        if target is None:
            raise ValueError(f"{artifact} has no place to be kept in.")
        folder = artifact.component.path_prefix.as_posix()
        problem = "no repository is named"
        for repository in [*artifact.context.remote_repos.values()] * _ATTEMPTS:
            try:
                _download(f"{repository}/{folder}/{artifact.filename}", target, artifact.context.timeout)
                return target
            except requests.ConnectionError:
                problem = (
                    "there is no connection. Run this once with a network; the library is kept in "
                    f"{artifact.context.repo_cache} from then on"
                )
            except (requests.RequestException, _DownloadError) as error:
                problem = f"{error}. Check its name and version, and run this again"
            except OSError as error:
                problem = f"{error}. Set M2_REPO to a folder with room that can be written to"
        self.failure = self.failure or UserError(
            f"The Java library {artifact.filename} could not be fetched from Maven Central: {problem}."
        )
        raise self.failure


class _DownloadError(Exception):
    """The server answered, but not with the file."""


def _download(url: str, target: Path, timeout: int) -> None:
    """Writes a file under a temporary name, checks it, and only then gives it its own."""
    with http.get(url, stream=True, timeout=timeout) as response:
        if response.status_code != 200:
            raise _DownloadError(f"the answer was {response.status_code} {response.reason}")
        stated = http.get(f"{url}.sha1", timeout=timeout)
        if stated.status_code != 200 or not stated.text.strip():
            raise _DownloadError("its checksum is not published")
        sha1 = stated.text.split()[0].lower()
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", suffix=".part", dir=target.parent)
        partial = Path(name)
        try:
            with open(handle, "wb") as file:
                for chunk in _with_progress(response, target.name):
                    file.write(chunk)
            if _sha1(partial) != sha1:
                raise _DownloadError(f"it arrived damaged (its SHA-1 is not {sha1})")
            partial.chmod(0o644)
            _note(target).write_text(sha1)
            os.replace(partial, target)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()


def _with_progress(response: requests.Response, name: str) -> Iterator[bytes]:
    chunks = response.iter_content(_CHUNK)
    size = int(response.headers.get("content-length", 0))
    if size < _PROGRESS_FROM_BYTES:
        yield from chunks
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=size)
        for chunk in chunks:
            yield chunk
            progress.advance(task, len(chunk))


def _sound_jar(artifact: Artifact) -> Path:
    """A jar of the local copy, fetched anew where something else left it damaged."""
    path = artifact.resolve()
    if not _is_sound(path):
        path.unlink()
        path = artifact.resolve()
    return path


def _is_sound(jar: Path) -> bool:
    if _note(jar).is_file():
        return _sha1(jar) == _note(jar).read_text().split()[0].lower()
    return zipfile.is_zipfile(jar)  # a zip's directory is at its end, so half a file is none


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha1")


def _sha1(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()
