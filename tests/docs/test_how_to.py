"""The pages for each command can be followed, and the README."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from .pages import ROOT, name_of, pages_of
from .reader import Reader


@pytest.mark.parametrize("page", pages_of("docs/how-to"), ids=name_of)
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
    reader.left_out = ("--jvm",)  # the tutorial of training has it
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, heading, rest = text.partition("\n## Use\n")
    used, _, _ = rest.partition("\n## ")
    reader.follow("\n" * (before + heading).count("\n") + used, "README.md")
