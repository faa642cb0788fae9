"""The way from the commands in Java to a server, through Python: Java knows no tokens, Python knows no dialogs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .client import TEXT, Connection, GoneError


class Registered:
    """Has the commands ask a server through Python, as long as the block lasts.

    Args:
        connection: to the server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: Any = None  # Java doesn't keep it

    def __enter__(self) -> Registered:
        import jpype

        reply_type = jpype.JClass("relumen.Transport$Reply")
        java_bytes: Any = jpype.JArray(jpype.JByte)
        io_exception: Any = jpype.JClass("java.io.IOException")
        connection = self._connection

        @jpype.JImplements("relumen.Transport")
        class Transport:
            @jpype.JOverride
            def send(self, method: Any, target: Any, body: Any) -> Any:  # noqa: ANN401
                try:
                    sent = None if body is None else bytes(memoryview(body))
                    reply = connection.send(str(method), str(target), sent, accept=TEXT)
                except GoneError as error:
                    raise io_exception(error.reason) from error  # the command says the rest
                return reply_type(reply.status, java_bytes(np.frombuffer(reply.body, np.int8)))

            @jpype.JOverride
            def describe(self) -> str:
                return connection.describe()

        self._transport = Transport()
        jpype.JClass("relumen.Transports").register(self._transport)
        return self

    def __exit__(self, *_: object) -> None:
        import jpype

        if jpype.isJVMStarted():
            jpype.JClass("relumen.Transports").register(None)


@contextmanager
def escape_by_ctrl_c() -> Iterator[None]:
    """Has Ctrl-C press ImageJ's Esc key, by which a command cancels its job and ends the macro.

    Java knows no KeyboardInterrupt: it is raised at the end of the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    import jpype

    imagej, key = jpype.JClass("ij.IJ"), jpype.JClass("java.awt.event.KeyEvent").VK_ESCAPE
    pressed = threading.Event()

    def press(*_: object) -> None:
        pressed.set()
        imagej.setKeyDown(key)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed.is_set():
            raise KeyboardInterrupt


def at_the_end_of_java(close: Callable[[], None]) -> None:
    """Has a function called when Java ends, also where it ends the whole process."""
    import jpype

    runnable = jpype.JProxy("java.lang.Runnable", dict={"run": close})
    jpype.JClass("java.lang.Runtime").getRuntime().addShutdownHook(jpype.JClass("java.lang.Thread")(runnable))
