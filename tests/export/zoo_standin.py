"""A stand-in for the zoo's server: its artifact manager over HTTP, as hypha 0.21 answers, and a store of files.

Faults are asked for by name: ``faults["put_file"] = [503, 503]`` answers the next two calls so.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "secret-token"
SERVICE = "/public/services/artifact-manager/"


class StandInZoo:
    """Listens on a port of this machine until it is closed."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], Any]] = []
        self.files: dict[str, bytes] = {}
        self.manifest: dict[str, Any] = {}
        self.made = 0
        self.faults: dict[str, list[int]] = {}
        zoo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:  # noqa: N802
                function = self.path.removeprefix(SERVICE)
                self._answer(*zoo.call(function, dict(self.headers), json.loads(self._body())))

            def do_PUT(self) -> None:  # noqa: N802
                body = self._body()
                zoo.calls.append(("PUT", dict(self.headers), body))
                fault = zoo.fault("PUT")
                if fault is None:
                    zoo.files[self.path.split("?")[0].removeprefix("/store/")] = body
                self._answer(fault or 200, {})

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _answer(self, status: int, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault(self, name: str) -> int | None:
        return self.faults[name].pop(0) if self.faults.get(name) else None

    def call(self, function: str, headers: dict[str, str], values: dict[str, Any]) -> tuple[int, object]:
        self.calls.append((function, headers, values))
        fault = self.fault(function)
        if fault is not None:
            return fault, {"success": False, "detail": f"RemoteException: Error: {function} of {TOKEN}"}
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"detail": "Error decoding token headers."}
        if function == "read" and values["artifact_id"] == "bioimage-io/bioimage.io":
            return 200, {"config": {"permissions": {"*": "r", "@": ["create"], "github|1": "rw", "github|2": "r"}}}
        if function == "create":
            self.made += 1
            self.manifest = values["manifest"]
            return 200, {"id": "bioimage-io/affable-shark"}
        if function == "put_file":
            return 200, f"{self.address}/store/{values['file_path']}?Signature=s3cr3t"
        if function == "list_files":
            return 200, [{"type": "file", "name": name, "size": len(data)} for name, data in self.files.items()]
        if function == "edit":
            if not values.get("stage"):
                return 403, {"success": False, "detail": "RemoteException: PermissionError: User may not commit."}
            self.manifest = values["manifest"]
        return 200, {"id": values["artifact_id"], "manifest": self.manifest}
