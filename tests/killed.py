"""What a process does that is to be killed: it is started anew, as one that is forked beside threads may hang."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta

from graft import store
from graft.store import s3

CHANGES = ("os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


def process(work: Callable[[], object], days: float, kill_at: int = 0, **environment: str) -> multiprocessing.Process:
    """A process, not started yet, that does `work`, a function of a module or a partial of one.

    Args:
        days: how far the clocks of both kinds of store are set on.
        kill_at: the change of the file system before which the process kills itself; 0 for never.
    """
    context = multiprocessing.get_context("forkserver")         # a fresh interpreter, without threads
    context.set_forkserver_preload([__name__, "graft.registry", "boto3"])
    return context.Process(target=_run, args=(work, days, kill_at, {**os.environ, **environment}))


def set_clocks_on(days: float, setattr: Callable = setattr) -> None:
    """Let both kinds of store believe that it is later."""
    for kind in (store.LocalStore, s3.S3Store):
        real = kind.now
        setattr(kind, "now", lambda self, real=real: real(self) + timedelta(days=days))


def _run(work: Callable[[], object], days: float, kill_at: int, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    set_clocks_on(days)
    if kill_at:
        _kill_at_change(kill_at)
    work()


def _kill_at_change(number: int) -> None:
    """Let this process die just before its `number`-th change of the file system. There is no way back."""
    left = [number]

    def hook(event: str, arguments: tuple) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in CHANGES:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
