"""Which ImageJ runs in this process: plain or a Fiji, with windows or without; each can be started once, and alone."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from relumen.errors import UserError
from relumen.jvm import fetch_jars, start_jvm

from .fiji_folder import check_fiji, has_plugin, start_fiji
from .session import COORDINATES, PLUGIN, ImageJSession, open_session, register_commands


@dataclass(frozen=True)
class Program:
    """What runs in this process: it can be started once, and there is no other beside it.

    Attributes:
        fiji: a Fiji's folder; None: plain ImageJ.
        headless: without windows.
    """

    fiji: Path | None
    headless: bool

    def check(self) -> None:
        """Looks whether it can be started.

        Raises:
            UserError: there is no such Fiji, or no screen, or another ImageJ runs in this process.
        """
        if self.fiji is not None:
            check_fiji(self.fiji)
            if not self.headless and not has_plugin(self.fiji):
                raise UserError(
                    f"relumen's commands are not in this Fiji's menu. Run: relumen fiji install {self.fiji}"
                )
        if not self.headless and sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
            raise UserError("There is no screen for ImageJ's window. Use --headless MACRO, or a machine with a screen.")
        import jpype

        if _started is None:
            ours = self.fiji is None and self.headless  # may have been started by open_session
            if jpype.isJVMStarted() and not ours:
                raise UserError("Java runs in this process already, without this ImageJ. Start Python anew.")
        elif _started[0] != self:
            raise UserError(f"This process has {_started[0]} already. Start Python anew for {self}.")

    def start(self) -> tuple[ImageJSession, Any]:
        """Starts it, unless it runs.

        Returns:
            ImageJ, and pyimagej's gateway where it is a Fiji.

        Raises:
            UserError: there is no Java, or ImageJ can't be fetched.
            CheckFailedError: it doesn't start.
        """
        global _started
        if _started is None:
            with _ctrl_c_stays_pythons():
                _started = self, *self._start()
        return _started[1], _started[2]

    def run_on_macos(self, register: Callable[[], None]) -> None:
        """Starts it with windows, which there need the main thread: this comes back only when the process ends.

        Args:
            register: called when it is there.
        """
        if self.fiji is not None:
            start_fiji(self.fiji, "gui", lambda _: register())
            return
        import jpype

        _load_imagej()

        def begin() -> None:
            _show_window()
            register()

        jpype.setupGuiEnvironment(begin)

    def _start(self) -> tuple[ImageJSession, Any]:
        if self.fiji is None and self.headless:
            return open_session(), None
        if self.fiji is None:
            _load_imagej()
            _show_window()
            return ImageJSession(), None
        gateway = start_fiji(self.fiji, "headless" if self.headless else "interactive")
        if not self.headless:
            gateway.ui().showUI()
        register_commands()
        return ImageJSession(), gateway

    def __str__(self) -> str:
        name = "plain ImageJ" if self.fiji is None else f"the Fiji in {self.fiji}"
        return name if self.headless else f"{name} with windows"


_started: tuple[Program, ImageJSession, Any] | None = None


def end_process() -> NoReturn:
    """Ends this process as one that succeeded, once all is done and written; Python's own endings are run first.

    Java's and TensorFlow's libraries are left to the system: taken apart in one process, with threads of both still
    there, they were seen to abort ("free(): corrupted unsorted chunks"), and what had succeeded looked as if it failed.
    """
    import jpype.config

    jpype.config.destroy_jvm = False
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@contextmanager
def _ctrl_c_stays_pythons() -> Iterator[None]:
    """Java would take it, and end the process."""
    # JPype's own remedy, interrupt=False, asks Python about signals without its lock: Python 3.11 can crash of it.
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _load_imagej() -> None:
    # ImageJ looks for commands in the plugins folder alone.
    home = Path(tempfile.mkdtemp(prefix="relumen-imagej-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "plugins").mkdir()
    shutil.copy(PLUGIN, home / "plugins")
    start_jvm([*fetch_jars(COORDINATES[:1]), PLUGIN], [f"-Dplugins.dir={home}"])


def _show_window() -> None:
    import jpype

    imagej = jpype.JClass("ij.ImageJ")
    imagej(imagej.STANDALONE)
