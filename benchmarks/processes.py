"""Ending, awaiting and addressing processes."""

import contextlib
import random
import socket
import subprocess
import sys
import time

# becomes the command that follows, which Linux kills with its parent. A function for `Popen` to run before the command
# would be Python in a forked child, where the collector may wait for threads that only the parent has
ENDS_WITH_PARENT = [sys.executable, "-c", """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)          # PR_SET_PDEATHSIG
os.execvp(sys.argv[1], sys.argv[1:])
"""]


def end(process: subprocess.Popen, seconds: float = 60) -> None:
    """Send SIGTERM, then SIGKILL after `seconds`: on a busy machine a Prefect worker sometimes never ends by itself."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(condition, seconds: float = 300) -> None:
    """Return once `condition()` is true, which is asked often at first, then five times a second.

    Raises `TimeoutError` after `seconds`: longer than anything takes on a busy machine that does not hang.
    """
    deadline, pause_s = time.monotonic() + seconds, 0.01
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition is still false after {seconds} s")
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, 0.2)


def free_port() -> int:
    """A free port of 127.0.0.1 which stays free: the system gives ports below 32768 to no connection by itself."""
    while True:
        with socket.socket() as listener, contextlib.suppress(OSError):
            port = random.SystemRandom().randrange(10_000, 32_768)
            listener.bind(("127.0.0.1", port))
            return port
