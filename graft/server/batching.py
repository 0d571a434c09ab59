"""Predict the images of concurrent requests together."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from graft.errors import as_value
from graft.model.classifier import Classifier
from graft.server.lanes import Job, Lanes


@dataclass(frozen=True)
class _Waiting:
    classifier: Classifier
    image: np.ndarray       # uint8 (height, width, 3)
    answer: Future


class Batcher:
    """Decode images on all cores; whenever the model is free, predict all decoded images as one batch.

    Other processes decode (`graft.server.lanes`). No image waits for a batch to fill: a single image is predicted at
    once, and batches grow with the load.
    """

    def __init__(self, largest: int = 16, on_batch: Callable[[int], None] = lambda size: None,
                 heif: bool = False):
        """Start the threads.

        Args:
            largest: the maximum size of a batch.
            on_batch: is called with the size of every batch.
            heif: whether HEIC and HEIF files are read.
        """
        self._largest, self._on_batch = largest, on_batch
        self._lanes = Lanes(heif)
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._next: _Waiting | None = None          # from the queue, but for another model than the current batch
        self._worker = threading.Thread(target=self._work, name="predict", daemon=True)
        self._worker.start()

    def submit(self, classifier: Classifier, image: bytes | np.ndarray, client: str = "") -> Future:
        """Predict one image; the future has its `Prediction` or `UnreadableImage`, and can be cancelled.

        Args:
            image: the bytes of a file; or what it was decoded to, uint8 `(height, width, 3)` of the model's size.
            client: who sent it; see `graft.server.lanes`.
        """
        answer: Future = Future()
        if isinstance(image, bytes):
            self._lanes.put(Job(client, image, classifier.image_size, answer,
                                lambda decoded: self._queue.put(_Waiting(classifier, decoded, answer))))
        elif answer.set_running_or_notify_cancel():
            self._queue.put(_Waiting(classifier, image, answer))
        return answer

    def read(self, classifier: Classifier, data: bytes, client: str = "") -> Future:
        """Decode one image file; the future has uint8 `(height, width, 3)` or the `UnreadableImage`."""
        answer: Future = Future()
        self._lanes.put(Job(client, data, classifier.image_size, answer, answer.set_result))
        return answer

    @property
    def waiting(self) -> int:
        """The number of decoded images that wait for the model."""
        return self._queue.qsize() + (self._next is not None)

    def is_alive(self) -> bool:
        """Whether the thread that predicts is running."""
        return self._worker.is_alive()

    def close(self) -> None:
        """Predict what is decoded, drop the rest, and end the threads and processes."""
        self._lanes.close()
        self._queue.put(None)
        self._worker.join()

    def _work(self) -> None:
        while batch := self._take():
            self._on_batch(len(batch))
            try:
                predictions = batch[0].classifier.predict_batch(np.stack([each.image for each in batch]))
                for each, prediction in zip(batch, predictions):
                    each.answer.set_result(prediction)
            except Exception as error:      # the thread must continue for the other images
                for each in batch:
                    if not each.answer.done():
                        each.answer.set_exception(as_value(error))

    def _take(self) -> list[_Waiting]:
        """The next batch, for one model; empty after `close`."""
        first, self._next = self._next or self._queue.get(), None
        batch = [first] if first else []
        while first and len(batch) < self._largest and not self._queue.empty():
            waiting = self._queue.get()
            if waiting is None:
                self._queue.put(None)       # `close` was called: stop after this batch
                break
            if waiting.classifier is not first.classifier:
                self._next = waiting
                break
            batch.append(waiting)
        return batch
