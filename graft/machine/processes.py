"""Ordered read-ahead by processes, for work that holds Python's lock."""

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext

from graft.machine.threads import in_order


@contextmanager
def in_processes(function: Callable, items: Iterable, processes: int, preload: Iterable[str] = ()) -> Iterator:
    """Open an iterator over `function` of each item, in the order of the items, which processes compute.

    Two items for each process are under way. Leaving the block ends the processes at once, whatever they do, and so
    does the end of this one, even when it is killed.

    Args:
        function: of a module, as the items and results are sent between processes.
        preload: modules that Linux imports once, not once in each process.

    Raises:
        concurrent.futures.process.BrokenProcessPool: from the iterator, when a process was killed.
    """
    context, waiting = _context(preload), deque()
    theirs, ours = context.Pipe(duplex=False)
    with theirs, ours:
        pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with, initargs=(theirs,))
        try:
            yield in_order(pool, function, items, 2 * processes, waiting)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            waiting.clear()


def _context(preload: Iterable[str]) -> BaseContext:
    """Never `fork`: a child that is forked while other threads run may wait for their locks for ever."""
    if sys.platform != "linux":         # Windows has no forkserver; macOS's own libraries do not survive its forks
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return context


def _end_with(pipe: Connection) -> None:
    """End this process when the pipe's other end is closed; its queue never is, as all processes hold both ends."""
    threading.Thread(target=lambda: pipe.poll(None) and os._exit(1), daemon=True).start()
