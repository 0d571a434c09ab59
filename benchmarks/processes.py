"""Ending, awaiting and addressing processes."""

import socket
import subprocess
import time


def end(process: subprocess.Popen, seconds: float = 60) -> None:
    """Send SIGTERM, then SIGKILL after `seconds`: on a busy machine a Prefect worker sometimes never ends by itself."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(condition, seconds: float = 90) -> None:
    """Return once `condition()` is true. Raises `TimeoutError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition is still false after {seconds} s")
        time.sleep(0.2)


def free_port() -> int:
    """A free port of 127.0.0.1."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
