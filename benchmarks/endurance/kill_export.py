"""Exports that are killed, and what is left of the new package and of the older one that it was to replace."""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from pathlib import Path

import corpus
from killing import Found, Moment, run

OLD, NEW = "An older package", "A newer package"


def kill_exports(work: Path, kept: Path, count: int, seed: int) -> Found:
    """Exports again and again, half of the times over an older package.

    Args:
        work: an empty folder.
        kept: of the corpus.
        count: of kills.
        seed: of their moments.
    """
    found, draw = Found("export"), random.Random(f"{seed} export")
    folder = work / "packages" / "tiny"
    command = ["export", str(corpus.run(kept)), "-o", str(folder), "--name"]
    began = time.monotonic()
    before = _export(command, OLD, folder.parent, work)
    life_s = time.monotonic() - began
    older = work / "older"
    shutil.copytree(folder, older)
    before |= _export([*command[:-1], "--overwrite", "--name"], NEW, folder.parent, work)
    digests = {_digest(older): OLD}
    while found.kills < count:
        over = draw.random() < 0.6
        shutil.rmtree(folder, ignore_errors=True)
        if over:
            shutil.copytree(older, folder)
        words = [*command[:-1], *(["--overwrite"] if over else []), "--name", NEW]
        ended = run(words, folder.parent, work, Moment.drawn(draw, sorted(before), life_s))
        found.note(ended)
        if not ended.killed and ended.code:
            return found.done()
        if over:
            found.check("an older package or the new one is there", folder.exists(), f"none; {ended.phase}")
        if folder.exists() and digests.get(_digest(folder)) != OLD:
            _check_whole(found, folder)
    ended = run([*command[:-1], "--overwrite", "--name", NEW], folder.parent, work, Moment())
    found.check("the next export works", ended.code == 0, ended.phase)
    _check_whole(found, folder)
    left = sorted(path.name for path in folder.parent.iterdir() if path != folder)
    found.check("the next export leaves nothing of those that were killed", not left, f"{len(left)}: {left[:5]}")
    return found.done()


def _export(command: list[str], name: str, folder: Path, work: Path) -> set[str]:
    """Exports without a break; gives the changes that it makes on the disk."""
    ended = run([*command, name], folder, work, Moment())
    if ended.code:
        raise RuntimeError(f"The export failed: {ended.phase}")
    return set((work / "changes").read_text().splitlines())


def _digest(folder: Path) -> str:
    answer = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        answer.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return answer.hexdigest()


def _check_whole(found: Found, folder: Path) -> None:
    """Whether a package that isn't the older one is whole: all rules but those of what the zoo wants to know."""
    from relumen.export.rules import check_rules
    from relumen.package import read_package
    from relumen.runners import package_runner

    results = found.tried("a new package can be held against the rules", lambda: check_rules(folder)) or []
    by_rule = {result.rule: result for result in results}
    for name in ("rdf", "files", "checksums", "test tensors", "samples", "cover") if results else ():
        found.check(f"rule of a new package: {name}", by_rule[name].ok, by_rule[name].message)
    package = found.tried("a new package can be read", lambda: read_package(folder))
    if package is not None:
        found.check("a package that isn't the older one is the new one", package.name == NEW, package.name)
        for form in package.weights:
            found.tried("a new package's weights load", lambda form=form: package_runner(package, form))
