"""What the entries work with: folders, whole files, and a server."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sentry import Watch
from whole_files import stock

Give = Callable[[], object]
"""Has relumen take what was made."""


class FaultError(Exception):
    """relumen did what it must not do, and raised nothing."""


@dataclass
class Site:
    """What the entries work with.

    Attributes:
        watch: the folders.
        kept: of the corpus.
    """

    watch: Watch
    kept: Path

    def write(self, name: str, data: bytes) -> Path:
        """A file beside the current folder's others."""
        path = self.watch.input / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def copy(self, source: Path, name: str) -> Path:
        """A copy of a folder of the corpus."""
        return Path(shutil.copytree(source, self.watch.input / name, symlinks=True))

    def whole(self, draw: random.Random, pattern: str) -> tuple[str, bytes]:
        """Name and bytes of one of the whole files."""
        path = draw.choice(sorted(stock(self.kept).glob(pattern)))
        return path.name, path.read_bytes()

    def new(self, name: str) -> Path:
        """Where a result may go."""
        return self.watch.output / name

    @cached_property
    def http(self) -> Any:  # noqa: ANN401  imports the server
        """A server in this process."""
        from http_asking import Asking

        return Asking(self.watch)
