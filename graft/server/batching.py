"""Images of many callers through one model together."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from graft.machine.cores import cpu_count
from graft.model.classifier import Classifier


@dataclass(frozen=True)
class _Waiting:
    classifier: Classifier
    image: np.ndarray       # uint8 (height, width, 3)
    answer: Future


class Batcher:
    """Decodes images on all cores, and predicts those that wait when the model is free as one batch.

    Nobody waits for a batch to fill: alone, an image is answered at once; under load, batches grow by themselves.
    """

    def __init__(self, largest: int = 16, on_batch: Callable[[int], None] = lambda size: None):
        """`largest` bounds a batch; `on_batch` is told the size of each."""
        self._largest, self._on_batch = largest, on_batch
        self._decoders = ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode")
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._next: _Waiting | None = None          # taken from the queue, but meant for another model than its batch
        self._worker = threading.Thread(target=self._work, name="predict", daemon=True)
        self._worker.start()

    def submit(self, classifier: Classifier, data: bytes) -> Future:
        """The `Prediction` of an image's bytes, or `UnreadableImage`, in a future that may be cancelled."""
        answer: Future = Future()
        self._decoders.submit(self._decode, classifier, data, answer)
        return answer

    @property
    def waiting(self) -> int:
        """How many decoded images wait for the model."""
        return self._queue.qsize() + (self._next is not None)

    def is_alive(self) -> bool:
        return self._worker.is_alive()

    def close(self) -> None:
        """Answer what was submitted, then end the threads."""
        self._decoders.shutdown(wait=True)
        self._queue.put(None)
        self._worker.join()

    def _decode(self, classifier: Classifier, data: bytes, answer: Future) -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            self._queue.put(_Waiting(classifier, classifier.read(data), answer))
        except Exception as error:          # whatever it is, its caller is waiting for it
            answer.set_exception(error)

    def _work(self) -> None:
        while batch := self._take():
            self._on_batch(len(batch))
            try:
                predictions = batch[0].classifier.predict_batch(np.stack([each.image for each in batch]))
                for each, prediction in zip(batch, predictions):
                    each.answer.set_result(prediction)
            except Exception as error:      # the thread must live on for the others
                for each in batch:
                    if not each.answer.done():
                        each.answer.set_exception(error)

    def _take(self) -> list[_Waiting]:
        """Whatever waits for one model; empty when the end has come."""
        first, self._next = self._next or self._queue.get(), None
        batch = [first] if first else []
        while first and len(batch) < self._largest and not self._queue.empty():
            waiting = self._queue.get()
            if waiting is None:
                self._queue.put(None)       # the end: it is seen after this batch
                break
            if waiting.classifier is not first.classifier:
                self._next = waiting
                break
            batch.append(waiting)
        return batch
