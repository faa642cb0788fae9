"""The command line as Markdown: every command with its help, its arguments and options, from the application itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from typer import Context
from typer.cli import get_docs_for_click
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from relumen.cli import app

Command = TyperGroup | TyperCommand

_EXAMPLE = re.compile(r"^Example: (.+(?:\n(?!\n).+)*)$", re.MULTILINE)
_BLOCK = r"```sh\n\1\n```"


def commands_markdown() -> str:
    """All commands, for docs/reference/commands.md."""
    command = cast(TyperGroup, get_command(app))
    return "\n".join(_sections(command, Context(command, info_name="relumen"), "relumen", level=1))


def _sections(command: Command, context: Context, name: str, level: int) -> Iterator[str]:
    """A command; of a group, a list of what is in it, and each of these."""
    text, _, _ = get_docs_for_click(obj=command, ctx=context, indent=level - 1, name=name).partition("**Commands**:")
    yield _EXAMPLE.sub(_BLOCK, text) if level > 1 else ""  # the page begins in its own words
    if not isinstance(command, TyperGroup):
        return
    commands = cast(dict[str, Command], command.commands)
    inside = [(f"{name} {each}", commands[each]) for each in command.list_commands(context)]
    yield "\n".join(f"- [`{each}`](#{each.replace(' ', '-')}): {_summary(one)}" for each, one in inside) + "\n"
    for each, one in inside:
        yield from _sections(one, context, each, level + 1)


def _summary(command: Command) -> str:
    return (command.help or "").partition("\n")[0]
