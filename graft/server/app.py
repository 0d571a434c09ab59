"""The routes of the HTTP API, and the function that serves them.

    POST /v1/predict    one or more images -> one row each, like those of `graft predict --json`
    POST /v1/explain    one image -> its heat map, like that of `graft predict --explain`
    GET  /v1/model      the model that is being served, and its classes
    GET  /healthz       whether the process is alive    GET /readyz     whether it can answer
    GET  /metrics       for Prometheus                  GET /docs       interactive documentation of the API
    GET  /              the web page                    GET /card       the model card
    /ping, /invocations for SageMaker                   /v2/…           see `graft.server.protocol`
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel

from graft.browser.folder import SHARED, framed
from graft.decoding.heif import is_read
from graft.errors import GraftError, printable
from graft.pages import POLICY
from graft.server import card, protocol
from graft.server.connections import LimitedProtocol
from graft.server.hosts import KnownHosts
from graft.server.metrics import CONTENT_TYPE
from graft.server.served_model import ServedModel
from graft.server.service import Service
from graft.server.uploads import Limits
from graft.watch.recorder import Keeping

Top = Annotated[str, Query(pattern="^(all|[1-9][0-9]{0,5})$")]
GRACE_S = 30            # for open requests when the server is stopped
PAGE_POLICY = ("default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; connect-src 'self'; "
               "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'")
PAGE_HEADERS = {"Content-Security-Policy": f"{PAGE_POLICY}; frame-ancestors 'none'",
                "X-Content-Type-Options": "nosniff"}
BODY = {"requestBody": {"required": True, "content": {
    "multipart/form-data": {"schema": {"type": "object", "properties": {
        "images": {"type": "array", "items": {"type": "string", "format": "binary"}}}}},
    "image/*": {"schema": {"type": "string", "format": "binary"}},
}}}
REFUSALS = {
    400: "the request is malformed", 408: "the request arrived too slowly", 413: "too large, or too many images",
    415: "neither an image nor a form with files", 429: "too many concurrent requests", 503: "no answer in time",
}


class Row(BaseModel):
    """The prediction for one image, or the reason why it cannot be read (`error`)."""

    source: str
    label: str | None = None
    probability: float | None = None
    is_unknown: bool | None = None
    is_unsure: bool | None = None
    unknown_score: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None


class Answer(BaseModel):
    """The rows of a request's images in their order, and the model that predicted them."""

    model: str
    predictions: list[Row]


class Explanation(BaseModel):
    """By how much the log-odds of the label drop if a part of the image is hidden: rows of parts, from the top left."""

    model: str
    label: str
    heat: list[list[float]]


class ModelFacts(BaseModel):
    """The model that is being served."""

    name: str
    class_names: list[str]
    image_size: list[int]       # [height, width] in pixels, the size that images are resized to
    can_say_unknown: bool
    collects_images: bool       # whether the server stores some of the images


def create_app(
    served: ServedModel, limits: Limits | None = None, poll_s: float = 30, names: Collection[str] = (),
    keeping: Keeping | None = None,
) -> FastAPI:
    """Create the application.

    Args:
        poll_s: the interval in seconds at which it looks for another version of the model.
        names: the host names to which it answers, beside this machine's; see `graft.server.hosts`.
        keeping: what is kept of the answers; nothing unless given.
    """
    service = Service(served, limits or Limits(), keeping)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        polling = asyncio.create_task(service.keep_up_to_date(poll_s))
        yield
        polling.cancel()
        await asyncio.to_thread(service.close)

    app = FastAPIOffline(title="Graft", description="Predict the classes of images.", lifespan=lifespan, redoc_url=None)
    app.add_middleware(KnownHosts, names=names)
    _add_prediction(app, service)
    _add_operation(app, service)
    protocol.add_routes(app, service)
    _add_pages(app, served)
    return app


def _add_prediction(app: FastAPI, service: Service) -> None:
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": reason} for status, reason in REFUSALS.items()}
    responses[422] = {"model": Answer, "description": "no image could be read"}

    @app.post("/invocations", include_in_schema=False)      # SageMaker's name for it
    @app.post("/v1/predict", response_model=Answer, responses=responses, openapi_extra=BODY)
    async def predict(request: Request, top: Top = "5") -> Response:
        """Predict the image in the body, or every file in a form. `top` is the number of classes in a row, or `all`."""
        return await service.predict(request, None if top == "all" else int(top))

    @app.post("/v1/explain", responses=responses | {422: {"description": "the image cannot be read"}},
              openapi_extra=BODY)
    async def explain(request: Request) -> Explanation:
        """What the answer rests on, for the image in the body; it costs as much as 65 predictions."""
        return await service.explain(request)       # type: ignore[return-value]

    @app.get("/v1/model")
    async def model() -> ModelFacts:
        """The model that is being served."""
        loaded = service.served.now
        description = loaded.classifier.description
        return ModelFacts(name=loaded.name, class_names=description.class_names, image_size=description.image_size,
                          can_say_unknown=description.unknown_threshold is not None,
                          collects_images=service.collects_images)


def _add_operation(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process is alive."""
        return {"status": "ok"}

    @app.get("/ping", include_in_schema=False)      # SageMaker's name for it
    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        """Whether the server can answer; `not_loaded` says why another version was not put to work."""
        service.require_ready()
        refused = {"not_loaded": service.reload_error} if service.reload_error else {}
        return {"status": "ready", "model": service.served.now.name} | refused

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counters and histograms for Prometheus."""
        return Response(service.metrics.as_text(), media_type=CONTENT_TYPE)


def _add_pages(app: FastAPI, served: ServedModel) -> None:
    page = framed("Graft", Path(__file__).with_name("page.html"), PAGE_POLICY)
    script = SHARED.read_bytes()

    @app.get("/", include_in_schema=False)
    async def show() -> HTMLResponse:
        return HTMLResponse(page, headers=PAGE_HEADERS)

    @app.get(f"/{SHARED.name}", include_in_schema=False)
    async def show_script() -> Response:
        return Response(script, media_type="text/javascript")

    @app.get("/card", include_in_schema=False)
    def show_card() -> Response:
        try:
            return HTMLResponse(card.as_page(*served.read_card()), headers={"Content-Security-Policy": POLICY})
        except GraftError as error:
            return PlainTextResponse(f"the card cannot be fetched: {printable(error)}\n", 503)


def serve(model: str, registry: str | None, host: str, port: int, poll_s: float, format: str = "onnx",
          names: Collection[str] = (), keeping: Keeping | None = None, heif: bool = False) -> None:
    """Serve a model until SIGTERM or SIGINT; open requests are answered first.

    Args:
        model: see `graft.predict.find.find_model`.
        host: the address to listen on; 0.0.0.0 is all addresses.
        port: 0 to 65535; 0 is any free port.
        poll_s: the interval in seconds at which the server looks for another version of the model.
        format: the export format to run.
        names: the host names to answer to, beside `host` and this machine's.
        keeping: what is kept of the answers; nothing unless given.
        heif: read HEIC and HEIF files, too.

    Raises:
        GraftError: if there is no such model, a place to keep answers in is none, HEIC is wanted and cannot be read, or
            the server cannot listen.
    """
    if heif and not is_read():
        raise GraftError("--heif needs the package pillow-heif: pip install 'graft[heif]'")
    app = create_app(ServedModel(model, registry, format), Limits(heif=heif), poll_s, [host, *names], keeping)
    for line in keeping.describe() if keeping else ():
        print(printable(line), flush=True)
    run(app, host, port, lambda url: f"serving {model} at {url}, its API documentation at {url}/docs")


def serve_reports(registry: str | None, host: str, port: int, names: Collection[str] = ()) -> None:
    """Serve the reports of a registry's versions until SIGTERM or SIGINT; see `graft.server.reports` and `serve`.

    Raises:
        GraftError: if there is no such registry, or the server cannot listen.
    """
    from graft.server.reports import create_reports_app, find_versions

    find_versions(registry)
    run(create_reports_app(registry, [host, *names]), host, port,
         lambda url: f"serving the reports at {url}")


def run(app: FastAPI, host: str, port: int, says: Callable[[str], str]) -> None:
    """Serve the application until it is interrupted, and print what it `says` of its address.

    Raises:
        GraftError: if it cannot listen there.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("graft").setLevel(logging.INFO)
    listening = _listen(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    print(says(url) + "; press Ctrl-C to stop", flush=True)
    uvicorn.Server(configure(app)).run(sockets=[listening])


def configure(app: FastAPI, **options: Any) -> uvicorn.Config:
    """The configuration with which uvicorn runs the application. `options` are its own arguments."""
    return uvicorn.Config(app, http=LimitedProtocol, ws="none", log_config=None, access_log=False,
                          timeout_graceful_shutdown=GRACE_S, **options)


def _listen(host: str, port: int) -> socket.socket:
    if not host:            # such as a variable that is not set: the system would take it for all addresses
        raise GraftError("--host: no address is named. Expected one such as 127.0.0.1; 0.0.0.0 is all addresses.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (")[0].rstrip(".")
        raise GraftError(f"--host {host} --port {port}: {reason}. --port 0 uses any free port.") from error
