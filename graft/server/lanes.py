"""Decode the images of several clients, so that those of one do not hold up those of another.

Clients take turns. An image has a quarter of a second of processor time in the first lane; what needs longer is begun
again in the second, whose processes give way to all others, and for a minute all images of its client go there.
So one client's costly images hold up another's for a moment, whatever they are.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from graft.decoding.kinds import CONVERT, kind_of
from graft.errors import UnreadableImage, as_value
from graft.machine.cores import cpu_count
from graft.predict.decoders import ENDED, PROCESSOR_S, Decoders

QUICK_S = 0.25          # of processor time in the first lane: JPEGs of 20 megapixels need less
SLOW_FOR_S = 60         # how long a client's images go to the second lane after one that was too slow for the first
GIVE_WAY = 10           # niceness of the processes of the second lane: a tenth of the processor if all of it is wanted
HEIF_OFF = "this server reads no {}: start it by `graft serve --heif`, or " + CONVERT


@dataclass(frozen=True)
class Job:
    """An image to decode.

    Attributes:
        client: whose it is.
        answer: decoding is left out once it is cancelled.
        use: is called with the image, uint8 `(*image_size, 3)`.
    """

    client: str
    data: bytes
    image_size: tuple[int, int]
    answer: Future
    use: Callable[[np.ndarray], None]


class InTurn:
    """A queue from which its clients are served in turn, each in the order of its own jobs."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Job]] = {}       # whose turn is next comes first
        self._changed, self._is_closed = threading.Condition(), False

    def put(self, job: Job) -> None:
        """Add a job."""
        with self._changed:
            self._waiting.setdefault(job.client, deque()).append(job)
            self._changed.notify()

    def take(self) -> Job | None:
        """Wait for the next job; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if self._is_closed:
                return None
            client = next(iter(self._waiting))
            jobs = self._waiting.pop(client)
            job = jobs.popleft()
            if jobs:
                self._waiting[client] = jobs
            return job

    def close(self) -> None:
        """Drop all jobs, and let nobody wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class Lanes:
    """The two lanes, each with as many processes as there are cores, and a thread for each that waits for it.

    Args:
        heif: whether HEIC and HEIF files are read.
    """

    def __init__(self, heif: bool = False) -> None:
        self._heif = heif
        self._slow_until: dict[str, float] = {}         # client -> by the monotonic clock
        self._quick, self._patient = InTurn(), InTurn()
        self._decoders = Decoders(processor_s=QUICK_S), Decoders(processor_s=PROCESSOR_S, give_way=GIVE_WAY)
        lanes = zip((self._quick, self._patient), self._decoders)
        self._threads = [threading.Thread(target=self._work, args=lane, name="decode", daemon=True)
                         for lane in lanes for _ in range(cpu_count())]
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """Decode an image when it is its client's turn."""
        kind = None if self._heif else kind_of(job.data)
        if kind and kind.is_heif and kind.is_supported:
            _give(job, UnreadableImage(HEIF_OFF.format(kind.name)))
        else:
            self._quick.put(job)

    def close(self) -> None:
        """End all processes and threads; what is not decoded is dropped."""
        for each in (self._quick, self._patient, *self._decoders):
            each.close()
        for thread in self._threads:
            thread.join()

    def _work(self, queue: InTurn, decoders: Decoders) -> None:
        while job := queue.take():
            if job.answer.cancelled():
                continue
            if queue is self._quick and self._slow_until.get(job.client, 0) > time.monotonic():
                self._patient.put(job)
                continue
            try:
                image = decoders.read_in_time(job.data, job.image_size)
                if image is None and queue is self._quick:
                    self._put_off(job)
                else:
                    _give(job, UnreadableImage(ENDED) if image is None else image)
            except Exception as error:      # any error must reach the caller, who waits for it
                if job.answer.set_running_or_notify_cancel():
                    job.answer.set_exception(as_value(error))

    def _put_off(self, job: Job) -> None:
        now = time.monotonic()
        self._slow_until = {client: until for client, until in self._slow_until.items() if until > now}
        self._slow_until[job.client] = now + SLOW_FOR_S
        self._patient.put(job)


def _give(job: Job, image: np.ndarray | UnreadableImage) -> None:
    if job.answer.set_running_or_notify_cancel():
        job.answer.set_result(image) if isinstance(image, UnreadableImage) else job.use(image)
