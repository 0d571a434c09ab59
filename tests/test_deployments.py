"""prefect.yaml against a real server and worker: what is deployed, that it is so twice, that the clock makes runs, and
that a run works in a clone of its own. The project has two models: the folder of the second one has its own test.
"""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest
from prefect_server import wait_for

from benchmarks.scratch import TINY, Project, write_some_digits
from pipeline.code import ROOT

OTHER = "models/other"      # the folder of the second model


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def two_models(project, tmp_path_factory) -> Path:
    """The small project, trained once, with a second model, which DVC has trained, too."""
    folder = tmp_path_factory.mktemp("deployed") / "checkout"
    shutil.copytree(project.folder, folder, symlinks=True)
    write_some_digits(folder / "data/other", "23", images=30, size_px=32)
    for name in ("registry", ".prefect"):
        shutil.rmtree(folder / name)
    run(folder, "dvc", "add", "--quiet", "data/tiny")
    run(folder, "python", "-m", "flows.start", "data/other", "--weights", "starter", "--model", "other")
    quick = {key: value for key, value in TINY.items() if not key.endswith((".images", ".name"))}
    Project.change(SimpleNamespace(folder=folder / OTHER), quick | {"finetune.epochs": 0})
    run(folder / OTHER, "dvc", "repro", "--quiet", "evaluate")
    return folder


@pytest.fixture(scope="module")
def checkout(two_models, prefect_server) -> Path:
    """The project of two models, committed, pushed and deployed."""
    folder = two_models
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Begin")
    git(folder.parent, "clone", "--quiet", "--bare", str(folder), "remote.git")
    git(folder, "remote", "add", "origin", str(folder.parent / "remote.git"))
    git(folder, "fetch", "--quiet", "origin")
    prefect_server.create_pool("default")
    prefect_server.prefect(folder, "deploy", "--all")
    return folder


def run(folder: Path, *command: str) -> str:
    """The output of a command in a folder of the project of two models."""
    project = next(each for each in (folder, *folder.parents) if (each / ".dvc").exists())
    environment = Project.environment(SimpleNamespace(folder=project))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_second_model_is_trained_and_kept_apart_by_dvc_and_the_flow_alike(two_models):
    """Every command works on the model of its folder: what DVC made there, the flow finds done, and publishes."""
    locks = {path: path.read_bytes() for path in (two_models / "dvc.lock", two_models / OTHER / "dvc.lock")}
    assert len(set(locks.values())) == 2
    said = run(two_models / OTHER, "python", "-m", "flows.training")
    stages = [line.split()[1] for line in said.splitlines() if re.match(r"\w+ +(ran|restored|unchanged) ", line)]
    assert stages == ["unchanged"] * 8 and "published  " in said and "registry/other@1" in said
    assert "Running stage 'validate'" not in run(two_models, "dvc", "repro", "evaluate")
    assert {path: path.read_bytes() for path in locks} == locks
    run(two_models, "python", "-m", "tasks.gate")
    run(two_models, "python", "-m", "tasks.publish")
    assert all(re.search(rf"^{name}@1 ", run(two_models / OTHER, "graft", "list"), re.M) for name in ("tiny", "other"))
    assert "2 " in run(two_models / OTHER, "graft", "compare", "other@champion", "outputs")
    assert "60 images before, 60 now" in run(two_models / OTHER, "python", "-m", "tasks.compare", "other@champion",
                                             "outputs/validate")
    classes = [(two_models / folder / "outputs/evaluate/classes.csv").read_text() for folder in (".", OTHER)]
    assert [re.findall(r"^\d", text, re.M) for text in classes] == [["1", "4", "7"], ["2", "3"]]
    shutil.rmtree(two_models / "registry")


def deployments(server) -> dict:
    found = server.ask("deployments/filter", {"flows": {"name": {"any_": ["training"]}}})
    return {each["name"]: each for each in found if each["work_pool_name"] == "default"}


def test_there_is_training_on_demand_and_retraining_by_the_clock(checkout, prefect_server):
    found = deployments(prefect_server)
    assert set(found) == {"training", "retraining"}
    assert found["training"]["schedules"] == []
    clocks = {each["slug"]: (each["schedule"]["cron"], each["parameters"]) for each in found["retraining"]["schedules"]}
    assert clocks == {"project": ("0 3 * * 1", {}), "other": ("0 3 * * 1", {"folder": OTHER})}
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
    assert {run["parameters"].get("folder", ".") for run in runs} == {".", OTHER}


def test_a_parameter_that_is_wrong_is_refused_before_a_run_exists(checkout, prefect_server):
    with pytest.raises(HTTPError) as caught:
        prefect_server.start("training/training", publish="perhaps")
    assert caught.value.code == 409
    with pytest.raises(RuntimeError, match="pubish"):
        prefect_server.prefect(checkout, "deployment", "run", "training/training", "--param", "pubish=true")


def test_runs_at_once_work_in_clones_of_their_own_and_publish_one_version_of_each_model(checkout, prefect_server):
    """All restore every stage from the cache that they share, as a run on a second machine does from the remote."""
    (checkout / "params.yaml").write_text("what is not committed is not run")
    began = datetime.now(UTC).isoformat()
    with prefect_server.worker("default", GRAFT_SHARED=str(checkout), GRAFT_REGISTRY="registry",
                                GRAFT_REPORTS="http://127.0.0.1:8000/"):
        newest = {"data_commit": git(checkout, "rev-parse", "HEAD"), "reason": "new data: 2 files"}
        runs = [prefect_server.start("training/training", **of) for of in ({}, {}, {"folder": OTHER} | newest)]
        ended = [prefect_server.wait_for_end(run) for run in runs]
        assert [run["state_type"] for run in ended] == ["COMPLETED"] * 3
        logs = [partial(prefect_server.log, run) for run in runs]
        wait_for(lambda: all(log().count("is cached - skipping run") == 8 for log in logs))     # the last come late
        assert not any("Running stage" in log() for log in logs)
    for name in ("tiny", "other"):
        assert len(list((checkout / f"registry/models/{name}/versions").iterdir())) == 1
        assert len(list((checkout / f"registry/models/{name}/log").iterdir())) == 1

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
    assert "new data: 2 files" in prefect_server.artifacts(runs[2])["other-reason"]["data"]

    def told(event: str) -> int:
        wanted = {"occurred": {"since": began}, "event": {"name": [event]}}
        return prefect_server.ask("events/filter", {"filter": wanted})["total"]

    wait_for(lambda: told("model.promoted") == told("model.published") == 2)     # events come late
