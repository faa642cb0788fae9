"""A relumen server for tests of ImageJ's commands: real HTTP, answers that a test chooses, and faults on demand."""

from __future__ import annotations

import io
import socket
import struct
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np

from relumen.image_writing import write_image
from relumen.imagej_bridge.server.text import to_text
from relumen.images import Image, read_image

JOB = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Received:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def image(self) -> Image:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "body.tif"
            path.write_bytes(self.body)
            image = read_image(path)
            return Image(np.array(image.pixels), image.axes, image.pixel_size, image.metadata)


@dataclass
class StandIn:
    """Takes one job at a time.

    Attributes:
        refusals: (code, words) for the next images that are sent; then they are accepted.
        polls: the job's documents, one for each time that it is asked for; the last one is the last.
        result: makes the result of what was asked.
        token: that is asked for, or "".
        packages: zip files by name.
        port: of its first start; the same after a stop.
        each_poll: called before each answer about the job.
        hangs_up: on whoever sends an image, without a word.
    """

    refusals: list[tuple[int, str]] = field(default_factory=list)
    polls: list[dict[str, object]] = field(default_factory=list)
    result: Callable[[Received], bytes] | None = None
    token: str = ""
    packages: dict[str, bytes] = field(default_factory=dict)
    port: int = 0
    each_poll: Callable[[], None] = lambda: None
    hangs_up: bool = False
    received: list[Received] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    previews: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def submitted(self) -> Received:
        """The last image that was sent."""
        return next(each for each in reversed(self.received) if each.method == "POST")

    @property
    def paths(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.received]

    def start(self) -> StandIn:
        class Handler(BaseHTTPRequestHandler):
            def do(handler) -> None:  # noqa: N805 (self is the server)
                self._answer(handler)

            do_GET = do_POST = do_DELETE = do  # noqa: N815 (the library's names)

            def log_message(handler, *_: object) -> None:  # noqa: N805
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        if self.hangs_up and handler.command == "POST":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            socket.close(handler.connection.detach())  # at once
            return
        url = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Received(handler.command, unquote(url.path), dict(parse_qsl(url.query)), headers, body)
        self.received.append(request)
        code, kind, answer = self._route(request)
        handler.send_response(code)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(answer)))
        if code == 401:
            handler.send_header("WWW-Authenticate", "Bearer")
        handler.end_headers()
        handler.wfile.write(answer)

    def _route(self, request: Received) -> tuple[int, str, bytes]:
        text = "text/plain; charset=utf-8"
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return 401, text, b"This server asks for its token. It is missing or wrong."
        match request.method, request.path.split("/")[2:]:
            case "GET", ["priors"]:
                priors = [
                    {"name": "prior-cells", "size": 128, "channels": 2, "stains": "DNA,tubulin", "flow": True},
                    {"name": "prior-golgi", "size": 128, "channels": 1, "stains": "Golgi", "flow": False},
                ]
                return 200, text, to_text(priors).encode()
            case "GET", ["packages"]:
                packages = [{"name": name, "summary": f"All of {name}", "factor": 2} for name in self.packages]
                return 200, text, to_text(packages).encode()
            case "GET", ["packages", name]:
                return 200, "application/zip", self.packages[name]
            case "GET", ["health"]:
                return 200, text, to_text({"status": "ready", "version": "1.2.3", "device": "CPU"}).encode()
            case "POST", ["searches" | "restorations"]:
                if self.refusals:
                    code, words = self.refusals.pop(0)
                    return code, text, words.encode()
                return 202, text, to_text(document(state="waiting", place=1)).encode()
            case "GET", ["jobs", _]:
                self.each_poll()
                poll = self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]
                if self.cancelled.is_set():
                    poll = document(state="cancelled")
                return 200, text, to_text(poll).encode()
            case "GET", ["jobs", _, "preview"]:
                self.previews += 1
                return 200, "image/tiff", preview(self.previews)
            case "GET", ["jobs", _, "result"]:
                return 200, "image/tiff", (self.result or magnified)(self.submitted)
            case "DELETE", ["jobs", _]:
                self.cancelled.set()
                return 200, text, to_text(document(state="cancelled")).encode()
        return 404, "text/html", b"<html>There is nothing here.</html>"


def document(**changes: object) -> dict[str, object]:
    """A job's status."""
    values: dict[str, object] = {
        "id": JOB,
        "kind": "search",
        "state": "running",
        "title": "cells.tif",
        "created": "2026-01-01T00:00:00+00:00",
        "place": 0,
        "progress": 0.0,
        "iteration": 0,
        "iterations": 200,
        "residual": None,
        "terms": {"density": 0.4},
        "message": "",
        "preview": 0,
        "reason": "",
    }
    return values | changes


def step(iteration: int, preview: int = 0) -> dict[str, object]:
    """The status of a search at work."""
    message = f"iteration {iteration} of 200, residual 0.0123, likelihood 2.31"
    return document(iteration=iteration, progress=iteration / 200, message=message, preview=preview)


FINISHED = document(state="finished", progress=1.0)


def magnified(request: Received) -> bytes:
    """Each pixel of what came as factor x factor pixels, as several solutions with mean and standard deviation."""
    factor, solutions = int(request.query.get("factor", 2)), int(request.query.get("solutions", 1))
    image = request.image
    pixels = np.kron(image.pixels.astype(np.float32), np.ones((factor, factor), np.float32))
    axes, info = image.axes, f"seed={request.query.get('seed', '')}"
    metadata: dict[str, object] = {"Info": f"Synthesised by relumen, {info}", "mode": "composite"}
    if solutions > 1:
        layers = [pixels] * (solutions + 1) + [np.zeros_like(pixels)]
        pixels, axes = np.stack(layers, 1 if "T" in axes else 0), axes.replace("C", "ZC") if "C" in axes else "ZYX"
        names = [f"solution {i + 1}" for i in range(solutions)] + ["mean", "standard deviation"]
        metadata["Labels"] = [name for name in names for _ in range(image.channels)]
    size = None if image.pixel_size is None else image.pixel_size.divided(factor)
    return tiff(Image(pixels, axes, size, metadata))


def preview(number: int) -> bytes:
    """Two channels that get brighter."""
    ramp = np.linspace(0, 40 * number, 64 * 64, dtype=np.float32).reshape(64, 64)
    return tiff(Image(np.stack([ramp, ramp[::-1]]), "CYX", None, {"mode": "composite"}))


def tiff(image: Image) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        write_image(path, image)
        return path.read_bytes()


def package_zip(**files: str) -> bytes:
    """A zip file of these files, whose dots are written __."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return buffer.getvalue()
