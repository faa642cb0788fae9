"""What the server has, and how it is: priors, packages, health, metrics."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from relumen import __version__

from .answers import answer, described, failures, file
from .metrics import CONTENT_TYPE
from .services import Services
from .status import Health
from .text import TEXT

_ZIP = "application/zip"
_RETRY_S = "5"
_Entries = list[dict[str, str | int | float | bool]]


def catalogue(services: Services) -> APIRouter:
    """The routes that tell of the server."""
    worker = services.worker
    router = APIRouter(tags=["server"])

    @router.get("/v1/priors", responses=described(_Entries, "One entry a prior.", 401, 403))
    def priors(request: Request) -> Response:
        """The priors that can be searched."""
        return answer(request, worker.priors())

    @router.get("/v1/packages", responses=described(_Entries, "One entry a package.", 401, 403))
    def packages(request: Request) -> Response:
        """The packages that can restore."""
        return answer(request, worker.packages())

    @router.get(
        "/v1/packages/{name}",
        response_class=FileResponse,
        responses={**file(_ZIP, "The package."), **failures(401, 403, 404)},
    )
    def package(name: str) -> Response:
        """A package as a file, for Fiji's folder models/."""
        return FileResponse(worker.package_zip(name), media_type=_ZIP, filename=f"{name}.zip")

    unready = {503: {"model": Health, "description": "It doesn't work at present.", "content": {TEXT: {}}}}

    @router.get("/v1/health", responses={**described(Health, "It works.", 403), **unready})
    def health(request: Request) -> Response:
        """Whether the server works; needs no token."""
        counts = services.store.counts()
        if services.board.closed:
            status = "stopping"
        elif services.disk_is_full:
            status = "disk full"
        else:
            status = "ready" if worker.ready else "starting"
        ours = {"status": status, "version": __version__, "queue": counts["waiting"], "running": counts["running"]}
        document = Health.model_validate({**worker.describe(), **ours})
        if status == "ready":
            return answer(request, document)
        return answer(request, document, 503, {"Retry-After": _RETRY_S})

    @router.get(
        "/metrics", response_class=Response, responses={**file(TEXT, "Prometheus's format."), **failures(401, 403)}
    )
    def metrics() -> Response:
        """Counts for Prometheus."""
        return Response(services.metrics.text(), media_type=CONTENT_TYPE)

    return router
