"""The commands of all pages are held against the program; those of tutorials and how-to pages are run elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .pages import ROOT, blocks, commands, name_of, pages_of, spans
from .program import check

PAGES = [*pages_of("docs"), *pages_of("shipped"), *pages_of("benchmarks"), ROOT / "README.md"]


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
