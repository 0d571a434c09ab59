"""SIGTERM as a flag, so that a step in progress can finish and save its state before the process ends."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def sigterm_as_flag():
    """In this block, SIGTERM sets the `threading.Event` that it yields, instead of ending the process."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():       # only the main thread may handle signals
        yield flag
        return
    before = signal.signal(signal.SIGTERM, lambda *_: flag.set())
    try:
        yield flag
    finally:
        signal.signal(signal.SIGTERM, before)


def leave() -> None:
    """End the process as SIGTERM would have done. Call it when the state is saved."""
    raise SystemExit(128 + signal.SIGTERM)
