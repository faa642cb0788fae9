"""The application: routes, who may ask, and how failures are told.

It has no state of its own and opens no socket: :mod:`.serve` gives it one, and the bridge to pyimagej asks it directly.
"""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from relumen import __version__
from relumen.errors import CheckFailedError, UserError

from .answers import code_of, refusal
from .board import Board
from .catalogue import catalogue
from .config import ServeConfig
from .gate import OPEN_PATH, Gate
from .intake import drain
from .jobs import jobs
from .metrics import Metrics
from .services import Services
from .status import Fault
from .store import JobStore
from .submitting import PATHS, submitting
from .worker import Worker

_ABOUT = """Searches and restorations of microscopy images, as jobs: send an image, ask where the job stands, fetch the
result. What a search finds is synthesised: plausible, not measured.

Answers are JSON, or lines of key=value where the Accept header ranks text/plain first. An accepted job is never lost:
it ends as finished, failed (with the reason) or cancelled, also when the server is killed and started again.

This page draws itself with Swagger UI from the Internet; /openapi.json needs no network.
"""
_SHORTEST_S, _USUAL_S, _LONGEST_S = 1, 10, 600  # between two tries of a client


def make_app(config: ServeConfig, store: JobStore, board: Board, worker: Worker) -> FastAPI:
    """The application of one server.

    Args:
        config: its limits and its token.
        store: its jobs.
        board: where the worker tells how far they are.
        worker: does them; whoever calls this starts and stops it.
    """
    services = Services(config, store, board, worker, Metrics(store, board, worker))
    store.listen(services.metrics.changed)
    store.listen(lambda job: board.all_changed())
    app = FastAPI(title="relumen", version=__version__, description=_ABOUT, redoc_url=None)
    app.add_middleware(Gate, config=config)
    for router in (submitting(services), jobs(services), catalogue(services)):
        app.include_router(router)
    _tell_failures(app, services)
    app.openapi = lambda: _openapi(app, config)
    return app


def _tell_failures(app: FastAPI, services: Services) -> None:
    async def ours(request: Request, error: Exception) -> Response:
        code = code_of(error)
        headers = {}
        if code in (429, 503):
            headers["Retry-After"] = _retry_after(services.store, code)
        elif code == 408:
            headers["Connection"] = "close"  # what may still come is no request
        return refusal(request, str(error), code, headers)

    async def parameters(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if kind := PATHS.get(request.scope["path"]):
            services.metrics.refused(kind, 400)
            await drain(request)
        return refusal(request, "\n".join(map(_fault, error.errors())), 400)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = error.headers
        if error.status_code == 405 and (allowed := _methods(app, request.scope["path"])):
            headers = {"Allow": ", ".join(allowed)}
        return refusal(request, f"{error.detail}. See /docs.", error.status_code, headers)

    async def unknown(request: Request, error: Exception) -> Response:
        return refusal(request, "The server failed inside; its log says more.", 500)

    app.add_exception_handler(UserError, ours)
    app.add_exception_handler(CheckFailedError, ours)
    app.add_exception_handler(RequestValidationError, parameters)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unknown)


def _methods(app: FastAPI, path: str) -> list[str]:
    """What may be done with an address; Starlette names the methods of one of its routes only."""
    described = app.openapi()["paths"].items()
    return sorted(
        method.upper() for each, methods in described if compile_path(each)[0].match(path) for method in methods
    )


def _fault(fault: dict[str, Any]) -> str:
    """One line, as :func:`relumen.configs.validated` has it."""
    name = ".".join(str(part) for part in fault["loc"][1:])
    message = fault["msg"].removeprefix("Value error, ")
    received = "" if fault["type"] == "missing" else f" (received {fault['input']!r})"
    return f"{name}: {message}{received}"


def _retry_after(store: JobStore, code: int) -> str:
    """Seconds until a place is free: as long as the last jobs ran."""
    seconds = (store.typical_seconds() if code == 429 else None) or _USUAL_S
    return str(math.ceil(min(max(seconds, _SHORTEST_S), _LONGEST_S)))


def _openapi(app: FastAPI, config: ServeConfig) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        operations = {
            (path, method): each for path, methods in document["paths"].items() for method, each in methods.items()
        }
        for operation in operations.values():
            operation["responses"].pop("422", None)  # told as 400
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        document["components"]["schemas"]["Fault"] = Fault.model_json_schema()
        if config.token is not None:
            document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for (path, _), operation in operations.items():
                operation["security"] = [] if path == OPEN_PATH else [{"token": []}]
        app.openapi_schema = document
    return app.openapi_schema
