"""prefect.yaml against a real server and worker: what is deployed, that it is so twice, that the clock makes runs, and
that a run works in a clone of its own.
"""

import json
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from urllib.error import HTTPError

import pytest
from prefect_server import wait_for

from pipeline.code import ROOT


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def checkout(project, prefect_server, tmp_path_factory) -> Path:
    """The small project, trained once, its data tracked, committed, pushed and deployed."""
    folder = tmp_path_factory.mktemp("deployed") / "checkout"
    shutil.copytree(project.folder, folder, symlinks=True)
    for name in ("registry", ".prefect"):
        shutil.rmtree(folder / name)
    subprocess.run(["dvc", "add", "--quiet", "data/tiny"], cwd=folder, check=True, env=project.environment())
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Begin")
    git(folder.parent, "clone", "--quiet", "--bare", str(folder), "remote.git")
    git(folder, "remote", "add", "origin", str(folder.parent / "remote.git"))
    git(folder, "fetch", "--quiet", "origin")
    prefect_server.create_pool("default")
    prefect_server.prefect(folder, "deploy", "--all")
    return folder


def deployments(server) -> dict:
    found = server.ask("deployments/filter", {"flows": {"name": {"any_": ["training"]}}})
    return {each["name"]: each for each in found if each["work_pool_name"] == "default"}


def test_there_is_training_on_demand_and_retraining_by_the_clock(checkout, prefect_server):
    found = deployments(prefect_server)
    assert set(found) == {"training", "retraining"}
    assert found["training"]["schedules"] == []
    assert [each["schedule"]["cron"] for each in found["retraining"]["schedules"]] == ["0 3 * * 1"]
    assert found["training"]["parameters"] == {"refresh": False, "publish": True}
    assert found["retraining"]["parameters"] == {"refresh": True, "publish": True}
    assert not any(each["concurrency_limit"] for each in found.values())        # it would kill long runs


def test_what_is_deployed_is_a_commit_of_the_remote_and_nothing_of_this_machine(checkout, prefect_server):
    for found in deployments(prefect_server).values():
        [[step, asked]] = found["pull_steps"][0].items()
        assert step == "prefect.deployments.steps.git_clone"
        assert asked["repository"] == str(checkout.parent / "remote.git")
        assert asked["commit_sha"] == git(checkout, "rev-parse", "HEAD")
        assert str(checkout) not in json.dumps(found) and str(ROOT) not in json.dumps(found)


def test_deploying_again_changes_nothing(checkout, prefect_server):
    def settled():
        kept = ("id", "name", "entrypoint", "parameters", "pull_steps", "work_pool_name", "job_variables")
        return {name: ({key: each[key] for key in kept}, [clock["schedule"] for clock in each["schedules"]])
                for name, each in deployments(prefect_server).items()}

    before = settled()
    prefect_server.prefect(checkout, "deploy", "--all")
    assert settled() == before


def test_the_clock_makes_runs(checkout, prefect_server):
    """With a newer SQLAlchemy than the pinned one the scheduler makes none, and only logs an error."""
    wanted = {"deployments": {"id": {"any_": [deployments(prefect_server)["retraining"]["id"]]}}}
    wait_for(lambda: prefect_server.ask("flow_runs/filter", wanted))
    runs = prefect_server.ask("flow_runs/filter", wanted)
    assert all(re.match(r"\d{4}-\d\d-\d\dT03:00", run["expected_start_time"]) for run in runs)


def test_a_parameter_that_is_wrong_is_refused_before_a_run_exists(checkout, prefect_server):
    with pytest.raises(HTTPError) as caught:
        prefect_server.start("training/training", publish="perhaps")
    assert caught.value.code == 409
    with pytest.raises(RuntimeError, match="pubish"):
        prefect_server.prefect(checkout, "deployment", "run", "training/training", "--param", "pubish=true")


def test_two_runs_at_once_work_in_clones_of_their_own_and_publish_one_version(checkout, prefect_server):
    """Both restore every stage from the cache that they share, as a run on a second machine does from the remote."""
    (checkout / "params.yaml").write_text("what is not committed is not run")
    with prefect_server.worker("default", GRAFT_SHARED=str(checkout), GRAFT_REGISTRY="registry",
                               GRAFT_REPORTS="http://127.0.0.1:8000/"):
        runs = [prefect_server.start("training/training") for _ in range(2)]
        ended = [prefect_server.wait_for_end(run) for run in runs]
        assert [run["state_type"] for run in ended] == ["COMPLETED", "COMPLETED"]
        logs = [partial(prefect_server.log, run) for run in runs]
        wait_for(lambda: all(log().count("is cached - skipping run") == 8 for log in logs))     # the last come late
        assert not any("Running stage" in log() for log in logs)
    versions = checkout / "registry/models/tiny/versions"
    assert [path.name for path in versions.iterdir()] == ["1"] or len(list(versions.iterdir())) == 1
    assert not (checkout / "registry/models/tiny/log").joinpath("2.json").exists()

    shown = prefect_server.artifacts(runs[0])
    assert {f"tiny-{key}" for key in ("progress", "stages", "validate", "finetune", "evaluation", "gate", "version",
                                      "report")} <= set(shown)
    assert float(shown["tiny-progress"]["data"]) == 100
    finetune = shown["tiny-finetune"]["data"].replace("\\", "")      # Markdown's escapes
    assert "## history.csv" in finetune and "val_loss" in finetune
    evaluation = shown["tiny-evaluation"]["data"]
    assert "**May it be used?** Only where" in evaluation and evaluation.count("](data:image/png;base64,") == 2
    assert "(http://127.0.0.1:8000/tiny@1/report.html)" in shown["tiny-report"]["data"]
    assert "file:" not in json.dumps(shown)

    def told(event: str) -> int:
        return prefect_server.ask("events/filter", {"filter": {"event": {"name": [event]}}})["total"]

    wait_for(lambda: told("model.promoted"))
    assert told("model.published") == 1
