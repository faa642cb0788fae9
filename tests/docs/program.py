"""Whether the program takes a command, found without running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import typer

from relumen import cli
from relumen.errors import UserError

from .pages import ROOT


class _Taken(Exception):  # noqa: N818  it is no error
    """A command came so far that its configuration is known."""


def check(words: Sequence[str], *, whole: bool) -> str | None:
    """What is wrong with a command; None: nothing, or it is neither relumen nor a benchmark.

    Options, choices and presets must exist, and the changes of a configuration must be allowed. What stands for a
    reader's own folders and images need not be there.

    Args:
        words: of the command.
        whole: whether it must name all that the command needs; in running text it needn't.
    """
    if words[0] == "python" and words[1].startswith("benchmarks/"):
        return None if (ROOT / words[1]).is_file() else "there is no such script"
    if words[0] != "relumen" or words[1:] in ([], ["--help"]) or words[1].isupper():
        return None
    words = [word for word in words if word != "..."]
    try:
        _program().main(list(words[1:]), prog_name="relumen", standalone_mode=False)
    except UserError as fault:
        return str(fault) if whole or not str(fault).startswith("Name the images") else None
    except _Taken:
        return None
    except Exception as fault:
        if not hasattr(fault, "format_message"):  # what click raises, or typer's own click
            raise
        message = fault.format_message()
        left_out = type(fault).__name__ in ("MissingParameter", "BadOptionUsage") or message == "Missing command."
        return None if left_out and not whole else message
    return None


@cache
def _program() -> Any:  # noqa: ANN401  click's command, or that of typer's own click
    """The command line, whose commands end once they know what they are asked."""
    program = typer.main.get_command(cli.app)
    _shorten(program, ())
    return program


def _shorten(command: Any, path: tuple[str, ...]) -> None:  # noqa: ANN401
    if hasattr(command, "commands"):
        command.no_args_is_help = False
        for name, child in command.commands.items():
            _shorten(child, (*path, name))
    if command.callback is not None:
        command.callback = _Shortened(path, command.callback)


class _Shortened:
    """A command that resolves its configuration, and does nothing."""

    def __init__(self, path: tuple[str, ...], run: Callable[..., object]) -> None:
        self._path, self._run = path, run

    def __call__(self, **given: Any) -> None:  # noqa: ANN401
        match self._path:
            case ["train", "flow"]:
                from relumen.training.config import load_flow_config

                load_flow_config(given["preset"], given["overrides"] or [])
            case ["train", _] if given.get("resume") is None:
                self._prepare(given)
            case ["search"]:
                from relumen.search.config import load_search
                from relumen.search.request import SearchRequest

                load_search(given["method"], given["overrides"] or ())
                names = SearchRequest.model_fields.keys() & given.keys() - {"overrides"}
                SearchRequest.of({name: given[name] for name in names if given[name]})
            case ["evaluate", "rls", "table-1"]:
                from relumen.evaluation.rls_methods import changed

                list(map(changed, given["also"] or ()))
            case ["data", "filters"]:
                from relumen.training.config import load_config

                load_config("cascade", "compact", given["overrides"] or [], **{"data.folder": "."})
            case ["data" | "evaluate", _] if given.get("overrides"):
                from relumen.training.config import read_data_config

                read_data_config({"folder": ".", "patch": 32}, given["overrides"])

    def _prepare(self, given: Mapping[str, Any]) -> None:
        """Runs a training's command until its images would be read."""
        from relumen.prior.folder import Prior
        from relumen.training import start
        from relumen.training.prior_config import ImagesConfig

        def taken(*_: object, **__: object) -> None:
            raise _Taken

        with ExitStack() as changed:
            changed.enter_context(patch("relumen.device.describe_device", return_value=""))
            changed.enter_context(patch.object(Prior, "open", lambda path: SimpleNamespace(path=path)))
            changed.enter_context(patch.object(ImagesConfig, "resolved", taken))
            for name in ("_loaded", "go"):
                changed.enter_context(patch.object(start, name, taken))
            self._run(**given)
