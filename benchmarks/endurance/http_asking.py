"""A server in this process that is asked nonsense: by its ASGI interface, and over a socket."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes, unquote

import damage
import damage_zip
from sandbox import FaultError, Give
from sentry import Watch

ALLOWED_ABOVE_499 = (503, 507)
UPLOADS_GO_S = 10.0
_DEADLINE_S = 20.0

_PATHS = (
    "/v1/searches", "/v1/searches", "/v1/searches", "/v1/restorations", "/v1/restorations", "/v1/jobs/{id}",
    "/v1/jobs/{id}/events", "/v1/jobs/{id}/preview", "/v1/jobs/{id}/result", "/v1/jobs/{odd}", "/v1/jobs/{odd}/result",
    "/v1/packages/{odd}", "/v1/packages/esrgan-widefield", "/v1/priors", "/v1/packages", "/v1/health", "/metrics",
    "/openapi.json", "/docs", "/{odd}", "/v1/jobs/../../{odd}", "//v1/health", "*", "",
)  # fmt: skip
_POST = "POST /v1/searches?prior=prior-cells&factor=16 HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/tiff\r\n"
_QUERY = {
    "prior": ("prior-cells", "prior-nfkb", "../prior-cells", "/etc", "none"),
    "factor": ("16", "8", "3", "0", "-1", "1e3", "99999999999", "nan"),
    "package": ("esrgan-widefield", "cascade-phase-2x", "../../shipped/esrgan-widefield", "none"),
    "tile": ("64", "0", "-5", "8192", "9e9", "x"),
    "method": ("rls", "pulse", "/etc/passwd", "../rls.yaml", "x" * 300),
    "iterations": ("1", "0", "99999999999999999999", "-3", "true"),
    "lambda_w": ("0", "nan", "inf", "-1", "1e308", "1e-400"),
    "lambda_c": ("0", "nan", "inf", "1"),
    "channels": ("actin=1 tubulin=2 DNA=3", "actin=none", "actin=0", "actin=99999999999", "=", "a=b=c", "actin", " "),
    "intensity": ("auto", "type", "0:255", "5:5", "9:1", "nan:inf", ":", "1:2:3", "0:1 0:1 0:1 0:1", "1e308:-1e308"),
    "blur": ("0", "1000", "1e-300", "nan", "999"),
    "reduction": ("bicubic", "mean", "x"),
    "border": ("cut", "mirror", "x"),
    "solutions": ("1", "64", "65", "0", "-1", "999999999999"),
    "uncertainty": ("independent", "x", ""),
    "tiles": ("auto", "x", ""),
    "seed": ("0", "4294967295", "4294967296", "-1", "x"),
    "title": ("a", "\0", "\n", "\ud800", "t" * 300, "<script>"),
    "shape": ("3,8,8", "2,8,8", "8,8", "0,8,8", "-1,8,8", "99999999,99999999", "3,8", "", ",", "3;8;8", "1e9,2",
              "8,8,8,8,8,8"),
    "axes": ("", "CYX", "YX", "ZCYX", "XY", "YYX", "TZCYX", "a", "CYX" * 50),
}  # fmt: skip
_HEADERS: tuple[tuple[bytes, tuple[bytes, ...]], ...] = (
    (b"content-type", (b"image/tiff", b"image/tiff", b"application/octet-stream", b"text/html", b"",
                       b"image/tiff; a=\xff")),
    (b"accept", (b"text/plain", b"*/*", b"text/plain;q=nan", b"application/json;q=x", b",,;",
                 b"a/b;q=" + b"9" * 400, b"\xff")),
    (b"content-length", (b"0", b"-1", b"99999999999999", b"x", b"\xb2", b"1e3", b"")),
    (b"host", (b"localhost", b"localhost", b"localhost", b"127.0.0.1:1", b"evil.example", b"[::1", b"",
               b"\xff", b"localhost:x")),
    (b"origin", (b"http://localhost", b"http://evil.example", b"null", b"//", b"http://[", b"")),
    (b"authorization", (b"Bearer x", b"Basic \xff", b"")),
    (b"expect", (b"100-continue", b"x")),
    (b"range", (b"bytes=0-", b"bytes=-1", b"bytes=9-1", b"bytes=0-0,1-1," * 500, b"x")),
    (b"if-none-match", (b'"a"', b"*", b"\xff")),
    (b"last-event-id", (b"1", b"\xff")),
)  # fmt: skip


class Asking:
    """The server; its searches and restorations are accepted, and never begun.

    Args:
        watch: the folders; told at which port the server listens.
    """

    def __init__(self, watch: Watch) -> None:
        from relumen.imagej_bridge.server.app import make_app
        from relumen.imagej_bridge.server.board import Board
        from relumen.imagej_bridge.server.config import ServeConfig
        from relumen.imagej_bridge.server.packages import Packages
        from relumen.imagej_bridge.server.store import JobStore
        from relumen.imagej_bridge.server.work import Work
        from relumen.search.priors import Priors

        self._watch, folder = watch, watch.server
        self._config = ServeConfig(
            folder=folder, queue=50, min_free_bytes=0, max_bytes=4 << 20, max_pixels=1 << 20, upload_s=0.3, expire_s=1e6
        )
        self._store, self._board = JobStore(folder, queue=50, expire_s=1e6), Board()
        priors, packages = Priors(), Packages(folder / "packages")
        self._worker = Work(self._config, self._store, self._board, priors, packages, lambda: [], "none")
        self._app = make_app(self._config, self._store, self._board, self._worker)
        self._known = self._store.add("search", {"prior": "prior-cells"}, "", lambda path: path.write_bytes(b"II*\0"))
        self._port = 0

    def request(self, draw: random.Random, body: Callable[[], bytes]) -> Give:
        """One request, whose parts are drawn."""
        method = draw.choice(
            ("POST",) * 6 + ("GET",) * 4 + ("DELETE", "PUT", "HEAD", "OPTIONS", "TRACE", "\0", "PATCH")
        )
        path, query = self._path(draw), _query(draw)
        headers = [(name, draw.choice(values)) for name, values in _HEADERS if draw.random() < 0.25]
        named = {name for name, _ in headers}
        headers += [] if b"host" in named else [(b"host", b"localhost")]
        headers += [] if b"content-type" in named else [(b"content-type", b"image/tiff")]
        sent = body() if method not in ("GET", "HEAD") else b""
        pieces = [sent] if draw.random() < 0.7 else [sent[i : i + 1000] for i in range(0, len(sent), 1000)]
        ends = draw.random() < 0.9
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        return lambda: self._check(*asyncio.run(self._asked(scope, pieces, ends)))

    def raw(self, draw: random.Random, body: Callable[[], bytes]) -> Give:
        """A connection over which something is sent that is no good request."""
        sent = body()
        length = draw.choice((len(sent), len(sent) + 500, max(0, len(sent) - 50), 1 << 40, -1, "x"))
        piece = draw.choice((f"{len(sent):x}", "ffffffffff", "-1", "x", "0"))
        head = draw.choice(
            (
                f"{_POST}Content-Length: {length}\r\n\r\n",
                f"{_POST}Transfer-Encoding: chunked\r\n\r\n{piece}\r\n",
                f"{_POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n" + "A: b\r\n" * draw.choice((1, 5000)) + "\r\n",
                "GET /" + "a" * draw.choice((100, 200_000)) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "GET /v1/health HTTP/9.9\r\n\r\n",
                "GET /v1/health\r\n\r\n",
                "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                "GET /v1/health HTTP/1.1\r\nHost: localhost\r\nA: \0\r\n\r\n",
                "GET /v1/health HTTP/1.1\r\nHost : localhost\r\n\r\n",
                "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n continued: b\r\n\r\n",
                "GET /v1/health HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            )
        ).encode("latin1")
        data = head + sent
        if draw.random() < 0.4:
            data = damage.any_bytes(draw, data[: draw.choice((len(head), len(data)))])
        places = sorted(draw.randrange(len(data) + 1) for _ in range(draw.choice((0, 0, 1, 3))))
        pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
        goes = draw.random()
        self._serve()
        return lambda: self._sent(pieces, goes)

    def _path(self, draw: random.Random) -> str:
        odd = quote_from_bytes(
            draw.choice((*damage_zip.NAMES, *damage.TEXTS)).encode("utf-8", "surrogatepass"), safe="/.%"
        )
        return draw.choice(_PATHS).replace("{id}", self._known.id).replace("{odd}", odd)

    async def _asked(self, scope: dict[str, Any], pieces: list[bytes], ends: bool) -> tuple[int, bytes]:
        waiting, answer, code = list(pieces), [], 0

        async def receive() -> dict[str, Any]:
            if waiting:
                return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting) or not ends}
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            else:
                answer.append(message.get("body", b""))

        async with asyncio.timeout(_DEADLINE_S):
            await self._app(scope, receive, send)  # type: ignore[arg-type]
        return code, b"".join(answer)

    def _check(self, code: int, answer: bytes) -> None:
        for job in self._store.waiting():
            if job.id != self._known.id:
                self._store.cancel(job.id)
        if code >= 500 and code not in ALLOWED_ABOVE_499:
            raise FaultError(f"answered {code}: {answer[:300]!r}")
        if str(self._watch.server).encode() in answer:
            raise FaultError(f"told a path of the server: {code} {answer[:300]!r}")
        until = time.monotonic() + UPLOADS_GO_S  # a thread removes them, once its client is gone
        while any(self._store.incoming.iterdir()):
            if time.monotonic() > until:
                raise FaultError("an upload stayed")
            time.sleep(0.01)

    def _serve(self) -> None:
        """Has the server listen, from the first time on."""
        from relumen.imagej_bridge.server.serve import Server

        if not self._port:
            listener = socket.create_server(("127.0.0.1", 0), backlog=100)
            self._port = self._watch.port = listener.getsockname()[1]
            server = Server(self._app, self._board, self._worker, self._config)
            threading.Thread(target=server.run, args=([listener],), daemon=True).start()
            while not server.started:
                time.sleep(0.01)

    def _sent(self, pieces: list[bytes], goes: float) -> None:
        with socket.create_connection(("127.0.0.1", self._port), _DEADLINE_S) as link:
            answer = b""
            try:
                for piece in pieces:
                    link.sendall(piece)
                    time.sleep(0.02)
                if goes < 0.3:
                    link.shutdown(socket.SHUT_WR)
                if goes < 0.8:
                    link.settimeout(1.0)
                    while piece := link.recv(1 << 16):
                        answer += piece
            except OSError:
                pass  # it may hang up on such a client, or wait for the rest
        if answer:
            found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
            if not found:
                raise FaultError(f"answered no HTTP: {answer[:100]!r}")
            self._check(int(found[1]), b"")
        with socket.create_connection(("127.0.0.1", self._port), _DEADLINE_S) as link:
            link.sendall(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            link.settimeout(_DEADLINE_S)
            if not link.recv(1 << 16).startswith(b"HTTP/1.1 "):
                raise FaultError("does not answer any more")


def _query(draw: random.Random) -> bytes:
    """A query that is right but for some of it."""
    starts: tuple[dict[str, str], ...] = (
        {"prior": "prior-cells", "factor": "16"},
        {"package": "esrgan-widefield"},
        {},
    )
    values = dict(draw.choice(starts))
    for name in draw.sample(sorted(_QUERY), draw.choice((0, 1, 1, 2, 5))):
        values[name] = draw.choice(_QUERY[name])
    if draw.random() < 0.1:
        values[draw.choice(damage.TEXTS)] = draw.choice(damage.TEXTS)
    parts = [
        b"=".join(quote_from_bytes(each.encode("utf-8", "surrogatepass")).encode() for each in pair)
        for pair in values.items()
    ]
    if draw.random() < 0.1:
        parts = parts * 2
    query = b"&".join(parts)
    return damage.any_bytes(draw, query) if draw.random() < 0.1 else query
