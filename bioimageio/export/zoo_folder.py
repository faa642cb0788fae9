"""A package's files as the zoo wants them: those that rdf.yaml names and no others, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relumen.archive import pack
from relumen.errors import UserError
from relumen.package import package_folder
from relumen.rdf import RDF_NAME, read_rdf
from relumen.whole import copy_whole, files_in

from .rule import Content
from .rules_files import FILE_RULES, named_files
from .target import check_target

STEPS = (
    "Log in at https://bioimage.io and open https://bioimage.io/#/upload. Agree to the terms of service.",
    "Drop the folder or the zip there, or choose it with the button.",
    "Look at rdf.yaml in the form. The form writes it anew, as bioimageio.yaml: with an id, your account's e-mail as "
    "uploader, and without config.bioimageio. 'relumen zoo upload' sends the file as it is instead.",
    "Upload, then press Test Model: the zoo runs the model on its own machines.",
    "Open the review page of the model and press Submit for Review. Answer the reviewers in its comments.",
)


@dataclass(frozen=True)
class ZooFiles:
    """What belongs to a package.

    Attributes:
        folder: where the files lie.
        rdf: rdf.yaml as read.
        names: paths inside the folder, rdf.yaml first, with / between folders.
        left_out: names of files in the folder that rdf.yaml does not name.
    """

    folder: Path
    rdf: dict[str, Any]
    names: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        """Size of all files together."""
        return sum((self.folder / name).stat().st_size for name in self.names)


def zoo_files(folder: Path) -> ZooFiles:
    """Finds the files of a package.

    Raises:
        UserError: rdf.yaml can't be read, a file is not there, or a SHA-256 does not fit.
    """
    content = Content(folder, read_rdf(folder))
    faults = [
        result.message
        for rule in FILE_RULES
        if rule.name in ("files", "checksums")
        for result in rule.results(content)
        if not result.ok
    ]
    if faults:
        raise UserError("\n".join(["The package's files are not whole:", *(f"  {fault}" for fault in faults)]))
    named = []
    for where, entry, _ in named_files(content):
        path, _ = content.find(entry, where)
        if path is not None:
            named.append(path.relative_to(folder).as_posix())
    names = tuple(dict.fromkeys((RDF_NAME, *named)))
    return ZooFiles(folder, content.rdf, names, tuple(name for name in files_in(folder) if name not in names))


def prepare(source: Path, target: Path, *, overwrite: bool = False) -> ZooFiles:
    """Copies a package's files to a folder, or into a zip where the target's name ends so.

    Args:
        source: a package's folder or zip.
        target: to write.
        overwrite: whether it may take the place of what stands there.

    Raises:
        UserError: the package's files are not whole, or there is something at the target: with ``overwrite``, what is
            neither a package nor a zip, or the source itself.
        CheckFailedError: the disk refused to write.
    """
    if source.resolve() == target.resolve():
        raise UserError(
            f"{target} is the package itself, whose other files would be lost. Choose another place for the zoo's."
        )
    zipped = target.suffix.lower() == ".zip"
    if not (zipped and target.is_file() and overwrite):
        check_target(target, overwrite)
    with package_folder(source) as folder:
        files = zoo_files(folder)
        if zipped:
            pack(folder, files.names, target)
        else:
            copy_whole(folder, files.names, target, replace=overwrite)
        return files
