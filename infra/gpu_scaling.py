"""Starts the GPU host on AWS when a run waits in the work pool `gpu`, and stops it when no run is left.

Runs beside Prefect's server (compose.yaml, profile `aws`). Each look reads the whole state from Prefect and AWS, so the
process may be killed at any moment. There is at most one GPU host: a spot host, or an on-demand host if no spot host
comes.

Environment: PREFECT_API_URL, PREFECT_API_AUTH_STRING, GRAFT_GPU_GROUPS (the spot group, a comma, the on-demand group)
and AWS's own variables.
"""

import base64
import json
import os
import sys
import time
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timedelta

POOL, CLIENT = "gpu", "graft-gpu-scaling"
LOOK_S = 30
LEAD = timedelta(minutes=6)         # starts a host this long before a scheduled run, to boot and pull the image
KEEP = timedelta(minutes=10)        # keeps it this long after a run, for the run that may follow
PATIENCE = timedelta(minutes=10)    # a run waits this long for a spot host before an on-demand host starts
PAGE = 200                          # Prefect's limit for one reply


@dataclass(frozen=True)
class Demand:
    """Demand of the pool's runs."""

    runs: int                       # unfinished and due within LEAD
    waiting: timedelta              # how long the oldest run that has not started is overdue
    recent: bool                    # a run ended within KEEP


@dataclass(frozen=True)
class Group:
    """An auto scaling group of at most one host."""

    name: str
    desired: int
    hosts: int
    max_size: int


def ask(api: str, path: str, body: dict | None = None, login: str = ""):
    """The reply of Prefect's API to a GET, or to a POST of `body`.

    Args:
        login: USER:PASSWORD, if the server demands one.

    Raises:
        OSError: if there is no reply, or another status than 2xx.
    """
    headers = {"Content-Type": "application/json"}
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    if body is not None:        # a token that no page of another origin can read
        token = ask(api, f"csrf-token?client={CLIENT}", login=login)["token"]
        headers |= {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": CLIENT}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{api}/{path}", data, headers), timeout=20) as reply:
        return json.load(reply)


def flow_runs(api: str, condition: dict) -> list[dict]:
    """All runs of the pool that match `condition`, a `FlowRunFilter` of Prefect's API. Raises `OSError`."""
    found = []
    while True:
        body = {"flow_runs": condition, "work_pools": {"name": {"any_": [POOL]}}, "limit": PAGE, "offset": len(found)}
        page = ask(api, "flow_runs/filter", body, os.environ.get("PREFECT_API_AUTH_STRING", ""))
        found += page
        if len(page) < PAGE:
            return found


def read_demand(api: str, now: datetime) -> Demand:
    begun = flow_runs(api, {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}})
    ended = flow_runs(api, {"end_time": {"after_": (now - KEEP).isoformat()}})
    due = {"next_scheduled_start_time": {"before_": (now + LEAD).isoformat()}}
    waiting = flow_runs(api, {"state": {"type": {"any_": ["SCHEDULED"]}}, **due})
    overdue = [now - datetime.fromisoformat(run["next_scheduled_start_time"]) for run in waiting]
    return Demand(len(begun) + len(waiting), max([timedelta(0), *overdue]), bool(ended))


def read_groups(autoscaling, names: list[str]) -> list[Group]:
    """The groups in the order of `names`. Raises `LookupError` if AWS lacks one."""
    reply = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=names)["AutoScalingGroups"]
    by_name = {
        group["AutoScalingGroupName"]: Group(
            group["AutoScalingGroupName"], group["DesiredCapacity"], len(group["Instances"]), group["MaxSize"]
        )
        for group in reply
    }
    missing = [name for name in names if name not in by_name]
    if missing:
        raise LookupError(f"AWS has no auto scaling group {' nor '.join(missing)} in this region")
    return [by_name[name] for name in names]


def sizes(demand: Demand, spot: Group, on_demand: Group) -> tuple[int, int]:
    """How many hosts each group should have."""
    if not demand.runs:
        return (spot.desired, on_demand.desired) if demand.recent else (0, 0)
    if on_demand.desired:
        return 0, 1                 # keep it until the runs end: a change would take a run's host away
    no_spot = spot.desired and not spot.hosts and demand.waiting > PATIENCE
    return (0, 1) if no_spot and on_demand.max_size else (1, 0)


def look(api: str, autoscaling, names: list[str], now: datetime) -> None:
    """Read the state once, and set the size of each group that should change."""
    groups = read_groups(autoscaling, names)
    demand = read_demand(api, now)
    for group, size in zip(groups, sizes(demand, *groups)):
        if size != group.desired:
            print(f"{group.name}: {group.desired} -> {size} hosts; {demand}", flush=True)
            autoscaling.set_desired_capacity(
                AutoScalingGroupName=group.name, DesiredCapacity=size, HonorCooldown=False
            )


def main() -> None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    api = os.environ["PREFECT_API_URL"].rstrip("/")
    names = [name for name in os.environ["GRAFT_GPU_GROUPS"].split(",") if name]
    if len(names) != 2:
        sys.exit(f"GRAFT_GPU_GROUPS={os.environ['GRAFT_GPU_GROUPS']}: expected SPOT_GROUP,ON_DEMAND_GROUP")
    autoscaling = boto3.client("autoscaling")
    while True:
        try:
            look(api, autoscaling, names, datetime.now().astimezone())
        except (OSError, LookupError, BotoCoreError, ClientError) as error:
            print(f"{type(error).__name__}: {error}. Next try in {LOOK_S} s", file=sys.stderr, flush=True)
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()
