"""Work that is done beside what must not wait for it: what is too much is refused."""

import logging
import queue
import threading
from collections.abc import Callable

CLOSE_S = 5             # how long `close` waits for what is left
logger = logging.getLogger(__name__)


class Background:
    """A thread that works on one item after another, with a limit on what waits for it."""

    def __init__(self, most: int, between: Callable[[], None] = lambda: None, at_most_s: float = 10):
        """Start the thread.

        Args:
            most: the size of all items together that may wait.
            between: is called after every item, and if none has come for `at_most_s` seconds.
        """
        self._most, self._between, self._at_most_s = most, between, at_most_s
        self._waiting, self._lock = 0, threading.Lock()
        self._items: queue.SimpleQueue[tuple[Callable[[], None], int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)
        self._thread.start()

    def put(self, work: Callable[[], None], size: int = 1) -> bool:
        """Let the thread do some work; an exception is logged. Returns False, at once, if there is no room for it."""
        with self._lock:
            if self._waiting + size > self._most:
                return False
            self._waiting += size
        self._items.put((work, size))
        return True

    def close(self, within_s: float = CLOSE_S) -> None:
        """End the thread when it has done what waits; if that takes too long, it ends with the process."""
        self._items.put(None)
        self._thread.join(within_s)

    def _run(self) -> None:
        while found := self._next():
            work, size = found
            try:
                work()
                self._between()
            except Exception:           # the thread must go on
                logger.exception("work in the background failed")
            with self._lock:
                self._waiting -= size

    def _next(self) -> tuple[Callable[[], None], int] | None:
        """The next item; one that does nothing if none came in time; None at the end."""
        try:
            return self._items.get(timeout=self._at_most_s)
        except queue.Empty:
            return (lambda: None), 0
