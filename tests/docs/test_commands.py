"""The commands of the guide: those of tutorials and how-to pages are run, all others are held against the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from .pages import ROOT, blocks, commands, spans
from .program import check
from .reader import Reader

GUIDE = sorted([*(ROOT / "docs/tutorials").glob("*.md"), *(ROOT / "docs/how-to").glob("*.md")])
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "shipped").rglob("*.md"),
        *(ROOT / "benchmarks").rglob("*.md"),
        ROOT / "README.md",
    ]
)
_LOOP = ("batch=2", "log_every=1", "check_every=100")
_LIMITED = ("data.patch=32", "steps=2", "generator.width=8", "generator.blocks=1", "discriminator.widths=[4, 4, 4]")
_UNPAIRED = (*_LOOP, *_LIMITED, "losses.critic_steps=1")
SHORT = {
    "esrgan": (
        *_LOOP,
        "generator={blocks: 1, width: 8, growth: 4}",
        "discriminator={width: 4, dense: 8}",
        "phase_1.steps=4",
        "phase_2.steps=2",
    ),
    "cascade": (*_LOOP, "generator.widths=[8, 8, 4, 4]", "discriminator.widths=[4, 4]", "data.densities=1", "steps=2"),
    "cgan": (*_LOOP, *_LIMITED),
    "cin-gan": _UNPAIRED,
    "features": (*_LOOP, "width=8", "steps=2", "procedural=1", "procedural_size=64"),
    "search": ("iterations=4",),
}
"""Changes by which a training or a search takes seconds, where a page doesn't tell its own."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    for name in ("page", "tools"):
        (tmp_path / name).mkdir()
    reader = Reader(tmp_path / "page", tmp_path / "tools", SHORT)
    yield reader
    print(*reader.skipped, *reader.took, sep="\n")  # shown by pytest -rP


@pytest.mark.parametrize("page", GUIDE, ids=name_of)
def test_a_page_can_be_followed(page: Path, reader: Reader) -> None:
    reader.follow(page.read_text(encoding="utf-8"), name_of(page))


def test_the_readme_can_be_followed(reader: Reader, cells: np.ndarray, phase: np.ndarray) -> None:
    """Its section "Use" takes for granted that there are images of these names."""
    low, high = cells[300:380, 300:380], cells[300:460, 300:460]
    images = {"day1/a": low, "stack": np.stack([low, low]), "overview": phase[:64, :64], "cells": low}
    for name in "abc":
        images |= {f"my-images/{name}": high, f"my-frames/{name}": phase[:256, :256]}
        images |= {f"my-pairs/low/{name}": low, f"my-pairs/high/{name}": high}
        images |= {f"few-pairs/low/{name}": low, f"few-pairs/high/{name}": low}
    for name, pixels in images.items():
        (reader.folder / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(reader.folder / f"{name}.tif", pixels)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, heading, rest = text.partition("\n## Use\n")
    used, _, _ = rest.partition("\n## ")
    reader.follow("\n" * (before + heading).count("\n") + used, "README.md")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_command_is_out_of_date(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that a page tells is one that relumen takes, with its options, presets and settings."""
    text = page.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for block in blocks(text):
        if block.language == "yaml" and (named := re.search(r"--preset (\S+\.yaml)", text)):
            Path(named[1]).write_text("\n".join(block.lines), encoding="utf-8")
    told = [found for block in blocks(text) if block.language == "sh" for found in commands(block)]
    for line, words in [*told, *spans(text)]:
        fault = check(words, whole=(line, words) in told)
        assert fault is None, f"{name_of(page)}, line {line}: {' '.join(words)}: {fault}"
