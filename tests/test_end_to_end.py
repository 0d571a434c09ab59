"""The whole line in a copy of the project, on a small set: what runs, what does not, and what comes out."""

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from photographs import real_data, real_weights

from benchmarks import browser
from benchmarks.scratch import Project
from pipeline.hardware import fastest_engine

STAGES = ["validate", "split", "extract", "transfer", "choose", "finetune", "export", "evaluate"]


def ran(output: str) -> list[str]:
    """The stages that DVC ran, but for the one that it always runs."""
    return [name for name in re.findall(r"Running stage '(\w+)'", output) if name != "code"]


def test_the_flow_runs_the_stages_in_the_order_of_the_graph_then_gate_and_publish(project):
    assert ran(project.flow.stdout + project.flow.stderr) == STAGES
    rows = [line.split() for line in project.flow.stdout.splitlines()]
    assert [row[0] for row in rows if len(row) > 1 and row[1] == "ran"] == STAGES
    assert "gate       PROMOTE: the first model" in project.flow.stdout
    assert "View at" not in project.flow.stdout + project.flow.stderr        # the server has no pages
    assert (project.folder / "registry/models/tiny/versions").is_dir()


@pytest.mark.parametrize("stage", ["extract", "export"])
def test_a_stage_that_trains_nothing_runs_on_openvino_where_it_is_fastest_and_without_tensorflow(project, stage):
    code, part = (json.loads((project.folder / f"outputs/{name}").read_text())
                  for name in ("code/code.json", "extract/backbone.json"))
    assert part["engine"] == code["engine"] == fastest_engine()
    if part["engine"] == "keras":
        pytest.skip("OpenVINO is not installed, or there is a GPU")
    assert code[stage]["openvino"] == version("openvino")
    program = (f"import runpy, sys; runpy.run_module('tasks.{stage}', run_name='__main__'); "
               "print('tensorflow' in sys.modules)")
    before = {file: file.read_bytes() for file in (project.folder / f"outputs/{stage}").iterdir()}
    assert project.run("python", "-c", program).stdout.splitlines()[-1] == "False"
    assert {file: file.read_bytes() for file in before} == before


def test_prefects_server_ends_with_the_process_that_started_it(project):
    program = ("from flows import embedded\nfrom prefect import get_client\nserver = embedded.start()\n"
               "with server.settings(), get_client(sync_client=True) as client:\n"
               "    print(client.api_version(), client.api_url)")
    found, address = project.run("python", "-c", program).stdout.split()
    assert found == version("prefect")
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)


def test_prefects_server_ends_with_a_run_that_was_killed(project):
    program = ("import os, signal\nfrom flows import embedded\nserver = embedded.start()\nwith server.settings():\n"
               "    print(server.api, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)")
    address = project.run("python", "-c", program, check=False).stdout.strip()      # read until the server ends, too
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)


def test_nothing_changed_means_nothing_runs(project):
    again = project.run("dvc", "repro", "evaluate")
    assert ran(again.stdout) == []


def test_the_pulled_model_predicts_without_the_pipeline(project):
    images = sorted(map(str, (project.folder / "data/tiny/4").iterdir()))
    code = f"""
import sys
for name in ("tensorflow", "keras", "prefect", "dvc", "pandas"):
    sys.modules[name] = None            # an import of it fails
from graft.cli.main import main
main(["predict", *{images!r}, "--model", "tiny", "--json", "--top", "all"])
"""
    rows = [json.loads(line) for line in project.run("python", "-c", code).stdout.splitlines()]
    assert len(rows) == 40
    for row in rows:
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert set(row["probabilities"]) == {"1", "4", "7"}


def test_a_changed_learning_rate_reruns_finetune_and_what_follows(project):
    lock = (project.folder / "dvc.lock").read_bytes()
    project.change({"finetune.learning_rate": 0.002})
    assert ran(project.run("dvc", "repro", "finetune").stdout) == ["choose", "finetune"]
    assert set(json.loads(project.run("dvc", "status", "--json").stdout)) >= {"export", "evaluate"}
    project.change({"finetune.learning_rate": 0.001})
    assert ran(project.run("dvc", "repro", "evaluate").stdout) == []        # from the run-cache
    assert (project.folder / "dvc.lock").read_bytes() == lock


def test_a_forced_rerun_of_every_stage_leaves_the_same_bytes(project):
    lock = (project.folder / "dvc.lock").read_bytes()
    shutil.rmtree(project.folder / ".graft/activations")
    assert ran(project.run("dvc", "repro", "--force", "evaluate").stdout) == STAGES
    assert (project.folder / "dvc.lock").read_bytes() == lock


def tested(project) -> int:
    """The number of test images."""
    return sum(",test" in line for line in (project.folder / "outputs/split/splits.csv").read_text().splitlines())


def test_metrics_can_be_read_by_dvc_and_say_what_they_rest_on(project):
    accuracy = json.loads((project.folder / "outputs/evaluate/metrics.json").read_text())["accuracy"]
    assert accuracy["images"] == tested(project)
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    heading, row = project.run("dvc", "metrics", "show").stdout.splitlines()
    assert heading.split() == ["Path", "accuracy", "accuracy_low", "balanced_accuracy", "images", "log_loss"]
    assert row.split()[:2] == ["outputs/evaluate/summary.json", f"{round(accuracy['value'], 5)}"] and len(row) < 120


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium here: apt-get install chromium")
def test_dvcs_page_of_plots_needs_no_other_host(project):
    """DVC's own page loads Vega from the internet; a browser without one shows ours."""
    project.run("dvc", "plots", "show")
    page = project.folder / "dvc_plots/index.html"
    assert "<script src" not in page.read_text() and "<link" not in page.read_text()
    with browser.tab() as tab:
        tab.open(page.as_uri(), 1280, 900)
        headings, cells, lines = (tab.run(f"[...document.querySelectorAll('{what}')].map(each => each.textContent)")
                                  for what in ("h2", "td", "svg path[d^=M]"))
    assert {"confusion", "roc", "precision recall"} <= set(headings)
    assert len(cells) == 9 and sum(map(int, filter(str.isdigit, cells))) == tested(project) and len(lines) >= 4


def test_real_photographs_are_told_apart(tmp_path):
    """80 cats and 80 dogs with real ImageNet weights: at least 8 in 10 of unseen ones are right."""
    project = Project(tmp_path, **{
        "data.images": "data/pets", "extract.views": 1, "extract.backbone.image_size": [128, 128], "finetune.epochs": 0,
        "extract.backbone.cut": "block_12_add",
        "extract.backbone.weights": str(real_weights(
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5")),
    })
    for label in ("cat", "dog"):
        folder = tmp_path / "data/pets" / label
        folder.mkdir(parents=True)
        for image in sorted(Path(real_data("cats_dogs"), label).iterdir())[:80]:
            shutil.copy(image, folder)
    assert ran(project.run("dvc", "repro", "evaluate").stdout) == STAGES
    assert json.loads((tmp_path / "outputs/evaluate/metrics.json").read_text())["accuracy"]["value"] >= 0.8
