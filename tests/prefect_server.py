"""A real Prefect server for all test files of a process, and one for a file whose tests act on every run."""

import re
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from benchmarks.prefect_server import Server, wait_for

INFRA = Path(__file__).parent.parent / "infra"
SERVICES = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]

__all__ = ["INFRA", "SERVICES", "Server", "own_prefect_server", "prefect_server", "wait_for"]


@contextmanager
def running(home: Path):
    """A server as compose.yaml sets it up, but with SQLite and a loopback port."""
    settings = {key: re.sub(r"\$\{PREFECT_PASSWORD.*\}", "secret", value)
                for key, value in SERVICES["server"]["environment"].items()
                if "DATABASE" not in key and "UI" not in key}
    server = Server(home, PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY="PT1S", **settings,
                    PREFECT_API_AUTH_STRING=settings["PREFECT_SERVER_API_AUTH_STRING"])
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def own_prefect_server(tmp_path_factory):
    """See `running`: for the tests of one file alone."""
    with running(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory):
    """See `running`."""
    with running(tmp_path_factory.mktemp("prefect")) as server:
        yield server
