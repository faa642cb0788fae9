"""What stands in a page of the guide: its blocks of commands, and what it tells its test about them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(\s*)```(\w*)\s*$")
_COMMENT = re.compile(r"^\s*<!-- ci: (.*?) -->$")
_SPAN = re.compile(r"(?<!`)`(relumen [^`]+)`(?!`)")
_JOINERS = set("();<>|&")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: such as "sh".
        first: number of its first line in the page, from 1.
        lines: what stands between the fences.
        comment: what the page tells its test right before it, in ``<!-- ci: ... -->``.
    """

    language: str
    first: int
    lines: tuple[str, ...]
    comment: str


def pages_of(folder: str) -> list[Path]:
    """The pages in a folder of the repository and in those below it."""
    return sorted((ROOT / folder).rglob("*.md"))


def name_of(page: Path) -> str:
    """A page's name in the repository, such as "docs/how-to/train.md"."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page's text, those in lists too."""
    found: list[Block] = []
    fence, first, comment = None, 0, ""
    inside: list[str] = []
    for number, line in enumerate(page.splitlines(), 1):
        if fence is None:
            if fence := _FENCE.match(line):
                first, inside = number + 1, []
            elif told := _COMMENT.match(line):
                comment = told[1]
            elif line.strip():
                comment = ""
        elif line.strip() == "```":
            found.append(Block(fence[2], first, tuple(inside), comment))
            fence, comment = None, ""
        else:
            inside.append(line.removeprefix(fence[1]))
    return found


def commands(block: Block) -> Iterator[tuple[int, list[str]]]:
    """The commands of a block as words, each with its line; those that ``|`` or ``&&`` join are several."""
    waiting, start = "", block.first
    for number, line in enumerate(block.lines, block.first):
        start = start if waiting else number
        waiting += line
        if waiting.endswith("\\"):
            waiting = waiting[:-1]
        else:
            yield from ((start, words) for words in _commands_of(waiting))
            waiting = ""


def spans(page: str) -> Iterator[tuple[int, list[str]]]:
    """The commands of relumen that stand in backquotes, such as those of a table, each with its line."""
    for found in _SPAN.finditer(page):
        line = page.count("\n", 0, found.start()) + 1
        yield from ((line, words) for words in _commands_of(found[1]))


def _commands_of(text: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= _JOINERS:
            words.append(word)
        elif words:
            yield words
            words = []
