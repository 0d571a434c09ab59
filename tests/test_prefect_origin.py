"""Prefect's server as compose.yaml and pyproject.toml set it up: no page of another origin can write to its API.

test_deployments.py, test_gpu_scaling.py and test_handover.py run worker, deployments and flows against the same server.
"""

import subprocess
import sys

import httpx
import pytest

from pipeline.code import ROOT

POOL = {"name": "evil", "type": "process"}
ORIGIN = {"Origin": "https://evil.example"}
BODIES = [{"json": POOL}, {"content": b'{"name": "evil", "type": "process"}'}]      # browsers ask before the first only


@pytest.mark.parametrize("body", BODIES)
def test_a_page_of_another_origin_writes_nothing(prefect_server, body):
    login = {"auth": ("graft", "secret")}
    with httpx.Client(base_url=prefect_server.api, headers=ORIGIN, trust_env=False) as page:
        assert page.post("/work_pools/", **body).status_code in (401, 403)
        assert page.post("/work_pools/", **body, **login).status_code == 403       # a browser may know the password
        token = page.get("/csrf-token?client=evil", **login)
        assert "access-control-allow-origin" not in token.headers                   # so that the page cannot read it
    assert prefect_server.ask("work_pools/filter", {"work_pools": {"name": {"any_": ["evil"]}}}) == []


def test_nobody_reads_without_the_password(prefect_server):
    for login, status in ((None, 401), (("graft", "wrong"), 401), (("graft", "secret"), 200)):
        assert httpx.get(f"{prefect_server.api}/admin/version", auth=login, trust_env=False).status_code == status


def test_a_server_that_is_started_in_this_folder_takes_the_same_origins():
    """The settings of pyproject.toml are those of compose.yaml."""
    read = ("import prefect.settings as s; api = s.get_current_settings().server.api; "
            "print(api.cors_allowed_origins, api.csrf_protection_enabled)")
    done = subprocess.run([sys.executable, "-c", read], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "http://127.0.0.1:4200,http://localhost:4200 True\n"
