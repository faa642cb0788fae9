"""Many images, one command: which files become which, and what happens when one of them fails."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from relumen.errors import UserError
from relumen.image_writing import OutputType
from relumen.images import SUFFIXES, list_images

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
        target: the result's file; written last, so that where it is there all of them are.
        beside: files that are written with it.
        output_type: of the result.
        axes: overrides the image's.
    """

    source: Path
    target: Path
    beside: tuple[Path, ...]
    output_type: OutputType
    axes: str | None


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
) -> list[Job]:
    """Works out what is made of what, before anything is computed.

    Args:
        images: files, folders, and glob patterns that the shell did not expand.
        output: the file for one image; a folder, made if need be, for several or where it has no image suffix.
        existing: what to do with results that are there: "refuse", "skip" or "overwrite".
        output_type: "float32" or "input".
        axes: overrides the axes of every image.
        ending: of the results' names in a folder.
        beside: endings of the files that are written with a result, in place of its own suffix, such as "-mean.tif".

    Raises:
        UserError: no image, two results of one name, or a result that is there and may not be replaced.
    """
    if existing not in get_args(Existing):
        raise UserError(f"--existing is refuse, skip or overwrite. Received: {existing!r}")
    if output_type not in get_args(OutputType):
        raise UserError(f"--type is float32 or input. Received: {output_type!r}")
    sources = _expand(images)
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        if len(sources) > 1:
            raise UserError(f"{len(sources)} images need a folder to go to. Received: -o {output}")
        targets = [output]
    else:
        _make_folder(output)
        targets = [output / f"{source.stem}_{ending}.tif" for source in sources]
    if len(set(targets)) < len(targets):
        raise UserError("Two of the images have the same name. Have their results go to different folders.")
    jobs = []
    for source, target in zip(sources, targets, strict=True):
        if target.resolve() == source.resolve():
            raise UserError(f"The result would replace the image itself: {target}. Name another file with -o.")
        others = tuple(target.with_name(target.stem + each) for each in beside)
        there = [path for path in (target, *others) if path.exists()]
        if there and existing == "refuse":
            raise UserError(f"{there[0]} exists. Add --existing overwrite, or --existing skip to go on with the rest.")
        if not (target.exists() and existing == "skip"):
            jobs.append(Job(source, target, others, output_type, axes))  # type: ignore[arg-type]
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
        if path.is_dir():
            found += list_images(path)
        elif path.exists() or not glob.has_magic(name):
            found.append(path)
        else:
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True))
            if not matches:
                raise UserError(f"No file matches {name!r}.")
            found += [match for match in matches if match.suffix.lower() in SUFFIXES]
    if not found:
        raise UserError(f"None of these is an image ({', '.join(SUFFIXES)}): {', '.join(images)}")
    return list(dict.fromkeys(found))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} can't be made ({error.strerror}).") from error
