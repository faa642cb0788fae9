"""Answers in the form that a client asks for, and which code of HTTP a failure is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from relumen.errors import CheckFailedError, UserError

from . import errors
from .status import Fault
from .text import JSON, TEXT, prefers_text, to_text

CODES: Mapping[type[Exception], int] = {
    errors.NotFoundError: 404,
    errors.SlowError: 408,
    errors.NotFinishedError: 409,
    errors.ExpiredError: 410,
    errors.TooLargeError: 413,
    errors.MediaTypeError: 415,
    errors.QueueFullError: 429,
    errors.StoppingError: 503,
    UserError: 400,
    CheckFailedError: 507,
}
"""Of which the nearest class of an error counts."""

BINARY = {"type": "string", "format": "binary"}
"""For the OpenAPI page: any bytes."""

_MEANINGS = {
    400: "The parameters or the image can't be used.",
    401: "The token is missing or wrong.",
    403: "The request comes through a name, or from a page, that is not this machine's.",
    404: "There is nothing of this name.",
    408: "The body stopped coming.",
    409: "There is no result: the job has not finished, failed or was cancelled.",
    410: "The result was kept for its time, and is removed.",
    413: "The body, the image or the work asked for is larger than the limits.",
    415: "The body is of another media type.",
    429: "Too many jobs wait; Retry-After says when to try again.",
    503: "The server is starting or stopping; Retry-After says when to try again.",
    507: "The server's disk is full; nothing was accepted.",
}


def code_of(error: Exception) -> int:
    """The code of HTTP of an error of ours."""
    return next(CODES[each] for each in type(error).__mro__ if each in CODES)


def answer(
    request: Request,
    document: BaseModel | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    code: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A document as JSON, or as lines of key=value where the client prefers text."""
    headers = {**(headers or {}), "Vary": "Accept"}
    if isinstance(document, BaseModel):
        document = document.model_dump(mode="json")
    if prefers_text(request.headers.get("accept", "")):
        return PlainTextResponse(to_text(document), code, headers)
    return JSONResponse(document, code, headers)


def refusal(request: Request, detail: str, code: int, headers: Mapping[str, str] | None = None) -> Response:
    """Why a request failed, in plain words: as JSON, or as the words alone where the client prefers text."""
    if prefers_text(request.headers.get("accept", "")):
        return PlainTextResponse(detail, code, {**(headers or {}), "Vary": "Accept"})
    return answer(request, Fault(detail=detail), code, headers)


def described(model: Any, description: str, *codes: int, status: int = 200) -> dict[int | str, dict[str, Any]]:  # noqa: ANN401
    """For the OpenAPI page: an answer in both forms, and what else can come."""
    text = {TEXT: {"schema": {"type": "string"}}}
    return {status: {"model": model, "description": description, "content": text}, **failures(*codes)}


def file(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI page: an answer that is a file."""
    return {200: {"description": description, "content": {media_type: {"schema": BINARY}}}}


def failures(*codes: int) -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI page: the failures of a route; it needs the schema of :class:`.Fault`."""
    forms = {JSON: {"schema": {"$ref": "#/components/schemas/Fault"}}, TEXT: {"schema": {"type": "string"}}}
    return {code: {"description": _MEANINGS[code], "content": forms} for code in codes}
