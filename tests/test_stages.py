"""Stages as Prefect tasks, on a light pipeline and a real server."""

import fcntl
import os
import subprocess
import sys

import httpx
import pytest
from test_workspace import git

from benchmarks.processes import free_port, wait_for
from benchmarks.scratch import Project
from flows import embedded, training
from graft.errors import GraftError
from pipeline.code import ROOT

PIPELINE = """
stages:
  first: {cmd: "cat reason.txt >&2; exit 2", outs: [one.txt]}
  evaluate: {cmd: touch two.txt, deps: [params.yaml], outs: [two.txt]}
"""
NO_WAY_OUT = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
FLOW = """
from prefect import flow
from flows import training
from flows.dvc import Dvc
from flows.stages import run_stage, without_traceback

@flow(name="training")
@without_traceback
def run():
    with Dvc() as dvc:
        for stage in ("first", "evaluate"):
            run_stage(stage, dvc, False)

run()
"""


def test_a_stage_that_fails_ends_the_flow_and_its_reason_is_told_without_a_traceback(tmp_path, prefect_server):
    project = Project(tmp_path / "checkout")
    (project.folder / "dvc.yaml").write_text(PIPELINE)
    (project.folder / "reason.txt").write_text("error: params.yaml: x is wrong\n       and y\n")
    git(project.folder, "add", "--all")
    environment = {**prefect_server.environment, "PYTHONPATH": str(project.folder), **NO_WAY_OUT}
    done = subprocess.run([sys.executable, "-c", FLOW], cwd=project.folder, env=environment, capture_output=True,
                          text=True)
    assert done.returncode == 1
    assert not (project.folder / "two.txt").exists()
    [run] = prefect_server.ask("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}, "limit": 1,
                                                    "sort": "START_TIME_DESC"})
    assert run["state"]["message"] == "the stage first failed: params.yaml: x is wrong\n       and y"
    log = prefect_server.log(run["id"])
    assert "Running stage 'first'" in log and "Finished in state Failed()" in log
    assert "x is wrong" not in log and "Traceback" not in log
    assert (done.stdout + done.stderr).count("x is wrong") == 1


def test_a_server_that_does_not_answer_is_one_message(tmp_path):
    project = Project(tmp_path)
    done = project.run("python", "-m", "flows.training", check=False, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "no Prefect server answers at http://127.0.0.1:9/api" in done.stderr


def test_params_that_are_edited_while_a_run_goes_are_not_published(tmp_path, monkeypatch):
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = training.read_sections()
    (tmp_path / "params.yaml").write_text((tmp_path / "params.yaml").read_text() + "# a comment\n")
    training.refuse_other_params(before)
    project.change({"finetune.learning_rate": 0.5})
    with pytest.raises(GraftError, match="params.yaml: finetune: changed while the run was going"):
        training.refuse_other_params(before)


def test_a_database_that_prefect_cannot_use_is_named(tmp_path):
    project = Project(tmp_path)
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect/prefect.db").write_text("of another program")
    done = project.run("python", "-m", "flows.training", check=False)
    assert done.returncode == 2 and f"its database {tmp_path}/.prefect/prefect.db is damaged" in done.stderr


def test_a_server_waits_until_another_one_has_made_the_database(tmp_path):
    """As of two models' first runs at once: each would create the same tables, and one would end."""
    environment = os.environ | embedded.AS_PREFECT | {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": ""}
    server = subprocess.Popen([sys.executable, "-P", ROOT / "flows/embedded_server.py"], stdin=subprocess.PIPE,
                              text=True, env=environment)
    port = free_port()

    def waits() -> bool:
        return any("-> FLOCK" in line and f" {server.pid} " in line for line in open("/proc/locks"))

    with httpx.Client(trust_env=False) as client, open(tmp_path / "start.lock", "w") as other:
        def answers() -> bool:
            return embedded._answers(client, f"http://127.0.0.1:{port}/api/health")

        fcntl.flock(other, fcntl.LOCK_EX)
        print(port, file=server.stdin, flush=True)
        wait_for(lambda: waits() or answers())
        assert not answers()
        fcntl.flock(other, fcntl.LOCK_UN)
        wait_for(answers)
    server.communicate()                # the end of its input ends it
