"""SIGTERM as a flag: the step in progress ends and its state is saved before the process does."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def sigterm_as_flag():
    """While this block runs, SIGTERM sets the `threading.Event` that it gives instead of ending the process."""
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
    """End the process as SIGTERM would have done. Call it when all is saved."""
    raise SystemExit(128 + signal.SIGTERM)
