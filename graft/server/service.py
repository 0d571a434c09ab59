"""Answer requests for predictions within limits, and keep the model up to date."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import numpy as np
from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse

from graft.errors import GraftError, UnreadableImage, printable
from graft.model.classifier import Prediction
from graft.model.heatmaps import heat_of, hide_parts
from graft.predict.rows import row
from graft.server.batching import Batcher
from graft.server.metrics import Metrics
from graft.server.served_model import Loaded, ServedModel
from graft.server.shares import Shares, client_of
from graft.server.uploads import Limits, read_uploads
from graft.watch.recorder import Keeping, Recorder

HIDDEN = 13             # images of a heat map that are predicted at a time; it has 65
logger = logging.getLogger(__name__)
Take: TypeAlias = Callable[[int], None]         # takes memory for so many bytes of a request


class Service:
    """Answers requests with one served model and one batcher.

    Attributes:
        served: the served model.
        limits: the limits for requests.
        metrics: the server's metrics.
        reload_error: why another version was not put to work at the last attempt; None if nothing failed.
        collects_images: whether some of the images are kept.
    """

    def __init__(self, served: ServedModel, limits: Limits, keeping: Keeping | None = None):
        self.served, self.limits = served, limits
        self.metrics = Metrics()
        self.reload_error: str | None = None
        self._keep_error = ""
        self.metrics.name_model(served.now.name)
        keeping = keeping or Keeping()
        self.collects_images = keeping.collect is not None
        self._recorder = Recorder(keeping, served.now.name, self._told)
        self._batcher = Batcher(on_batch=self.metrics.batch_size.observe, heif=limits.heif)
        self._places, self._bytes = Shares(limits.requests), Shares(limits.all_bytes)

    async def predict(self, request: Request, top: int | None) -> Response:
        """Answer one request with rows.

        Args:
            top: the number of most probable classes in each row; None for all.

        Raises:
            HTTPException: see `counted`, `outcomes` and `graft.server.uploads.read_uploads`.
        """
        return await self.counted(request, partial(self._answer, request, top))

    async def counted(self, request: Request, answer: Callable[[Take], Awaitable[Response]]) -> Response:
        """Give a request its place among the others, and count it.

        Raises:
            HTTPException: 429 for too many concurrent requests.
        """
        started, status = time.monotonic(), 500
        self.metrics.in_flight.inc()
        try:
            with self._place(_client(request)) as take:
                response = await answer(take)
            status = response.status_code
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self.metrics.in_flight.dec()
            self.metrics.requests.labels(status).inc()
            self.metrics.seconds.observe(time.monotonic() - started)

    async def keep_up_to_date(self, every_s: float) -> None:
        """Look for another version every `every_s` seconds, forever. Errors are logged; the present version stays."""
        while True:
            await asyncio.sleep(every_s)
            try:
                is_new = await asyncio.to_thread(self.served.refresh)
                self.reload_error = None
                if is_new:
                    self.metrics.count_reload(None)
                    self.metrics.name_model(self.served.now.name)
                    logger.info("now serving %s", self.served.now.name)
            except Exception as error:      # whatever the error, the next attempt may succeed
                self.metrics.count_reload(error)
                self.reload_error = printable(error)
                traceback = None if isinstance(error, GraftError) else error
                logger.error("still serving %s: %s", self.served.now.name, printable(error), exc_info=traceback)

    def require_ready(self) -> None:
        """Raise `HTTPException`, 503, if requests can no longer be answered."""
        if not self._batcher.is_alive():
            raise HTTPException(503, "the model no longer answers: restart the server")

    def close(self) -> None:
        """End all threads and processes."""
        self.served.close()
        self._batcher.close()
        self._recorder.close()

    @contextmanager
    def _place(self, client: str) -> Iterator[Take]:
        """A place for one request, and a function that takes memory for so many bytes of it."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            self._bytes.take(client, size)
            taken += size

        self._places.take(client)
        try:
            yield take
        finally:
            self._places.give_back(client)
            self._bytes.give_back(client, taken)

    async def explain(self, request: Request) -> Response:
        """Answer a request with one image with its heat map.

        Raises:
            HTTPException: 400 for another number of images, 422 if it cannot be read; see also `predict`.
        """
        return await self.counted(request, partial(self._explain, request))

    async def outcomes(self, request: Request, loaded: Loaded, images: list[bytes] | list[np.ndarray]
                       ) -> list[Prediction | UnreadableImage]:
        """Predict images, each the bytes of a file or an array of the model's size.

        Raises:
            HTTPException: 503 if it takes too long.
        """
        try:
            async with asyncio.timeout(self.limits.answer_s):
                futures = [self._batcher.submit(loaded.classifier, image, _client(request)) for image in images]
                return await asyncio.gather(*map(asyncio.wrap_future, futures))
        except TimeoutError:
            raise HTTPException(503, f"no answer within {self.limits.answer_s:g} s", {"Retry-After": "1"}) from None

    def note(self, loaded: Loaded, outcomes: list[Prediction | UnreadableImage], images: list) -> None:
        """Count the answers to a request's images, and keep what is to be kept of them."""
        self.metrics.count_images(outcomes)
        self._recorder.note(loaded.name, loaded.classifier.class_names, outcomes, images)

    async def _answer(self, request: Request, top: int | None, take: Take) -> Response:
        """A response with status 200, or 422 if none of the images can be read."""
        uploads = await read_uploads(request, self.limits, take)
        loaded = self.served.now            # one version answers all images of a request
        outcomes = await self.outcomes(request, loaded, [each.data for each in uploads])
        rows = [row(upload.name, outcome, top) for upload, outcome in zip(uploads, outcomes)]
        self.note(loaded, outcomes, [each.data for each in uploads])
        status = 422 if all("error" in each for each in rows) else 200
        return JSONResponse({"model": loaded.name, "predictions": rows}, status)

    def _told(self, what: str, outcome: str, error: Exception | None) -> None:
        if error and str(error) != self._keep_error:
            logger.error("a %s is %s: %s", what, outcome, printable(error))
        self._keep_error = str(error) if error else self._keep_error
        self.metrics.count_kept(what, outcome, error)

    async def _explain(self, request: Request, take: Take) -> Response:
        uploads, loaded = await read_uploads(request, self.limits, take), self.served.now
        if len(uploads) != 1:
            raise HTTPException(400, f"expected one image, received {len(uploads)}")
        reading = self._batcher.read(loaded.classifier, uploads[0].data, _client(request))
        image = await asyncio.wrap_future(reading)
        if isinstance(image, UnreadableImage):
            raise HTTPException(422, str(image))
        images, answers = hide_parts(image), list[Prediction | UnreadableImage]()
        for start in range(0, len(images), HIDDEN):     # between them, the images of others get their turn
            answers += await self.outcomes(request, loaded, list(images[start:start + HIDDEN]))
        rows = [row("", each) for each in answers]
        shares = np.array([[each["probabilities"][name] for name in loaded.classifier.class_names] for each in rows])
        heat = heat_of(np.log(np.maximum(shares, np.finfo(float).tiny)))
        return JSONResponse({"model": loaded.name, "label": rows[0]["label"], "heat": heat.round(4).tolist()})


def _client(request: Request) -> str:
    return client_of(request.client.host if request.client else "")
