"""The tutorials can be followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import name_of, pages_of
from .reader import Reader


@pytest.mark.parametrize("page", pages_of("docs/tutorials"), ids=name_of)
def test_a_tutorial_can_be_followed(page: Path, reader: Reader) -> None:
    reader.follow(page.read_text(encoding="utf-8"), name_of(page))
