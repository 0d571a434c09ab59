"""The GPU host follows the runs of Prefect's pool: the rule, and the whole with a real server and a real worker.

Both are started by the very commands of compose.yaml, and the worker is drained while a run is under way.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import yaml

from infra import gpu_scaling
from infra.gpu_scaling import Demand, Group, sizes

INFRA = Path(__file__).parent.parent / "infra"
SERVICES = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]

NOBODY = Demand(runs=0, waiting=timedelta(0), recent=False)
LATE = gpu_scaling.PATIENCE + timedelta(seconds=1)


@pytest.mark.parametrize("demand, spot, on_demand, expected", [
    (NOBODY, (0, 0), (0, 0), (0, 0)),                                               # stays at zero
    (Demand(1, timedelta(0), False), (0, 0), (0, 0), (1, 0)),                       # a run comes: a spot host
    (Demand(1, LATE, False), (1, 0), (0, 0), (0, 1)),                               # no spot host came: on demand
    (Demand(1, LATE, False), (1, 1), (0, 0), (1, 0)),                               # it came and is starting up
    (Demand(1, LATE, False), (0, 0), (0, 0), (1, 0)),                               # spot is tried first, however late
    (Demand(2, timedelta(0), True), (0, 0), (1, 1), (0, 1)),                        # it finishes the rest
    (Demand(0, timedelta(0), True), (1, 1), (0, 0), (1, 0)),                        # kept for the next stage
    (NOBODY, (1, 1), (0, 0), (0, 0)), (NOBODY, (0, 0), (1, 1), (0, 0)),             # back to zero
])
def test_sizes(demand, spot, on_demand, expected):
    assert sizes(demand, Group("spot", *spot, 1), Group("on-demand", *on_demand, 1)) == expected


def test_no_on_demand_host_where_the_fallback_is_off():
    assert sizes(Demand(1, LATE, False), Group("spot", 1, 0, 1), Group("on-demand", 0, 0, 0)) == (1, 0)


FLOW = """
import pathlib, time
from prefect import flow

@flow
def training(folder: str):
    pathlib.Path(folder, "started").touch()
    try:
        time.sleep(60)
        pathlib.Path(folder, "finished").touch()
    finally:
        pathlib.Path(folder, "saved").touch()
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(api: str, path: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{api}/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


def wait_for(condition, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not come to pass"
        time.sleep(0.2)


def service(name: str, environment: dict, **replace: str) -> subprocess.Popen:
    """A service of compose.yaml by its own command, but for the words in `replace`."""
    command = [replace.get(word, word) for word in SERVICES[name]["command"]]
    command[0] = str(Path(sys.executable).parent / command[0])
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def prefect(tmp_path_factory):
    """The environment of a client of a fresh Prefect server, run as compose.yaml says, but with SQLite."""
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    settings = {key: value for key, value in SERVICES["server"]["environment"].items() if "DATABASE" not in key}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= settings | {"PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    environment |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_WORKER_QUERY_SECONDS": "1"}
    server = service("server", environment, **{"4200": str(port), "0.0.0.0": "127.0.0.1"})
    program, *arguments = SERVICES["server"]["healthcheck"]["test"][1:]
    health = [sys.executable, *(word.replace(":4200", f":{port}") for word in arguments)]
    assert program == "python"
    try:
        wait_for(lambda: subprocess.run(health, capture_output=True).returncode == 0)
        yield environment
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def deployment(prefect, tmp_path):
    """The id of a deployment of FLOW to the pool gpu."""
    (tmp_path / "flow.py").write_text(FLOW)
    api = prefect["PREFECT_API_URL"]
    ask(api, "work_pools/", {"name": "gpu", "type": "process"})
    flow = ask(api, "flows/", {"name": "training"})
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}]
    body = {"name": "training", "flow_id": flow["id"], "work_pool_name": "gpu", "entrypoint": "flow.py:training"}
    return ask(api, "deployments/", body | {"pull_steps": pull, "parameters": {"folder": str(tmp_path)}})["id"]


@pytest.fixture
def groups():
    """The client of an emulated account with two auto scaling groups at zero."""
    from moto import mock_aws

    with mock_aws():
        ec2, scaling = boto3.client("ec2", "us-east-1"), boto3.client("autoscaling", "us-east-1")
        data = {"ImageId": "ami-12c6146b", "InstanceType": "g6.xlarge"}
        made = ec2.create_launch_template(LaunchTemplateName="gpu", LaunchTemplateData=data)
        template = {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"]}
        for name in ("spot", "on-demand"):
            scaling.create_auto_scaling_group(
                AutoScalingGroupName=name, MinSize=0, MaxSize=1, DesiredCapacity=0, LaunchTemplate=template,
                AvailabilityZones=["us-east-1a"],
            )
        yield scaling


def test_gpu_host_follows_the_runs_of_a_real_worker(prefect, deployment, groups, tmp_path):
    api, now = prefect["PREFECT_API_URL"], datetime.now(UTC)

    def hosts(at: datetime) -> list[int]:
        gpu_scaling.look(api, groups, ["spot", "on-demand"], at)
        return [group.desired for group in gpu_scaling.read_groups(groups, ["spot", "on-demand"])]

    def schedule(at: datetime) -> str:
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": at.isoformat()}}
        return ask(api, f"deployments/{deployment}/create_flow_run", {"state": state})["id"]

    assert hosts(now) == [0, 0]
    tomorrow = now + timedelta(days=1)
    schedule(tomorrow)
    assert hosts(now) == [0, 0]
    assert hosts(tomorrow - timedelta(minutes=5)) == [1, 0]     # up before its time
    assert hosts(now) == [0, 0]
    run = schedule(now)
    assert hosts(now) == [1, 0]

    worker = service("gpu-worker", prefect)
    try:
        wait_for((tmp_path / "started").exists)
        assert hosts(datetime.now(UTC)) == [1, 0]
        drain = [sys.executable, INFRA / "host/drain.py", "--pid", str(worker.pid), "--patience", "60"]
        assert subprocess.run(drain).returncode == 0
        assert worker.wait(5) is not None
    finally:
        worker.kill()
    assert (tmp_path / "saved").exists() and not (tmp_path / "finished").exists()

    wait_for(lambda: ask(api, f"flow_runs/{run}")["state_type"] == "CRASHED", 20)
    assert hosts(datetime.now(UTC)) == [1, 0]                   # kept a while: the run may be started again
    assert hosts(datetime.now(UTC) + gpu_scaling.KEEP) == [0, 0]


def test_a_group_that_aws_does_not_have_is_named(groups):
    with pytest.raises(LookupError, match="no auto scaling group gpu-spto"):
        gpu_scaling.read_groups(groups, ["gpu-spto", "on-demand"])
