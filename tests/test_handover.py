"""Stages that want a GPU, run by another worker with a folder of its own: only the remote lies between the two.

They are those of a model in a folder of its own: it is the harder case.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prefect_server import SERVICES
from test_workspace import git

from benchmarks.scratch import Project
from flows import handover
from pipeline.code import ROOT

PIPELINE = """
stages:
  prepare: {cmd: 'cp ${data.images}/one.txt . && echo prepare >> $RAN', deps: ['${data.images}'], outs: [one.txt]}
  train: {cmd: cp one.txt two.txt && echo train >> $RAN, deps: [one.txt], outs: [two.txt], meta: {gpu: true}}
  tune: {cmd: cp two.txt three.txt && echo tune >> $RAN, deps: [two.txt], outs: [three.txt], meta: {gpu: true}}
  evaluate: {cmd: cp three.txt four.txt && echo evaluate >> $RAN, deps: [three.txt], outs: [four.txt]}
"""
PARENT = """
from prefect import flow
from flows import training
from flows.dvc import Dvc

@flow(name="parent")
def parent():
    with Dvc() as dvc:
        print(*[(run.stage, run.outcome) for run in training.run_stages(dvc, True)], sep="\\n")

parent()
"""
MODEL = "models/pets"


@pytest.fixture
def repository(tmp_path) -> Path:
    """The project's code with a light pipeline, its data and a DVC remote; committed."""
    project = Project(tmp_path / "checkout")
    (project.folder / MODEL).mkdir(parents=True)
    (project.folder / MODEL / "dvc.yaml").write_text(PIPELINE)
    (project.folder / MODEL / "params.yaml").write_text("data: {images: ../../data/pets}\npublish: {name: pets}\n")
    (project.folder / "data/pets").mkdir(parents=True)
    (project.folder / "data/pets/one.txt").write_text("a cat")
    project.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    project.run("dvc", "add", "data/pets")
    git(project.folder, "add", "--all")
    git(project.folder, "commit", "--quiet", "--message", "Begin")
    return project.folder


def test_stages_follow_one_another_to_the_gpu(repository, monkeypatch):
    monkeypatch.chdir(repository / MODEL)
    plan = ["prepare", "train", "tune", "evaluate"]
    assert handover.names_from("train", plan) == []
    monkeypatch.setenv("GRAFT_GPU_DEPLOYMENT", "stages/gpu")
    assert [handover.names_from(stage, plan) for stage in plan] == [[], ["train", "tune"], ["tune"], []]


def test_gpu_stages_run_on_the_gpu_pool_and_only_once(repository, prefect_server, tmp_path):
    assert SERVICES["gpu-worker"]["command"][3:7] == ["--pool", "gpu", "--type", "process"]
    prefect_server.create_pool("gpu")
    prefect_server.prefect(repository, "deploy", "--all", "--prefect-file", "infra/gpu.yaml")
    everything = {**prefect_server.environment, "PYTHONPATH": str(repository), "GRAFT_GPU_DEPLOYMENT": "stages/gpu",
                  "RAN": str(tmp_path / "cpu.txt")}

    def parent() -> str:
        done = subprocess.run([sys.executable, "-c", PARENT], cwd=repository / MODEL, env=everything,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "store/checkpoints/train").mkdir(parents=True)
    (tmp_path / "store/checkpoints/train/abc.npz").write_text("of a host that was lost")
    with prefect_server.worker("gpu", GRAFT_SHARED=str(tmp_path / "gpu"), RAN=str(tmp_path / "gpu.txt")):
        said = parent()
    assert "('prepare', 'ran')\n('train', 'restored')\n('tune', 'restored')\n('evaluate', 'ran')" in said
    assert (tmp_path / "cpu.txt").read_text().split() == ["prepare", "evaluate"]
    assert (tmp_path / "gpu.txt").read_text().split() == ["train", "tune"]
    assert (tmp_path / "gpu/.graft/train/abc.npz").exists(), "the worker keeps checkpoints for the run after a kill"
    assert (repository / MODEL / "four.txt").read_text() == "a cat"

    (repository / MODEL / "dvc.lock").unlink()  # no worker runs now: what is in the run-cache is not asked for again
    shutil.rmtree(repository / ".dvc/cache")
    for name in ("one", "two", "three", "four"):
        (repository / MODEL / f"{name}.txt").unlink()
    subprocess.run(["dvc", "pull", "--quiet", "data/pets"], cwd=repository, env=everything, check=True)
    assert parent().count("'restored'") == 3


NOWHERE = """
from flows import handover
from graft.errors import GraftError

for name in ("stages/nowhere", "gpu"):
    try:
        handover._run(name, {"names": ["train"]})
    except GraftError as error:
        print(error)
"""


def test_a_deployment_that_nobody_has_made_is_one_message(prefect_server):
    done = subprocess.run([sys.executable, "-c", NOWHERE], cwd=ROOT, capture_output=True, text=True,
                          env={**prefect_server.environment, "PYTHONPATH": str(ROOT)})
    said = [line.partition(": there is no such deployment")[0] for line in done.stdout.splitlines()]
    assert said == [f"GRAFT_GPU_DEPLOYMENT is '{name}'" for name in ("stages/nowhere", "gpu")], done.stderr
