"""The GPU host follows the runs of Prefect's pool: the rule, and the whole with a real server and a real worker.

The worker is drained while a run is under way.
"""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from prefect_server import INFRA, SERVICES, wait_for

from infra import gpu_scaling
from infra.gpu_scaling import Demand, Group, sizes

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
def waiting(folder: str):
    pathlib.Path(folder, "started").touch()
    try:
        time.sleep(600)
        pathlib.Path(folder, "finished").touch()
    finally:
        pathlib.Path(folder, "saved").touch()
"""


@pytest.fixture(scope="module")
def prefect_server(own_prefect_server):
    """Runs of other tests would need a host, too."""
    return own_prefect_server


@pytest.fixture
def deployment(prefect_server, tmp_path):
    """The id of a deployment of FLOW to the pool gpu."""
    (tmp_path / "flow.py").write_text(FLOW)
    ask = prefect_server.ask
    prefect_server.create_pool("gpu")
    flow = ask("flows/", {"name": "waiting"})
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}}]
    body = {"name": "waiting", "flow_id": flow["id"], "work_pool_name": "gpu", "entrypoint": "flow.py:waiting"}
    return ask("deployments/", body | {"pull_steps": pull, "parameters": {"folder": str(tmp_path)}})["id"]


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


def test_gpu_host_follows_the_runs_of_a_real_worker(prefect_server, deployment, groups, tmp_path, monkeypatch):
    api, now = prefect_server.api, datetime.now(UTC)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", prefect_server.environment["PREFECT_API_AUTH_STRING"])

    def hosts(at: datetime) -> list[int]:
        gpu_scaling.look(api, groups, ["spot", "on-demand"], at)
        return [group.desired for group in gpu_scaling.read_groups(groups, ["spot", "on-demand"])]

    def schedule(at: datetime) -> str:
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": at.isoformat()}}
        return prefect_server.ask(f"deployments/{deployment}/create_flow_run", {"state": state})["id"]

    assert hosts(now) == [0, 0]
    tomorrow = now + timedelta(days=1)
    schedule(tomorrow)
    assert hosts(now) == [0, 0]
    assert hosts(tomorrow - timedelta(minutes=5)) == [1, 0]     # up before its time
    assert hosts(now) == [0, 0]
    run = schedule(now)
    assert hosts(now) == [1, 0]

    worker = prefect_server.start_worker("gpu", PREFECT_WORKER_QUERY_SECONDS="1")
    command = SERVICES["gpu-worker"]["command"][1:]
    assert [str(word) for word in worker.args[-len(command):]] == command
    try:
        wait_for((tmp_path / "started").exists)
        assert hosts(datetime.now(UTC)) == [1, 0]
        drain = [sys.executable, INFRA / "host/drain.py", "--pid", str(worker.pid), "--patience", "60"]
        assert subprocess.run(drain).returncode == 0
        assert worker.wait(60) is not None
    finally:
        worker.kill()
    assert (tmp_path / "saved").exists() and not (tmp_path / "finished").exists()

    wait_for(lambda: prefect_server.state(run) == "CRASHED")
    assert hosts(datetime.now(UTC)) == [1, 0]                   # kept a while: the run may be started again
    assert hosts(datetime.now(UTC) + gpu_scaling.KEEP) == [0, 0]


def test_a_group_that_aws_does_not_have_is_named(groups):
    with pytest.raises(LookupError, match="no auto scaling group gpu-spto"):
        gpu_scaling.read_groups(groups, ["gpu-spto", "on-demand"])
