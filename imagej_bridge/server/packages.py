"""The packages that can restore, and that are handed on to Fiji: those that come with relumen."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from threading import Lock

from relumen.archive import pack
from relumen.package import open_package
from relumen.shipped import shipped_packages, shipped_path
from relumen.whole import files_in

from .errors import NotFoundError
from .worker import Entry


class Packages:
    """Packages by name.

    Args:
        folder: where zips of them are kept; made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()

    @property
    def entries(self) -> list[Entry]:
        """Each in words and numbers."""
        return [self.entry(name) for name in shipped_packages()]

    def entry(self, name: str) -> Entry:
        """One in words and numbers.

        Raises:
            NotFoundError: there is none of this name.
        """
        with open_package(self.path(name)) as package:
            return {
                "name": name,
                "summary": str(package.rdf.get("description", "")),
                "factor": package.scale,
                "channels": package.input_channels,
                "pixel_size_um": package.training_pixel_size or "",
            }

    def path(self, name: str) -> Path:
        """The folder of one.

        Raises:
            NotFoundError: there is none of this name.
        """
        if name not in shipped_packages():
            raise NotFoundError(f"There is no package {name!r}. There are: {', '.join(shipped_packages())}")
        return shipped_path(name)

    def zipped(self, name: str) -> Path:
        """One as a zip, whose members lie at its top.

        Raises:
            NotFoundError: there is none of this name.
            CheckFailedError: the disk is full.
        """
        source, target = self.path(name), self._archive(name)
        with self._lock:
            if not target.is_file():
                self._folder.mkdir(parents=True, exist_ok=True)
                current = {self._archive(each) for each in shipped_packages()}
                for other in set(self._folder.glob("*.zip")) - current:  # of an older relumen
                    other.unlink()
                pack(source, files_in(source), target)
        return target

    def _archive(self, name: str) -> Path:
        digest = sha256((self.path(name) / "rdf.yaml").read_bytes()).hexdigest()  # it holds those of the files
        return self._folder / f"{name}-{digest}.zip"
