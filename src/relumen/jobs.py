"""Many images, one command: which files become which, and what happens when one of them fails."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from relumen.errors import UserError
from relumen.image_writing import OmeZarrVersion, OutputType
from relumen.images import SUFFIXES, ZARR, is_zarr, list_images

if TYPE_CHECKING:
    from rich.progress import Progress

Existing = Literal["refuse", "skip", "overwrite"]
OnProgress = Callable[[int, int], None]
"""Told (done, in all)."""


@dataclass(frozen=True)
class Job:
    """One image, and what becomes of it.

    Attributes:
        source: the image.
        target: the result; written last, so that where it is there all of them are.
        beside: files that are written with it.
        output_type: of the result.
        axes: overrides the image's.
        ome_zarr: version of the result, where it is one.
    """

    source: Path
    target: Path
    beside: tuple[Path, ...]
    output_type: OutputType
    axes: str | None
    ome_zarr: OmeZarrVersion = "0.4"


Work = Callable[[Job, OnProgress], None]
"""Does one job. Raises a UserError where its image is at fault."""


def plan_jobs(
    images: Sequence[str],
    output: Path,
    *,
    existing: str = "refuse",
    output_type: str = "float32",
    axes: str | None = None,
    ending: str = "restored",
    beside: Sequence[str] = (),
    suffixes: Sequence[str] = SUFFIXES,
    ome_zarr: str = "0.4",
) -> list[Job]:
    """Works out what is made of what, before anything is computed.

    Args:
        images: images, folders of them, and glob patterns that the shell did not expand.
        output: the result of one image; a folder for several, or where it has no image suffix. Folders that are not
            there are made by :func:`run_jobs`.
        existing: what to do with results that are there: "refuse", "skip" or "overwrite".
        output_type: "float32" or "input".
        axes: overrides the axes of every image.
        ending: of the results' names in a folder.
        beside: endings of the files that are written with a result, in place of its own suffix, such as "-mean.tif".
        suffixes: of results; in a folder, those of OME-Zarr are OME-Zarr where ".zarr" is among them.
        ome_zarr: version of results in OME-Zarr.

    Raises:
        UserError: no image, two results of one name, a result that is there and may not be replaced, or a folder
            that can't be made.
    """
    if ome_zarr not in get_args(OmeZarrVersion):
        raise UserError(f"--ome-zarr is {' or '.join(get_args(OmeZarrVersion))}. Received: {ome_zarr!r}")
    if existing not in get_args(Existing):
        raise UserError(f"--existing is refuse, skip or overwrite. Received: {existing!r}")
    if output_type not in get_args(OutputType):
        raise UserError(f"--type is float32 or input. Received: {output_type!r}")
    sources = _expand(images)
    suffix = output.suffix.lower()
    if suffix in SUFFIXES and (suffix == ZARR or not output.is_dir()):
        if suffix not in suffixes:
            raise UserError(f"Results of this command are {', '.join(suffixes)}. Received: -o {output}")
        if len(sources) > 1:
            raise UserError(f"{len(sources)} images need a folder to go to. Received: -o {output}")
        targets = [output]
    else:
        targets = [output / _result_name(source, ending, ZARR in suffixes) for source in sources]
    for place in (output, *output.resolve().parents):
        if is_zarr(place) and (place != output or suffix != ZARR):
            raise UserError(f"{place} is an image (Zarr), and no folder for results. Name another with -o.")
    _check_makable(targets[0].parent)
    if len(set(targets)) < len(targets):
        raise UserError("Two of the images have the same name. Have their results go to different folders.")
    jobs = []
    for source, target in zip(sources, targets, strict=True):
        if target.resolve() in (source.resolve(), *source.resolve().parents):
            raise UserError(f"The result would replace the image itself: {target}. Name another with -o.")
        others = tuple(target.with_name(target.stem + each) for each in beside)
        if source.resolve() in [path.resolve() for path in others]:
            raise UserError(f"What is written beside {target} would replace the image itself. Name another with -o.")
        there = [path for path in (target, *others) if path.exists()]
        if there and existing == "refuse":
            raise UserError(f"{there[0]} exists. Add --existing overwrite, or --existing skip to go on with the rest.")
        if not (target.exists() and existing == "skip"):
            jobs.append(Job(source, target, others, output_type, axes, ome_zarr))  # type: ignore[arg-type]
    return jobs


def run_jobs(jobs: Sequence[Job], work: Work, bar: Progress, say: Callable[[str], None]) -> None:
    """Does image after image; one that fails doesn't stop the others.

    Args:
        jobs: of :func:`plan_jobs`.
        work: does one; is given what to tell (done, in all) on its way.
        bar: shows it, a task for each image.
        say: told what the user should know.

    Raises:
        UserError: the only image failed, or some did; each is named with its reason.
        CheckFailedError: the disk or the device's memory is full.
    """
    failures: list[str] = []
    for job in jobs:
        task = bar.add_task(job.source.name, total=None)
        try:
            with _folder_made(job.target.parent):
                work(job, lambda done, total, task=task: bar.update(task, completed=done, total=total))
        except UserError as error:
            if len(jobs) == 1:
                raise
            failures.append(str(error))
            say(f"Left out: {error}")
        else:
            say(f"{job.source.name} -> {job.target}")
    if failures:
        raise UserError(f"{len(failures)} of {len(jobs)} images failed:\n" + "\n".join(failures))


def _expand(images: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for name in images:
        path = Path(name)
        if "://" in name:
            raise UserError(f"Images are read from the disk. Download it first. Received: {name}")
        if path.is_dir() and not (is_zarr(path) or path.suffix.lower() == ZARR):
            found += list_images(path)
        elif path.exists() or not glob.has_magic(name):
            found.append(path)
        else:
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True))
            if not matches:
                raise UserError(f"No file matches {name!r}.")
            found += [match for match in matches if match.suffix.lower() in SUFFIXES or is_zarr(match)]
    if not found:
        raise UserError(f"None of these is an image ({', '.join(SUFFIXES)}): {', '.join(images)}")
    return list(dict.fromkeys(found))


def _result_name(source: Path, ending: str, keeps_zarr: bool) -> str:
    """Such as "cells_restored.tif"; an image within an OME-Zarr, such as cells.zarr/0, has the name of both."""
    if not (is_zarr(source) or source.suffix.lower() == ZARR):
        return f"{source.stem}_{ending}.tif"
    whole = source.resolve()
    outer = next((place for place in (whole, *whole.parents) if place.suffix.lower() == ZARR), whole)
    names = [outer.name.removesuffix(outer.suffix).removesuffix(".ome"), *whole.relative_to(outer).parts]
    return f"{'_'.join(names)}_{ending}{'.ome.zarr' if keeps_zarr else '.tif'}"


def _check_makable(folder: Path) -> None:
    """Whether a folder is there or can be made, before anything is computed."""
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    number = None if os.access(place, os.W_OK) else errno.EACCES
    if not place.is_dir():
        number = errno.ENOTDIR
    if number is not None:
        raise UserError(f"The folder {folder} can't be made or written to ({os.strerror(number)}). Choose another.")


@contextmanager
def _folder_made(folder: Path) -> Iterator[None]:
    """Makes a folder with those above it; where nothing came to be in them, they are gone again."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} can't be made ({error.strerror}). Choose another with -o.") from error
    try:
        yield
    except BaseException:
        with suppress(OSError):  # something is in one of them
            for place in missing:
                place.rmdir()
        raise
