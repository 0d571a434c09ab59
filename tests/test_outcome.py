"""Runs are named after what came out, and a verdict is visible in Prefect's list of runs, on a real server."""

import ast
import json
import subprocess
import sys

import pytest
from prefect_server import wait_for

from flows import outcome
from graft.watch.comparison import DRIFTED, FEW, QUIET, STEADY
from pipeline.code import ROOT

PROMOTED = {"verdict": "PROMOTE", "reasons": ["better"], "published": "s3://bucket/models/pets@7", "is_new": True}
HELD = PROMOTED | {"verdict": "HOLD", "reasons": ["too few images"]}
REJECTED = {"verdict": "REJECT", "reasons": ["dog is below its floor"], "published": None, "is_new": False}
KNOWN = HELD | {"is_new": False, "reasons": ["already the champion"]}
NOT_JUDGED: dict = {}
FLOW = """
import json, sys
from flows import outcome
from prefect import flow

@flow(name="training")
def run():
    return outcome.ended("pets", json.loads(sys.argv[1]), 0.9712)

print(json.dumps(run()))
"""


@pytest.mark.parametrize("result, name", [
    (PROMOTED, "pets 7: PROMOTE 97.1%"), (HELD, "pets 7: HOLD 97.1%"), (REJECTED, "pets: REJECT 97.1%"),
    (KNOWN, "pets 7: nothing new"), (NOT_JUDGED, "pets: not judged 97.1%")])
def test_a_run_is_named_after_what_came_out(result, name):
    assert outcome.headline("pets", result, 0.9712) == name


@pytest.mark.parametrize("result, state, tags", [
    (PROMOTED, "Completed", ["PROMOTE", "pets"]), (HELD, "Held", ["HOLD", "pets"]),
    (REJECTED, "Rejected", ["REJECT", "pets"]), (KNOWN, "Completed", ["nothing new", "pets"])],
    ids=["promoted", "held", "rejected", "known"])
def test_the_list_of_runs_shows_the_verdict(prefect_server, result, state, tags):
    done = subprocess.run([sys.executable, "-c", FLOW, json.dumps(result)], cwd=ROOT, capture_output=True, text=True,
                          env={**prefect_server.environment, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == result, "the caller gets the result, not the state"
    name = outcome.headline("pets", result, 0.9712)
    [run] = prefect_server.ask("flow_runs/filter", {"flow_runs": {"name": {"any_": [name]}}})
    assert (run["state_type"], run["state_name"], sorted(run["tags"])) == ("COMPLETED", state, sorted(tags))
    assert run["state"]["message"] == result["reasons"][0]
    wait_for(lambda: told(prefect_server, run) or result is KNOWN)
    assert told(prefect_server, run) == ([] if result is KNOWN else [{"run": name, "reasons": result["reasons"][0]}])


def told(server, run: dict) -> list[dict]:
    """The payloads of the events that tell this run's verdict."""
    found = server.ask("events/filter", {"filter": {"event": {"name": ["model.judged"]}}})["events"]
    return [each["payload"] for each in found if each["payload"]["run"] == run["name"]]


def test_every_state_that_a_flow_ends_in_counts_as_an_end():
    """A run that ends in another one would be marked as crashed ten minutes later: see `flows.automations`."""
    calls = [node for file in (ROOT / "flows").glob("*.py") for node in ast.walk(ast.parse(file.read_text()))
             if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Completed"]
    names = {option.value.value for call in calls for option in call.keywords
             if option.arg == "name" and isinstance(option.value, ast.Constant)}
    verdicts = {verdict.capitalize() for verdict in (DRIFTED, STEADY, FEW, QUIET)}
    assert {"Nothing new", "Unreachable"} <= names and names | verdicts <= set(outcome.ENDINGS)
