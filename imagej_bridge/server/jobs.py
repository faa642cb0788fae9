"""/v1/jobs: where a job stands, its events, preview and result, and its end."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from relumen.image_writing import imagej_header
from relumen.images import Image

from .answers import answer, described, failures, file
from .errors import ExpiredError, NotFinishedError, NotFoundError
from .intake import TIFF
from .services import Services
from .status import JobStatus, job_status
from .store import ENDED, JobRecord

_IMAGE = file(TIFF, "The image.")
_BEAT_S = 0.05  # between two events
_FAILURES = (401, 403, 404)


def jobs(services: Services) -> APIRouter:
    """The routes of one job."""
    store, board = services.store, services.board
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

    def existing(id: str) -> JobRecord:
        return store.get(id)

    @router.get("/{id}", responses=described(JobStatus, "Where the job stands.", *_FAILURES))
    def status(request: Request, id: str) -> Response:
        """Where a job stands."""
        return answer(request, job_status(store, board, id))

    @router.get("/{id}/events", response_class=EventSourceResponse, responses=failures(*_FAILURES))
    async def events(job: Annotated[JobRecord, Depends(existing)]) -> AsyncIterator[ServerSentEvent]:
        """Where a job stands, at once and at each change, until its end: `event: status`, its data as of GET.

        The stream also ends when the server stops; the job is not lost then.
        """
        last = None
        with board.listening(job.id) as changed:
            while True:
                changed.clear()
                document = await run_in_threadpool(job_status, store, board, job.id)
                if document != last:
                    yield ServerSentEvent(event="status", data=document)
                if document.state in ENDED or board.closed:
                    return
                last = document
                await asyncio.sleep(_BEAT_S)
                await changed.wait()

    @router.get("/{id}/preview", response_class=Response, responses={**_IMAGE, **failures(*_FAILURES)})
    def preview(job: Annotated[JobRecord, Depends(existing)]) -> Response:
        """What a search has at present, in one window."""
        image = board.newest(job.id)
        if image is None:
            raise NotFoundError("There is no preview of this job at present.")
        return Response(_tiff_bytes(image), media_type=TIFF, headers={"Cache-Control": "no-store"})

    @router.get("/{id}/result", response_class=FileResponse, responses={**_IMAGE, **failures(*_FAILURES, 409, 410)})
    def result(job: Annotated[JobRecord, Depends(existing)]) -> Response:
        """The result, an ImageJ hyperstack."""
        if job.state == "expired":
            raise ExpiredError("The result was kept for its time, and is removed. Send the image again.")
        if job.state == "failed":
            raise NotFinishedError(f"There is no result, for the job failed: {job.reason}")
        if job.state != "finished":
            raise NotFinishedError(f"There is no result: the job is {job.state}.")
        return FileResponse(store.result_path(job.id), media_type=TIFF, filename=f"relumen-{job.id}.tif")

    @router.delete("/{id}", responses=described(JobStatus, "Where the job stands now.", *_FAILURES, 507))
    def cancel(request: Request, id: str) -> Response:
        """Cancels a job that waits or runs; one that has ended stays as it is."""
        if store.cancel(id).state == "cancelled":
            services.worker.cancelled(id)
        return answer(request, job_status(store, board, id))

    return router


def _tiff_bytes(image: Image) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    resolution, entries = imagej_header(image.axes, image.pixel_size)
    tifffile.imwrite(buffer, image.pixels, imagej=True, resolution=resolution, metadata=entries)
    return buffer.getvalue()
