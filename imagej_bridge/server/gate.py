"""Who may ask: with a token those who know it, without one this machine alone."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from .answers import refusal
from .config import ServeConfig, is_loopback
from .intake import drain

OPEN_PATH = "/v1/health"
"""The one that needs no token."""


class Gate:
    """Stands before an application.

    Without a token the server listens to this machine alone; but a web page in a browser on this machine could send
    requests too, through a name of its own that leads here. So the names in Host and Origin must be this machine's.
    """

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self._app = app
        self._token = None if config.token is None else config.token.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, request = Headers(scope=scope), Request(scope, receive)
        if self._token is None:
            if not _is_ours(headers):
                detail = "Without a token this server answers only requests to localhost, 127.0.0.1 or [::1]."
                await drain(request)
                await refusal(request, detail, 403)(scope, receive, send)
                return
        elif scope["path"] != OPEN_PATH and not self._knows(headers.get("authorization", "")):
            detail = "This server asks for its token: Authorization: Bearer TOKEN. It is missing or wrong."
            await drain(request)
            await refusal(request, detail, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self._token or b"")
        return right and scheme.lower() == "bearer"


def _is_ours(headers: Headers) -> bool:
    origin = headers.get("origin")
    return _names_us(f"//{headers.get('host', '')}") and (origin is None or _names_us(origin))


def _names_us(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)
