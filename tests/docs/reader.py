"""Follows a page of the guide as a reader does: every command, from the top, in one folder, by a real shell.

A page becomes a script of the shell bash whose lines have the page's numbers. In it ``relumen`` and ``python`` are
stand-ins that hand their work back to this process, which has TensorFlow already: it starts once for all pages.

What a page tells its test, in a comment right before a block:

- ``<!-- ci: --set steps=4 -->``: these options are added to each ``relumen train`` and ``relumen search`` of the block.
  Where nothing is told, they are made short by what the reader was given.
- ``<!-- ci: background -->``: what a person leaves running in another terminal: a ``relumen serve``.
- ``<!-- ci: skip REASON -->``: the block is not run.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relumen import cli

from .pages import blocks

LIMIT_S = 600
_OWN_PROCESS = ("serve", "fiji", "demo")
"""Commands that bring a server or Java into their process: each gets one of its own."""
_PORT = "8765"
"""Where a server listens that is told nothing; the page's is put where it is free."""
_END = "THE_END_OF_THE_BLOCK"
_STAND_IN = """#!{python} -IS
import json, os, socket, sys
asked = {{"command": ["{name}", *sys.argv[1:]], "folder": os.getcwd(), "told": os.environ.get("CI_TOLD", "")}}
asked["input"] = sys.stdin.read() if asked["command"] == ["python"] else ""
with socket.socket(socket.AF_UNIX) as line:
    line.connect("{address}")
    line.sendall(json.dumps(asked).encode())
    line.shutdown(socket.SHUT_WR)
    answer = json.loads(b"".join(iter(lambda: line.recv(65536), b"")))
if "instead" in answer:
    os.execv(answer["instead"][0], answer["instead"])
sys.stdout.write(answer["output"])
sys.stderr.write(answer["errors"])
sys.exit(answer["code"])
"""
_PREAMBLE = "set -eEu -o pipefail; trap 'echo \"$0, line $LINENO: exit code $?\"' ERR; "
_AWAITED = "; ".join(
    (
        "for i in $(seq 600)",
        "do curl -sfo /dev/null http://127.0.0.1:{port}/v1/health && break",
        "kill -0 $! && sleep 0.2",
        "done",
    )
)


@dataclass
class Reader:
    """Runs the commands of a page.

    Attributes:
        folder: where the page is followed.
        tools: an empty folder, for the stand-ins of the commands.
        short: changes by which a training of a system, or a "search", takes seconds, as ``--set`` has them.
        left_out: options that are not given to relumen, since another page has them.
        skipped: "line NUMBER: REASON" of the blocks that were not run.
        took: "SECONDS s: COMMAND" of what ran in this process.
    """

    folder: Path
    tools: Path
    short: Mapping[str, Sequence[str]]
    left_out: Sequence[str] = ()
    skipped: list[str] = field(default_factory=list)
    took: list[str] = field(default_factory=list)
    _server: list[str] = field(default_factory=list)
    _names: dict[str, object] = field(default_factory=lambda: {"__name__": "__main__"})

    def follow(self, page: str, name: str) -> None:
        """Runs every block of commands from the top.

        Args:
            page: its text.
            name: for failures.

        Raises:
            AssertionError: a command failed, or the page takes too long; with the line, and what was printed.
        """
        with socket.socket(socket.AF_UNIX) as listener:
            address = self.tools / "line"
            listener.bind(str(address))
            listener.listen()
            listener.settimeout(0.1)
            for tool in ("relumen", "python"):
                text = _STAND_IN.format(python=sys.executable, name=tool, address=address)
                (self.tools / tool).write_text(text, encoding="utf-8")
                (self.tools / tool).chmod(0o755)
            log = self.tools / "log"
            with log.open("w") as sink, self._shell(page, name, sink) as shell:
                end = time.monotonic() + LIMIT_S
                while shell.poll() is None and time.monotonic() < end:
                    with contextlib.suppress(TimeoutError):
                        self._serve(listener.accept()[0])
                code = shell.poll()
            said = log.read_text(encoding="utf-8")
        assert code is not None, f"{name} takes longer than {LIMIT_S} s:\n{said}"
        assert code == 0, f"{name} failed:\n{said}"

    @contextlib.contextmanager
    def _shell(self, page: str, name: str, sink: io.TextIOBase) -> Iterator[subprocess.Popen]:
        """The shell that runs the page's script; all that it started ends with it."""
        port = str(_free_port())
        self._server = ["--port", port, "--folder", str(self.tools / "server")]
        script = "\n".join(self._lines(page)).replace(_PORT, port) + "\n"
        environment = os.environ | {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "COLUMNS": "110",
        }
        command = ["bash", "-c", script, name]
        shell = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=sink, stderr=sink, start_new_session=True
        )
        try:
            yield shell
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()

    def _lines(self, page: str) -> list[str]:
        """The script: each command stands on its own line of the page, all else is empty."""
        lines = [""] * (len(page.splitlines()) + 1)
        for block in blocks(page):
            if block.comment.startswith("skip "):
                self.skipped.append(f"line {block.first}: {block.comment.removeprefix('skip ')}")
            elif block.language in ("sh", "python"):
                opening, closing = block.first - 2, block.first - 1 + len(block.lines)
                lines[block.first - 1 : closing] = block.lines
                if block.language == "python":
                    lines[opening], lines[closing] = f"python << '{_END}'", _END
                elif block.comment == "background":
                    lines[opening], lines[closing] = "{", "} & " + _AWAITED.format(port=_PORT)
                else:
                    lines[opening] = f"export CI_TOLD={shlex.quote(block.comment)}"
        return [_PREAMBLE + lines[0], *lines[1:]]

    def _serve(self, line: socket.socket) -> None:
        """Answers one stand-in."""
        with line:
            line.settimeout(None)
            asked = json.loads(b"".join(iter(lambda: line.recv(65536), b"")))
            line.sendall(json.dumps(self._answer(**asked)).encode())

    def _answer(self, command: list[str], folder: str, told: str, input: str) -> dict[str, object]:
        name, *arguments = command
        if name == "relumen" and not set(_OWN_PROCESS).isdisjoint(arguments[:1]):
            own = self._server if arguments[0] == "serve" else []
            return {"instead": [sys.executable, "-c", "from relumen.cli import main; main()", *arguments, *own]}
        if name == "python" and arguments:
            return {"instead": [sys.executable, *arguments]}
        output, errors, code, begun = io.StringIO(), io.StringIO(), 0, time.monotonic()
        with contextlib.chdir(folder), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                if name == "python":
                    exec(compile(input, "the page's Python", "exec"), self._names)
                else:
                    self._relumen(arguments, told)
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
                code = 1
        self.took.append(f"{time.monotonic() - begun:.1f} s: {' '.join(command)}")
        return {"output": output.getvalue(), "errors": errors.getvalue(), "code": code}

    def _relumen(self, arguments: list[str], told: str) -> None:
        """Runs the command line in this process."""
        arguments = [each for each in arguments if each not in self.left_out]
        name = arguments[0] if arguments[:1] == ["search"] else " ".join(arguments[1:2])
        if arguments[:1] in (["train"], ["search"]) and "--resume" not in arguments:
            changes = (part for change in self.short.get(name, ()) for part in ("--set", change))
            arguments = [*arguments, *(shlex.split(told) or changes)]
        before, sys.argv = sys.argv, ["relumen", *arguments]
        try:
            cli.main()
        finally:
            sys.argv = before


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
