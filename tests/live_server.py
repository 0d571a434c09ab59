"""A real server on a free port of 127.0.0.1, in a thread of the test."""

import contextlib
import threading
import time

import httpx
import uvicorn

from graft.server.app import configure, create_app
from graft.server.served_model import ServedModel
from graft.server.uploads import Limits


@contextlib.contextmanager
def live_server(model, registry=None, poll_s=60.0, **limits):
    """Yields an `httpx.Client` whose requests go to the server."""
    with serving(create_app(ServedModel(str(model), registry), Limits(**limits), poll_s)) as client:
        yield client


@contextlib.contextmanager
def serving(app):
    """The same for any application."""
    server = uvicorn.Server(configure(app, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
