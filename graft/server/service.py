"""Answer requests for predictions within limits, and keep the model up to date."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse

from graft.errors import GraftError, printable
from graft.predict.rows import row
from graft.server.batching import Batcher
from graft.server.metrics import Metrics
from graft.server.served_model import Loaded, ServedModel
from graft.server.shares import Shares, client_of
from graft.server.uploads import Limits, Upload, read_uploads

logger = logging.getLogger(__name__)


class Service:
    """Answers requests with one served model and one batcher.

    Attributes:
        served: the served model.
        limits: the limits for requests.
        metrics: the server's metrics.
    """

    def __init__(self, served: ServedModel, limits: Limits):
        self.served, self.limits = served, limits
        self.metrics = Metrics()
        self.metrics.name_model(served.now.name)
        self._batcher = Batcher(on_batch=self.metrics.batch_size.observe)
        self._places, self._bytes = Shares(limits.requests), Shares(limits.all_bytes)

    async def predict(self, request: Request, top: int | None) -> JSONResponse:
        """Answer one request.

        Args:
            top: the number of most probable classes in each row; None for all.

        Raises:
            HTTPException: 429 for too many concurrent requests, 503 if the model takes too long; see also
                `graft.server.uploads.read_uploads`.
        """
        started, status = time.monotonic(), 500
        self.metrics.in_flight.inc()
        try:
            client = client_of(request.client.host if request.client else "")
            with self._place(client) as on_bytes:
                response = await self._answer(request, client, top, on_bytes)
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
                if await asyncio.to_thread(self.served.refresh):
                    self.metrics.count_reload(None)
                    self.metrics.name_model(self.served.now.name)
                    logger.info("now serving %s", self.served.now.name)
            except Exception as error:      # whatever the error, the next attempt may succeed
                self.metrics.count_reload(error)
                traceback = None if isinstance(error, GraftError) else error
                logger.error("still serving %s: %s", self.served.now.name, printable(error), exc_info=traceback)

    def is_ready(self) -> bool:
        """Whether requests can be answered."""
        return self._batcher.is_alive()

    def close(self) -> None:
        """End all threads and processes."""
        self.served.close()
        self._batcher.close()

    @contextmanager
    def _place(self, client: str) -> Iterator[Callable[[int], None]]:
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

    async def _answer(self, request: Request, client: str, top: int | None, on_bytes: Callable[[int], None]
                      ) -> JSONResponse:
        """A response with status 200, or 422 if none of the images can be read."""
        uploads = await read_uploads(request, self.limits, on_bytes)
        loaded = self.served.now            # one version answers all images of a request
        try:
            async with asyncio.timeout(self.limits.answer_s):
                rows = await asyncio.gather(*(self._row(loaded, upload, client, top) for upload in uploads))
        except TimeoutError:
            raise HTTPException(503, f"no answer within {self.limits.answer_s:g} s", {"Retry-After": "1"}) from None
        self.metrics.count_images(rows)
        status = 422 if all("error" in each for each in rows) else 200
        return JSONResponse({"model": loaded.name, "predictions": rows}, status)

    async def _row(self, loaded: Loaded, upload: Upload, client: str, top: int | None) -> dict:
        outcome = await asyncio.wrap_future(self._batcher.submit(loaded.classifier, upload.data, client))
        return row(upload.name, outcome, top)
