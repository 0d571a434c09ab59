"""Prefect's server for one run, if no other is named; it starts while the run is imported and checked.

Prefect starts the same server by itself, but not before it is asked for the first time. It then imports the whole
server into the run's own process too, which takes two seconds. This module imports Prefect inside its functions, so
that `load` comes before that.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from pathlib import Path

from graft.errors import GraftError

AS_PREFECT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
GRACE_S = 5
POLL_S = 0.05


@cache
def load() -> subprocess.Popen:
    """Start the process that imports the server; it serves once `start` has told it a port."""
    process = subprocess.Popen([sys.executable, "-P", str(Path(__file__).with_name("embedded_server.py"))], text=True,
                               stdin=subprocess.PIPE, env=os.environ | AS_PREFECT, start_new_session=True)
    atexit.register(_stop, process)
    return process


class Server:
    """Prefect's server on a free port of this machine; it ends with this process, after Prefect's last messages."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.api = f"http://127.0.0.1:{port}/api"
        self._process = load()
        with suppress(BrokenPipeError):         # it has ended: see `settings`
            print(port, file=self._process.stdin, flush=True)

    def settings(self) -> AbstractContextManager:
        """A context in which this process uses the server. Waits until it answers.

        Raises:
            GraftError: if it ends, or does not answer in time.
        """
        import httpx
        from prefect.settings import (
            PREFECT_API_URL,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
            PREFECT_UI_URL,
            get_current_settings,
            temporary_settings,
        )

        began_s, limit_s = time.monotonic(), get_current_settings().server.ephemeral.startup_timeout_seconds
        with httpx.Client(trust_env=False) as client:
            while not _answers(client, f"{self.api}/health"):
                if self._process.poll() is not None or time.monotonic() - began_s > limit_s:
                    database = get_current_settings().home / "prefect.db"
                    raise GraftError("Prefect's server did not start; what it said is above. Run it again. If its "
                                     f"database {database} is damaged, or of a newer version, move it away: it has "
                                     "only the history of runs. Or run `prefect server start`, and name it by "
                                     "PREFECT_API_URL.")
                time.sleep(POLL_S)
        return temporary_settings({
            PREFECT_API_URL: self.api,
            PREFECT_UI_URL: "",                             # it has no pages to link to
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,        # nobody would miss one; ending them takes up to a second
        })


class Named:
    """The server that PREFECT_API_URL or Prefect's profile names, or none: the checks say what is wrong with it."""

    def settings(self) -> AbstractContextManager:
        return nullcontext()


def start() -> Server | Named:
    """Start a server in the background, unless one is named or the place of its database cannot be written."""
    from prefect.settings import get_current_settings

    from flows import preflight

    if get_current_settings().api.url:
        return Named()
    try:
        preflight.check_server()
    except GraftError:
        return Named()
    return Server()


def _answers(client, address: str) -> bool:
    import httpx

    try:
        return client.get(address).status_code == 200
    except httpx.HTTPError:
        return False


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
