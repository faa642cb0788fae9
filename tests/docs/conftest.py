"""Someone who follows the pages of the guide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .reader import Reader

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


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    for name in ("page", "tools"):
        (tmp_path / name).mkdir()
    reader = Reader(tmp_path / "page", tmp_path / "tools", SHORT)
    yield reader
    print(*reader.skipped, *reader.took, sep="\n")  # shown by pytest -rP
