"""A real Prefect server, one for each file of tests: runs and automations that one leaves do not reach another."""

import re
from pathlib import Path

import pytest
import yaml

from benchmarks.prefect_server import Server, wait_for

INFRA = Path(__file__).parent.parent / "infra"
SERVICES = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]

__all__ = ["INFRA", "SERVICES", "Server", "prefect_server", "wait_for"]


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory):
    """As compose.yaml sets it up, but with SQLite and a loopback port."""
    settings = {key: re.sub(r"\$\{PREFECT_PASSWORD.*\}", "secret", value)
                for key, value in SERVICES["server"]["environment"].items()
                if "DATABASE" not in key and "UI" not in key}
    server = Server(tmp_path_factory.mktemp("prefect"), PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY="PT1S", **settings,
                    PREFECT_API_AUTH_STRING=settings["PREFECT_SERVER_API_AUTH_STRING"])
    yield server
    server.stop()
