"""prefect.yaml against a real Prefect server: what is deployed, that it is so twice, and that the clock makes runs."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from imports import ROOT

BIN = Path(sys.executable).parent


def call(api: str, path: str, **body) -> list:
    request = Request(f"{api}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request) as answer:
        return json.load(answer)


def wait_for_health(api: str) -> None:
    for _ in range(240):
        try:
            urlopen(f"{api}/health").close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server did not start")


def prefect(environment: dict, *arguments: str) -> str:
    command = [BIN / "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A running server with the deployments of prefect.yaml."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")), "DO_NOT_TRACK": "1",
                   "PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                   "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = [BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_health(environment["PREFECT_API_URL"])
        prefect(environment, "work-pool", "create", "default", "--type", "process")
        prefect(environment, "deploy", "--all")
        yield environment
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def deployments(environment) -> dict:
    return {each["name"]: each for each in call(environment["PREFECT_API_URL"], "deployments/filter")}


def test_there_is_training_on_demand_and_retraining_by_the_clock(environment):
    found = deployments(environment)
    assert set(found) == {"training", "retraining"}
    assert found["training"]["schedules"] == []
    assert [each["schedule"]["cron"] for each in found["retraining"]["schedules"]] == ["0 3 * * 1"]
    assert found["training"]["parameters"] == {"refresh": False, "publish": True}
    assert found["retraining"]["parameters"] == {"refresh": True, "publish": True}
    assert not any(each["concurrency_limit"] for each in found.values())        # it would kill long runs


def test_nothing_of_this_machine_is_written_into_a_deployment(environment):
    assert str(ROOT) not in json.dumps(deployments(environment))


def test_deploying_again_changes_nothing(environment):
    def settled():
        kept = ("id", "name", "entrypoint", "parameters", "pull_steps", "work_pool_name")
        return {name: ({key: each[key] for key in kept}, [clock["schedule"] for clock in each["schedules"]])
                for name, each in deployments(environment).items()}

    before = settled()
    prefect(environment, "deploy", "--all")
    assert settled() == before


def test_the_clock_makes_runs(environment):
    """With a newer SQLAlchemy than the pinned one the scheduler makes none, and only logs an error."""
    identity = deployments(environment)["retraining"]["id"]
    for _ in range(120):
        runs = call(environment["PREFECT_API_URL"], "flow_runs/filter", deployments={"id": {"any_": [identity]}})
        if runs:
            break
        time.sleep(0.5)
    assert runs
    assert all(re.match(r"\d{4}-\d\d-\d\dT03:00", run["expected_start_time"]) for run in runs)


def test_the_worker_enters_its_checkout(tmp_path, monkeypatch):
    from flows.workspace import enter

    monkeypatch.chdir(tmp_path)
    assert enter() == {"directory": str(ROOT)}
    assert Path.cwd() == ROOT
