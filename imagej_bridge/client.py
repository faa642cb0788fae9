"""What Python asks of a relumen server: over HTTP, or of one in this process, without a socket."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import numpy as np

from relumen.errors import CheckFailedError, UserError
from relumen.image_writing import write_image
from relumen.images import Image, read_image

from .server.config import TOKEN_VARIABLE, is_loopback, read_token
from .server.status import JobStatus

DEFAULT_SERVER = "http://127.0.0.1:8765"
JSON, TEXT, TIFF = "application/json", "text/plain", "image/tiff"
Kind = Literal["search", "restoration"]
OnStatus = Callable[[JobStatus], object]

_PATHS: Mapping[Kind, str] = {"search": "/v1/searches", "restoration": "/v1/restorations"}
_POLL_S = 0.25
_PAUSE_S = 1.0  # where the server doesn't say when to try again
_ANSWER_S = 20.0
_ANSWER_TO_IMAGE_S = 300.0  # the image is looked at before the job is taken
_KEPT_TYPES = (np.uint8, np.uint16, np.int16, np.float32)  # that ImageJ's TIFF has


class GoneError(CheckFailedError):
    """The server doesn't answer.

    Args:
        message: that, and what to do.
        reason: why, in a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Attributes:
        status: HTTP's number.
        body: as it came.
        retry_after: seconds after which a server with too much to do wants to be asked again.
    """

    status: int
    body: bytes
    retry_after: float | None = None


class Connection(Protocol):
    """How a request reaches a server; safe to use from any thread."""

    def send(
        self, method: str, target: str, body: bytes | None = None, content_type: str = TIFF, accept: str = JSON
    ) -> Reply:
        """Sends one request and waits for its answer.

        Args:
            method: GET, POST or DELETE.
            target: path and query, such as "/v1/searches?prior=prior-cells&factor=16".
            body: what is posted.
            content_type: of the body.
            accept: in which form answers are wanted that are no image.

        Raises:
            GoneError: the server doesn't answer.
        """
        ...

    def describe(self) -> str:
        """What the server is called before a user whom it doesn't answer."""
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...


class HttpConnection:
    """Requests over HTTP.

    Args:
        address: such as "http://127.0.0.1:8765".
        token: that the server asks for; None: of the variable RELUMEN_TOKEN, where it is set.

    Raises:
        UserError: this is no address, or the variable holds no token.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        self._address = _checked_address(address)
        self._token = read_token(None) if token is None else token
        proxies = [ProxyHandler({})] if is_loopback(urlsplit(self._address).hostname or "") else []
        self._opener = build_opener(_NoRedirection, *proxies)

    def send(
        self, method: str, target: str, body: bytes | None = None, content_type: str = TIFF, accept: str = JSON
    ) -> Reply:
        """See :meth:`Connection.send`."""
        headers = {"Accept": f"{accept}, {TIFF}"}
        if body is not None:
            headers["Content-Type"] = content_type
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        request = Request(self._address + target, body, headers, method=method)
        patience = _ANSWER_S if body is None else _ANSWER_TO_IMAGE_S
        try:
            try:
                answer: HTTPResponse | HTTPError = self._opener.open(request, timeout=patience)
            except HTTPError as refusal:
                answer = refusal
            with answer:
                return Reply(answer.status or 0, answer.read(), _seconds(answer.headers.get("Retry-After")))
        except (URLError, HTTPException, OSError) as error:
            reason = str(getattr(error, "reason", None) or error)
            words = (
                f"{self._address} does not answer ({reason}). Start a server there (relumen serve), or name another."
            )
            raise GoneError(words, reason) from error

    def describe(self) -> str:
        """The address."""
        return self._address

    def close(self) -> None:
        """Each request has a connection of its own."""


class AppConnection:
    """A server in this process, called without a socket; its event loop has a thread of its own.

    Args:
        app: as ``relumen.imagej_bridge.server.app.make_app`` makes it, for this process alone, without a token.
    """

    def __init__(self, app: Any) -> None:  # noqa: ANN401  (an ASGI application)
        from anyio.from_thread import start_blocking_portal
        from httpx import ASGITransport, AsyncClient

        transport = ASGITransport(app, raise_app_exceptions=False)
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal(name="relumen-app"))
            client = AsyncClient(transport=transport, base_url=DEFAULT_SERVER, timeout=None)
            self._client = stack.enter_context(self._portal.wrap_async_context_manager(client))
            self._stack = stack.pop_all()

    def send(
        self, method: str, target: str, body: bytes | None = None, content_type: str = TIFF, accept: str = JSON
    ) -> Reply:
        """See :meth:`Connection.send`."""
        headers = {"Accept": f"{accept}, {TIFF}"}
        if body is not None:
            headers["Content-Type"] = content_type
        request = partial(self._client.request, method, target, content=body, headers=headers)
        try:
            answer = self._portal.call(request)
        except RuntimeError as error:  # of the portal
            raise GoneError("The server in this process is closed. Open a session again.", "it is closed") from error
        return Reply(answer.status_code, answer.content, _seconds(answer.headers.get("Retry-After")))

    def describe(self) -> str:
        """That it is here."""
        return "the server in this process"

    def close(self) -> None:
        """Ends the application and its thread; again is harmless."""
        self._stack.close()


class Client:
    """Jobs of a server.

    Args:
        connection: to it.
        busy_s: how long a server that has too much to do, or is starting, is asked again, seconds.
        gone_s: how long :meth:`wait` bears a server that doesn't answer, seconds.
    """

    def __init__(self, connection: Connection, *, busy_s: float = 60.0, gone_s: float = 30.0) -> None:
        self.connection = connection
        self._busy_s = busy_s
        self._gone_s = gone_s

    def submit(self, kind: Kind, image: Image, parameters: Mapping[str, Any], title: str = "") -> str:
        """Has the server accept a job.

        Args:
            kind: what is to be done.
            image: of the types that ImageJ has not, converted to float32.
            parameters: as `relumen serve`'s page /docs lists them; None leaves one out.
            title: what the job is called.

        Returns:
            The job's id.

        Raises:
            UserError: the server refuses the image or a parameter; in its words.
            CheckFailedError: it doesn't answer, or has too much to do.
        """
        given = {**parameters, "title": title or None}
        query = {name: _text(value) for name, value in given.items() if value is not None}
        target = f"{_PATHS[kind]}?{urlencode(query, quote_via=quote)}"
        return json.loads(self._checked("POST", target, _tiff(image)))["id"]

    def status(self, id: str) -> JobStatus:
        """How a job stands.

        Raises:
            UserError: there is no such job.
            CheckFailedError: the server doesn't answer.
        """
        return JobStatus.model_validate_json(self._checked("GET", _job(id)))

    def wait(self, id: str, on_status: OnStatus | None = None) -> JobStatus:
        """Waits until a job is finished; Ctrl-C cancels it.

        Args:
            id: the job.
            on_status: told of each change.

        Raises:
            UserError: there is no such job.
            CheckFailedError: it failed, for the reason told, or was cancelled; or the server is gone for too long: then
                the message says how its result is had later.
        """
        heard, known = time.monotonic(), None
        try:
            while True:
                try:
                    status = self.status(id)
                except GoneError as error:
                    if time.monotonic() - heard > self._gone_s:
                        words = f"{error} It keeps job {id}, and goes on with it once it runs again."
                        raise GoneError(words, error.reason) from error
                    time.sleep(_PAUSE_S)
                    continue
                heard = time.monotonic()
                if on_status is not None and status != known:
                    on_status(status)
                known = status
                if status.state == "finished":
                    return status
                if status.state not in ("waiting", "running"):
                    raise CheckFailedError(status.reason or f"The job is {status.state} on the server.")
                time.sleep(_POLL_S)
        except KeyboardInterrupt:
            with suppress(GoneError):
                self.cancel(id)
            raise

    def preview(self, id: str) -> Image | None:
        """What a job has found so far, float32 of axes YX or CYX; None where there is nothing yet, or no longer."""
        reply = self._patient("GET", _job(id, "preview"))
        return None if reply.status == 404 else _image(self._accepted(reply))

    def result(self, id: str) -> Image:
        """What a job found.

        Raises:
            UserError: it isn't finished, or its result has expired.
            CheckFailedError: the server doesn't answer.
        """
        return _image(self._checked("GET", _job(id, "result")))

    def cancel(self, id: str) -> JobStatus:
        """Ends a job; one that has ended stays as it is."""
        return JobStatus.model_validate_json(self._checked("DELETE", _job(id)))

    def priors(self) -> list[dict[str, Any]]:
        """What can be searched: name, size, channels, stains, factors, flow and summary of each."""
        return json.loads(self._checked("GET", "/v1/priors"))

    def packages(self) -> list[dict[str, Any]]:
        """What can restore: name, factor and summary of each."""
        return json.loads(self._checked("GET", "/v1/packages"))

    def health(self) -> dict[str, Any]:
        """What the server tells of itself, also while it starts or stops.

        Raises:
            GoneError: it doesn't answer.
            CheckFailedError: something else answers at this address.
        """
        reply = self.connection.send("GET", "/v1/health")
        try:
            return json.loads(self._accepted(replace(reply, status=200) if reply.status == 503 else reply))
        except ValueError as error:
            raise CheckFailedError(f"{self.connection.describe()} is no relumen server.") from error

    def _checked(self, method: str, target: str, body: bytes | None = None) -> bytes:
        return self._accepted(self._patient(method, target, body))

    def _patient(self, method: str, target: str, body: bytes | None = None) -> Reply:
        """The answer of a server that may have too much to do for a while."""
        start = time.monotonic()
        while True:
            reply = self.connection.send(method, target, body)
            pause = _PAUSE_S if reply.retry_after is None else reply.retry_after
            spent = time.monotonic() - start
            if reply.status not in (429, 503) or spent + pause > self._busy_s:
                return reply
            time.sleep(pause)

    def _accepted(self, reply: Reply) -> bytes:
        if reply.status < 300:
            return reply.body
        words = self._words(reply)
        if reply.status == 401:
            raise UserError(f"{words} Set the variable {TOKEN_VARIABLE} to the server's token.")
        if 400 <= reply.status < 500 and reply.status != 429:
            raise UserError(words)
        raise CheckFailedError(words)

    def _words(self, reply: Reply) -> str:
        try:
            return str(json.loads(reply.body)["detail"])
        except (ValueError, KeyError, TypeError):
            return f"{self.connection.describe()} answered {reply.status}. Is it a relumen server?"


class _NoRedirection(HTTPRedirectHandler):
    """The token and the image are for the server that was named, and for no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        return None


def _checked_address(address: str) -> str:
    trimmed = address.strip().rstrip("/")
    try:
        parts = urlsplit(trimmed)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        _ = parts.port  # a ValueError where it is no number
    except ValueError:
        usable = False
    if not usable:
        raise UserError(f"A server's address is such as {DEFAULT_SERVER}. Received: {address!r}")
    return trimmed


def _job(id: str, part: str = "") -> str:
    return f"/v1/jobs/{quote(id, safe='')}" + (f"/{part}" if part else "")


def _seconds(retry_after: str | None) -> float | None:
    try:
        return None if retry_after is None else max(0.0, float(retry_after))
    except ValueError:  # a date, which our server never sends
        return None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tiff(image: Image) -> bytes:
    if image.pixels.dtype.type not in _KEPT_TYPES:
        image = replace(image, pixels=image.pixels.astype(np.float32))
    with tempfile.TemporaryDirectory(prefix="relumen-") as folder:
        path = Path(folder) / "image.tif"
        write_image(path, image)
        return path.read_bytes()


def _image(tiff: bytes) -> Image:
    with tempfile.TemporaryDirectory(prefix="relumen-") as folder:
        path = Path(folder) / "image.tif"
        path.write_bytes(tiff)
        image = read_image(path)
        return replace(image, pixels=np.array(image.pixels))
