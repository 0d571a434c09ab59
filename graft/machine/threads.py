"""Ordered read-ahead: threads work on the next items while the caller works on one."""

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import Any

from graft.machine.cores import cpu_count

HEARS_S = 1.0           # how long a wait may last before the thread looks for signals


class InThreads(Iterator):
    """`function` of each item, in the order of the items; threads make the next results meanwhile.

        with InThreads(decode, paths, ahead=64) as images:
            for image in images:

    Leaving the block cancels what has not begun, and waits for nothing: what a thread has begun ends by itself, and
    its result is dropped. An item's error is raised where its result would be, and ends the iterator.

    One that is not opened by `with` ends its threads when it is exhausted, closed or dropped. Dropping it may be the
    garbage collector's work, in any thread and at any line, even inside `threading`: that is why nothing is waited
    for, and why a generator, whose `finally` the collector runs, must never own a pool.

    Args:
        items: taken in the caller's thread, at most `ahead` more than results were.
        threads: as many as there are cores unless given.
        ahead: results that are made while the caller works on one.
    """

    def __init__(self, function: Callable, items: Iterable, threads: int | None = None, ahead: int = 1):
        pool = ThreadPoolExecutor(threads or cpu_count())
        self._waiting: deque[Future] = deque()
        self._results: Iterator = in_order(pool, function, items, ahead, self._waiting)
        self._end = weakref.finalize(self, pool.shutdown, wait=False, cancel_futures=True)

    def then(self, function: Callable[[Iterator], Iterable]) -> "InThreads":
        """The same iterator, which from now on gives what `function` makes of its results."""
        self._results = iter(function(self._results))
        return self

    def close(self) -> None:
        """Cancel what has not begun, and let go of all results. Waits for nothing."""
        self._end()
        self._waiting.clear()           # an error that is kept keeps the frames that know it
        self._results = iter(())

    def __next__(self) -> Any:
        try:
            return next(self._results)
        except BaseException:           # at its end, too
            self.close()
            raise

    def __enter__(self) -> "InThreads":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def in_order(pool: Executor, function: Callable, items: Iterable, ahead: int, waiting: deque) -> Iterator:
    """The results of a pool that belongs to the caller; the futures of those that were not taken are in `waiting`."""
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield _result(waiting.popleft())
    while waiting:
        yield _result(waiting.popleft())


def _result(future: Future) -> Any:
    """What a future gives. A main thread that waits without end may never hear of Ctrl-C: another thread may get it."""
    while not future.done():
        wait([future], timeout=HEARS_S)
    return future.result()
