"""ImageJ or Fiji in this process, whose commands, macros and Python functions all ask one relumen server."""

from __future__ import annotations

import atexit
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from relumen.errors import UserError
from relumen.images import AXES, Image

from .client import AppConnection, Client, Connection, HttpConnection, Kind, OnStatus
from .convert import ImagePlus, from_imageplus, to_imageplus
from .program import Program
from .session import ImageJSession
from .transport import Registered, at_the_end_of_java, escape_by_ctrl_c

Given = TypeVar("Given")
Parameter = str | int | float | bool | None

_LOOK_S = 0.25
_FILE_ENDINGS = re.compile(r"(?i)(\.(ome|tiff?|png|jpe?g|gif|bmp))+$")


def open(
    fiji: Path | str | None = None,
    *,
    server: str | None = None,
    token: str | None = None,
    folder: Path | None = None,
    priors: Sequence[Path] = (),
    headless: bool = True,
) -> Session:
    """Starts ImageJ, or the Fiji of a folder, in this process, and gives it a relumen server.

    There is one session at a time: a second one ends the first. ImageJ itself runs until the process ends.

    Args:
        fiji: a folder such as "/opt/Fiji.app"; None: plain ImageJ, from Maven Central or its copy on this machine.
        server: address of a running `relumen serve`; None: a server in this process, which needs no socket.
        token: that the server at this address asks for; None: of the variable RELUMEN_TOKEN.
        folder: where the server in this process keeps its jobs; None: a temporary one.
        priors: folders of priors that the server in this process has beside the shipped ones.
        headless: without windows. With them, this comes back when they are there.

    Raises:
        UserError: there is no Fiji, Java, screen or such address, or this process has another ImageJ already.
        CheckFailedError: ImageJ doesn't start, or the server doesn't answer.
    """
    global _last
    program = Program(None if fiji is None else Path(fiji).expanduser().resolve(), headless)
    program.check()
    if sys.platform == "darwin" and not headless:
        raise UserError("On macOS windows need the process for themselves: use `relumen fiji`, or headless=True.")
    _close_last()
    with ExitStack() as stack:
        connection = _connect(stack, server, token, folder, priors)
        imagej, gateway = program.start()
        stack.enter_context(Registered(connection))
        session = Session(imagej, gateway, Client(connection), stack.pop_all())
    _last = session
    _close_at_the_end()
    return session


def show(
    fiji: Path | None = None,
    *,
    server: str | None = None,
    priors: Sequence[Path] = (),
    say: Callable[[str], object] = print,
) -> None:
    """Shows ImageJ's, or Fiji's, window with relumen's commands until it is closed.

    On macOS, where windows need the main thread, this doesn't come back: the process ends with Fiji.

    Args:
        fiji: as of :func:`open`.
        server: likewise.
        priors: likewise.
        say: told when it is there.

    Raises:
        UserError: as of :func:`open`.
        CheckFailedError: likewise.
    """
    told = "ImageJ is there: open an image, then Plugins > relumen > RLS Super-Resolution..."
    if sys.platform == "darwin":
        program = Program(None if fiji is None else fiji.expanduser().resolve(), headless=False)
        program.check()
        with ExitStack() as stack:
            connection = _connect(stack, server, None, None, priors)
            registered = Registered(connection)  # kept, since Java doesn't

            def register() -> None:
                registered.__enter__()
                at_the_end_of_java(stack.close)
                say(told)

            program.run_on_macos(register)
    else:
        with open(fiji, server=server, priors=priors, headless=False) as session:
            say(told)
            session.wait_until_closed()


class Session:
    """ImageJ in this process and the server that it asks; made by :func:`open`, ended by :meth:`close` or ``with``.

    Menu, macros and the methods here ask the same server for the same things: equal seeds give equal images.

    Attributes:
        imagej: ImageJ itself: opens and saves images, runs macros.
        gateway: pyimagej's gateway to a Fiji; None for plain ImageJ.
        client: of the server, for jobs that nobody waits for.
    """

    def __init__(
        self,
        imagej: ImageJSession,
        gateway: Any,  # noqa: ANN401
        client: Client,
        stack: ExitStack,
    ) -> None:
        self.imagej = imagej
        self.gateway = gateway
        self.client = client
        self._stack = stack

    def super_resolve(
        self,
        image: Given,
        *,
        prior: str,
        factor: int,
        axes: str | None = None,
        on_status: OnStatus | None = None,
        **parameters: Parameter,
    ) -> Given:
        """Searches a prior for the high-resolution image that a low-resolution one fits. The result is synthesised.

        Ctrl-C cancels the search.

        Args:
            image: an ImagePlus, of which the selection's bounds are taken; an array; or an Image of relumen's.
            prior: name of one of :meth:`priors`.
            factor: magnification.
            axes: of an array, a part of "TZCYX" in that order; None: the last of "CYX".
            on_status: told of each change, as a :class:`.server.status.JobStatus`.
            parameters: as of :class:`.server.parameters.SearchParameters`, such as iterations=200, solutions=5, seed=1.

        Returns:
            The same kind as was given: float32, with the image's axes, in its units, factor times as many pixels along
            Y and X. Several solutions lie along Z, or along T where the image has slices: first the solutions, then
            their mean, last their standard deviation. An ImagePlus is not shown.

        Raises:
            UserError: the server refuses the image or a parameter.
            CheckFailedError: the search failed, or the server doesn't answer.
        """
        wanted = {"prior": prior, "factor": factor, **parameters}
        return self._done("search", image, axes, wanted, on_status, "_rls")

    def restore(
        self,
        image: Given,
        *,
        package: str,
        axes: str | None = None,
        on_status: OnStatus | None = None,
        **parameters: Parameter,
    ) -> Given:
        """Restores an image with one of the server's packages.

        Args:
            image: as of :meth:`super_resolve`.
            package: name of one of :meth:`packages`.
            axes: as of :meth:`super_resolve`.
            on_status: as of :meth:`super_resolve`.
            parameters: as of :class:`.server.parameters.RestorationParameters`, such as tile=256.

        Returns:
            The same kind as was given, float32.

        Raises:
            UserError: as of :meth:`super_resolve`.
            CheckFailedError: likewise.
        """
        return self._done("restoration", image, axes, {"package": package, **parameters}, on_status, "_restored")

    def run_macro(self, macro: str | Path, argument: str = "", image: ImagePlus | None = None) -> str:
        """Runs a macro, in which ``run("RLS Super-Resolution...", "prior=prior-cells factor=16")`` asks the server.

        Ctrl-C cancels a job that the macro waits for, and ends the macro.

        Args:
            macro: its source, or an .ijm file.
            argument: what ``getArgument()`` gives in it.
            image: the current image in it.

        Returns:
            The macro's ``return`` value, or "".

        Raises:
            UserError: there is no such file.
            CheckFailedError: the macro failed, or a command in it.
        """
        with escape_by_ctrl_c():
            return self.imagej.run_macro(macro, argument, image)

    def priors(self) -> list[dict[str, Any]]:
        """What can be searched: name, size, channels, stains, factors, flow and summary of each."""
        return self.client.priors()

    def packages(self) -> list[dict[str, Any]]:
        """What can restore: name, factor and summary of each."""
        return self.client.packages()

    def wait_until_closed(self) -> None:
        """Waits until the user has closed ImageJ's window."""
        import jpype

        imagej = jpype.JClass("ij.IJ")
        with suppress(jpype.JVMNotRunning):  # Fiji ends Java too, and then the process
            while (window := imagej.getInstance()) is not None and window.isShowing():
                time.sleep(_LOOK_S)

    def close(self) -> None:
        """Ends the server in this process, whose running jobs are lost with a temporary folder; again is harmless."""
        global _last
        self._stack.close()
        if _last is self:
            _last = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _done(
        self,
        kind: Kind,
        given: Given,
        axes: str | None,
        parameters: dict[str, Parameter],
        on_status: OnStatus | None,
        ending: str,
    ) -> Given:
        title = ""
        if isinstance(given, Image):
            image = given
        elif isinstance(given, np.ndarray):
            image = _from_array(given, axes)
        else:
            title = str(cast(Any, given).getTitle())
            image = from_imageplus(_selected(given))
        id = self.client.submit(kind, image, parameters, title)
        self.client.wait(id, on_status)
        result = _with_axes(self.client.result(id), image.axes)
        if isinstance(given, Image):
            return cast(Given, result)
        if isinstance(given, np.ndarray):
            return cast(Given, result.pixels)
        return to_imageplus(result, _FILE_ENDINGS.sub("", title) + ending)


_last: Session | None = None


def _close_last() -> None:
    if _last is not None:
        _last.close()


@cache
def _close_at_the_end() -> None:
    """Of the process, also where Java ends it, as Fiji does when it is closed."""
    atexit.register(_close_last)
    at_the_end_of_java(_close_last)


def _connect(
    stack: ExitStack, server: str | None, token: str | None, folder: Path | None, priors: Sequence[Path]
) -> Connection:
    if server is not None:
        if folder is not None or priors:
            raise UserError(f"The server at {server} has a folder and priors of its own. Leave yours out.")
        connection = HttpConnection(server, token)
        Client(connection).health()
        return connection
    from .server.config import ServeConfig
    from .server.serve import running
    from .server.work import make_worker

    if folder is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relumen-")))
    config = ServeConfig(folder=folder, priors=tuple(priors), warm=tuple(each.resolve().name for each in priors))
    app, _, _ = stack.enter_context(running(config, make_worker))
    connection = AppConnection(app)
    stack.callback(connection.close)
    return connection


def _from_array(pixels: np.ndarray, axes: str | None) -> Image:
    if axes is None and not 2 <= pixels.ndim <= 3:
        raise UserError(f"An array of {pixels.ndim} axes needs names, such as axes='TZCYX'.")
    return Image(pixels, axes or "CYX"[-pixels.ndim :])


def _with_axes(image: Image, axes: str) -> Image:
    """Gives axes of length 1 back, which no file knows."""
    wanted = "".join(axis for axis in AXES if axis in axes or axis in image.axes)
    pixels = np.asarray(image.pixels).reshape([image.sizes.get(axis, 1) for axis in wanted])
    return replace(image, pixels=pixels, axes=wanted)


def _selected(image: ImagePlus) -> ImagePlus:
    """What the command in the menu takes: the bounds of a selection, of all slices."""
    selection = image.getRoi()
    return image.crop("stack") if selection is not None and selection.isArea() else image
