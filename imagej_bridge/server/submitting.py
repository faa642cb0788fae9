"""POST /v1/searches and /v1/restorations: what a client asks for becomes a job."""

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from relumen.configs import Frozen
from relumen.errors import CheckFailedError, UserError

from .answers import BINARY, answer, code_of, described
from .errors import DiskFullError, NotFoundError, SlowError, StoppingError
from .intake import RAW, TIFF, drain, media_type, move, plain_tiff, received
from .parameters import RestorationParameters, SearchParameters
from .services import Services
from .status import JobStatus, job_status

PATHS = {"/v1/searches": "search", "/v1/restorations": "restoration"}
"""Where jobs of each kind are sent."""
_DECODED_AT_ONCE = 4  # images, for each takes memory
_FAILURES = (400, 401, 403, 408, 413, 415, 429, 503, 507)


class AboutImage(Frozen):
    """What a client says of the image that it sends."""

    title: str = Field(default="", max_length=200, description="What you call the image.")
    shape: str = Field(default="", max_length=100, description="Of raw numbers, such as 3,8,8; not for a TIFF.")
    axes: str = Field(
        default="", max_length=5, description="A part of TZCYX, such as CYX; left out: the TIFF's, or the last ones."
    )


class SearchQuery(SearchParameters, AboutImage):
    """All that the address of a search says."""


class RestorationQuery(RestorationParameters, AboutImage):
    """All that the address of a restoration says."""


def submitting(services: Services) -> APIRouter:
    """The routes that take images."""
    router = APIRouter(tags=["jobs"])
    decoders = ThreadPoolExecutor(_DECODED_AT_ONCE, "relumen-decoder")
    options: dict[str, Any] = {
        "status_code": 202,
        "responses": described(JobStatus, "The job is stored, and will be done.", *_FAILURES, status=202),
        "openapi_extra": {
            "requestBody": {"required": True, "content": {each: {"schema": BINARY} for each in (TIFF, RAW)}}
        },
    }
    searches, restorations = PATHS

    @router.post(searches, **options)
    async def search(request: Request, query: Annotated[SearchQuery, Query()]) -> Response:
        """Searches for the high-resolution image that the one in the body fits."""
        return await _submit(services, decoders, request, "search", query)

    @router.post(restorations, **options)
    async def restore(request: Request, query: Annotated[RestorationQuery, Query()]) -> Response:
        """Restores the image in the body with a package."""
        return await _submit(services, decoders, request, "restoration", query)

    return router


async def _submit(
    services: Services, decoders: Executor, request: Request, kind: str, query: SearchQuery | RestorationQuery
) -> Response:
    try:
        await run_in_threadpool(_check_state, services)
        form = media_type(request)
        async with received(request, services.store.incoming, services.config) as body:
            loop = asyncio.get_running_loop()
            status = await loop.run_in_executor(decoders, _accept, services, kind, query, body, form)
    except ClientDisconnect:
        return Response(status_code=499)  # nobody hears it
    except (UserError, CheckFailedError) as error:
        services.metrics.refused(kind, code_of(error))
        if not isinstance(error, SlowError):
            await drain(request)
        raise
    services.metrics.accepted(kind)
    services.worker.wake()
    return answer(request, status, 202, {"Location": f"/v1/jobs/{status.id}"})


def _check_state(services: Services) -> None:
    if services.board.closed:
        raise StoppingError("The server is about to stop. Send the image again when it is back.")
    services.store.check_room()
    if services.disk_is_full:
        raise DiskFullError("The server's disk is full: it takes no image. Try again once its disk has room.")


def _accept(services: Services, kind: str, query: SearchQuery | RestorationQuery, body: Path, form: str) -> JobStatus:
    said = set(AboutImage.model_fields)
    parameters: Frozen = (SearchParameters if isinstance(query, SearchQuery) else RestorationParameters)(
        **query.model_dump(exclude=said)
    )
    with plain_tiff(body, form, query.shape, query.axes, services.config) as image:
        try:
            services.worker.check(kind, parameters, image)
        except UserError as error:
            words = str(error).replace(str(image), "The image")
            raise (UserError if isinstance(error, NotFoundError) else type(error))(words) from error
        job = services.store.add(kind, parameters.model_dump(mode="json"), query.title, partial(move, image))
    return job_status(services.store, services.board, job.id)
