"""The flow `training`: the stages of dvc.yaml in DVC's own order, then the gate, then publishing.

    python -m flows.training                run it here and now
    python -m flows.training --no-publish   stop before the gate
    python -m flows.training --refresh      first update data that DVC imported

params.yaml sets *what* is made, the flow's parameters *whether* to refresh and to publish, and the environment *where*
(GRAFT_REGISTRY, GRAFT_GPU_DEPLOYMENT, PREFECT_API_URL, AWS's own variables).
"""

import argparse
import os
import shlex
import time
from pathlib import Path

from flows import embedded

if __name__ == "__main__":
    embedded.load()             # first of all: it takes longer than all other imports

from prefect import flow, get_run_logger

from flows import handover, model_folder, outcome, preflight, retraining, show, workspace
from flows.dvc import Dvc
from flows.stages import StageRun, plain_task, run_stage, without_traceback
from flows.waiting import Waiting
from graft.errors import LINES, GraftError, printable, reported
from pipeline.intake.comparison import as_text, compare, read_images
from tasks import artifacts
from tasks.params import PARAMS, read_sections
from tasks.repository import project_folder


@flow(name="training", persist_result=False)
@without_traceback
def training(refresh: bool = False, publish: bool = True, folder: str = ".", data_commit: str = "", reason: str = ""):
    """Bring a model up to date, and publish it unless the gate rejects it.

    Args:
        refresh: first update the data that came by `dvc import` or `dvc import-url`.
        publish: run the gate and publish; if false, the flow ends after the last stage.
        folder: of the model, relative to the project, such as models/pets.
        data_commit: of which to take data/*.dvc and the decisions; all else is as deployed. See `flows.new_data`.
        reason: why the run was started, for people.

    Returns:
        A state, see `flows.outcome`, from which Prefect hands a dict to the caller: `stages`, a list of {stage,
        outcome, seconds}. If `publish` is true, also the gate's `verdict` and `reasons`,
        `published`, the version's address or None, and `is_new`, false if the version had been published before.
    """
    with model_folder.entered(folder):
        if reason:
            retraining.show_reason(reason)
        before = read_sections()
        with Dvc() as dvc:
            with Waiting("checks", get_run_logger().info):
                if data_commit:
                    workspace.take_data(data_commit)
                preflight.check()
            runs = bring_up_to_date(dvc, refresh)
        result = {"stages": [vars(run) for run in runs]}
        if publish:
            refuse_other_params(before)
            result |= decide_and_publish({run.stage: run.seconds for run in runs})
        return outcome.ended(show.model_name(), result, artifacts.read_json(artifacts.METRICS)["accuracy"]["value"])


def bring_up_to_date(dvc: Dvc, refresh: bool) -> list[StageRun]:
    """Run every stage, show what came out, and push it if there is a DVC remote."""
    with Waiting("data", get_run_logger().info):
        workspace.prepare(dvc)
        changed = " ".join(map(shlex.quote, workspace.changed_images(dvc)))
    if changed:
        get_run_logger().warning("%s: not as its .dvc file says: git does not know what this run is trained on. If "
                                 "you changed it, run `dvc add %s`; if a newer commit did, `dvc checkout`, then run "
                                 "it again", changed, changed)
    if refresh:
        refresh_data(dvc)
    has_remote = dvc.remote() is not None
    runs = run_stages(dvc, has_remote)
    get_run_logger().info(show.counted(runs))
    show.stages(runs)
    show.evaluation()
    if has_remote:                      # before a published version refers to them
        push_results(dvc)
    return runs


def run_stages(dvc: Dvc, has_remote: bool) -> list[StageRun]:
    """Run every stage in order. Those that need a GPU are handed over if GRAFT_GPU_DEPLOYMENT is set."""
    with Waiting("plan", get_run_logger().info):
        plan = dvc.plan()
    progress = show.Progress(len(plan))
    for stage in plan:
        if names := handover.names_from(stage, plan):
            handover.hand_over(names, dvc)
        progress.add(run_stage(stage, dvc, has_remote))
    return progress.runs


@plain_task(task_run_name="refresh")
def refresh_data(dvc: Dvc) -> None:
    """Run `dvc update` for each import of this model's images."""
    imports = preflight.imported_data()
    if imports:
        with Waiting("refresh", get_run_logger().info) as waiting:
            dvc.run("update", *imports, on_line=waiting.heard)
    else:
        get_run_logger().info("DVC imported no data: nothing to refresh")


@plain_task(task_run_name="push")
def push_results(dvc: Dvc) -> None:
    """Push data, outputs and run-cache to the DVC remote, so that other machines restore instead of training."""
    with Waiting("push", get_run_logger().info) as waiting:
        dvc.run(*workspace.PUSH, on_line=waiting.heard)


def refuse_other_params(before: dict) -> None:
    """Raise `GraftError` if params.yaml has changed since `before`: the version would record what did not make it."""
    now = read_sections()
    if changed := [name for name in before | now if before.get(name) != now.get(name)]:
        raise GraftError(f"{PARAMS}: {', '.join(changed)}: changed while the run was going, so that its stages do not "
                         "all have the same values. Nothing is published. Run it again: what is up to date is kept.")


@plain_task(task_run_name="gate")
def run_gate(champion) -> dict:
    """Judge the model that was just evaluated. Returns the gate's report, see `tasks.gate.judge`.

    Args:
        champion: a `graft.registry.Pulled`, or None if no version was ever promoted.
    """
    from tasks import gate

    report = gate.run(champion)
    show.gate(report)
    get_run_logger().info("%s: %s", report["verdict"], "; ".join(report["reasons"]))
    return report


@plain_task(task_run_name="publish", log_prints=True)
def run_publish(gate: dict, seconds: dict[str, float]):
    """Publish the model, and show the version.

    Args:
        gate: the gate's report, see `tasks.gate.judge`.
        seconds: stage -> its duration in seconds.

    Returns:
        The `graft.registry.Published` version; None if the gate rejected it.
    """
    from tasks import publish

    published, is_promoted = publish.run(gate, seconds)
    get_run_logger().info(publish.outcome(published))
    if published is None:
        return None
    show.published(published)
    told = {"version": published.version, "address": published.address, "verdict": gate["verdict"],
            "reasons": gate["reasons"]}
    if published.is_new:
        outcome.emit("model.published", published.name, told)
    if is_promoted:
        outcome.emit("model.promoted", published.name, told)
    return published


def decide_and_publish(seconds: dict[str, float]) -> dict:
    """Compare the images, run the gate and publish. Returns the part of the result that `training` describes."""
    report = run_gate(compare_data())
    published = run_publish(report, seconds)
    return {"verdict": report["verdict"], "reasons": report["reasons"],
            "published": published and published.address, "is_new": published is not None and published.is_new}


@plain_task(task_run_name="compare")
def compare_data():
    """Show which images are new, gone or relabelled since the champion. Returns it, see `tasks.gate.pull_champion`."""
    from tasks import gate

    champion = gate.pull_champion(show.model_name())
    if champion is None:
        get_run_logger().info("no version was ever promoted: no images to compare with")
        return None
    text = as_text(compare(read_images(champion.folder), read_images(artifacts.IMAGES)), show.quoted)
    get_run_logger().info("the images of version %s compared with this run's:\n%s", champion.version, text)
    show.images(champion.version, text)
    return champion


def summary(result: dict, seconds: float) -> str:
    """A run's results as text: its stages, the verdict and the version. `seconds` is the duration of the run."""
    lines = [f"{'stage':<10} {'':<10} {'seconds':>8}"]
    lines += [f"{run['stage']:<10} {run['outcome']:<10} {run['seconds']:>8.1f}" for run in result["stages"]]
    lines += [f"{'whole run':<21} {seconds:>8.1f}", ""]
    if "verdict" in result:
        lines += [f"gate       {result['verdict']}: " + "; ".join(result["reasons"])]
        before = "" if result["is_new"] or not result["published"] else ", before this run"
        lines += [f"published  {result['published'] or 'nothing'}{before}"]
    return "\n".join([*lines, f"report     {artifacts.JUDGED_REPORT if 'verdict' in result else artifacts.REPORT}"])


def run(**parameters) -> dict:
    """Run the flow here and now for the model of this folder.

    A check before it reports all mistakes while Prefect's server starts.
    """
    print("checking params.yaml, images, registry and Prefect's server", flush=True)
    server = embedded.start()
    Dvc.load()
    with Waiting("checks", print):
        preflight.check_all(publish=parameters.get("publish", True))
    with Waiting("Prefect's server", print):
        settings = server.settings()
    with settings:
        return training(**parameters, folder=os.path.relpath(Path.cwd(), project_folder()))


def main() -> None:
    """Run the flow and print its summary."""
    parser = argparse.ArgumentParser(prog="python -m flows.training", description="Run the training flow here and now.")
    parser.add_argument("--refresh", action="store_true", help="first update data that DVC imported")
    parser.add_argument("--no-publish", dest="publish", action="store_false", help="stop before the gate")
    arguments = parser.parse_args()
    began = time.monotonic()
    result = run(**vars(arguments))
    print(printable(summary(result, time.monotonic() - began), LINES))


if __name__ == "__main__":
    with reported():
        main()
