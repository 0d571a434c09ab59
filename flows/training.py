"""The flow `training`: the stages of dvc.yaml in DVC's own order, then the gate, then publishing.

    python -m flows.training                run it here and now
    python -m flows.training --no-publish   stop before the gate
    python -m flows.training --refresh      first fetch the newest version of data that were imported by DVC

params.yaml says *what* is made; the flow's parameters say *whether* to refresh and to publish; the environment says
*where* (GRAFT_REGISTRY, GRAFT_GPU_DEPLOYMENT, PREFECT_API_URL, AWS's own variables).
"""

import argparse
import time

from prefect import flow, get_run_logger
from prefect.events import emit_event

from flows import handover, preflight, show, workspace
from flows.dvc import Dvc
from flows.stages import StageRun, plain_task, run_stage, without_traceback
from graft.errors import reported


@flow(name="training", persist_result=False)
@without_traceback
def training(refresh: bool = False, publish: bool = True) -> dict:
    """Bring the model up to date, and publish it if it is new and the gate lets it pass.

    Args:
        refresh: first update the data that `dvc import` or `dvc import-url` brought.
        publish: run the gate and publish; without it the flow ends after the last stage.

    Returns:
        stages (name, outcome, seconds), verdict and address of the published version, as far as they came about.
    """
    preflight.check()
    with Dvc() as dvc:
        workspace.prepare(dvc)
        if refresh:
            refresh_data(dvc)
        has_remote = dvc.remote() is not None
        runs = run_stages(dvc, has_remote)
        show.stages(runs)
        show.evaluation()
        if has_remote:                      # before anything points to them
            push_results(dvc)
    result = {"stages": [vars(run) for run in runs]}
    return {**result, **decide_and_publish({run.stage: run.seconds for run in runs})} if publish else result


def run_stages(dvc: Dvc, has_remote: bool) -> list[StageRun]:
    """Every stage, in order; those that want a GPU are handed over where that is set up."""
    plan = dvc.plan()
    progress = show.Progress(len(plan))
    for stage in plan:
        if names := handover.names_from(stage, plan):
            handover.hand_over(names, dvc)
        progress.add(run_stage(stage, dvc, has_remote))
    return progress.runs


@plain_task(task_run_name="refresh")
def refresh_data(dvc: Dvc) -> None:
    """`dvc update` for each import below data/."""
    imports = preflight.imported_data()
    if imports:
        dvc.run("update", *imports, tell=get_run_logger().info)
    else:
        get_run_logger().info("no data were imported by DVC: there is nothing to refresh")


@plain_task(task_run_name="push")
def push_results(dvc: Dvc) -> None:
    """Data, outputs and run-cache to the DVC remote: another machine restores them and trains nothing."""
    dvc.run("push", "--run-cache", tell=get_run_logger().info)


@plain_task(task_run_name="gate")
def run_gate(champion) -> dict:
    """The verdict on the model that was just evaluated, see `tasks.gate`.

    Args:
        champion: a `graft.registry.Pulled`, or None when no version was ever promoted.
    """
    from tasks import gate

    report = gate.run(champion)
    show.gate(report)
    get_run_logger().info("%s: %s", report["verdict"], "; ".join(report["reasons"]))
    return report


@plain_task(task_run_name="publish", log_prints=True)
def run_publish(gate: dict, seconds: dict[str, float]) -> str | None:
    """The address of the published version; None when the gate rejected it."""
    from tasks import publish

    published = publish.run(gate, seconds)
    get_run_logger().info(f"published {published.address}" if published else "nothing is published")
    if published is None:
        return None
    show.published(published)
    if published.is_new:
        tell("model.published", published, gate)
    if gate["verdict"] == "PROMOTE" and is_champion(published):
        tell("model.promoted", published, gate)
    return published.address


def is_champion(published) -> bool:
    """The trainer's role may publish without being allowed to promote."""
    from graft.registry import log
    from graft.registry.address import CHAMPION
    from graft.store import open_store

    store = open_store(published.registry)
    return log.head(store, published.name).version_of(CHAMPION) == published.version


def tell(event: str, published, gate: dict) -> None:
    """An event for Prefect's automations; its resource is the model, so that they can tell models apart."""
    resource = {"prefect.resource.id": f"graft.model.{published.name}", "prefect.resource.name": published.name}
    emit_event(event, resource, payload={"version": published.version, "address": published.address,
                                         "verdict": gate["verdict"], "reasons": gate["reasons"]})


def decide_and_publish(seconds: dict[str, float]) -> dict:
    """The last three steps."""
    champion = compare_data()
    report = run_gate(champion)
    return {"verdict": report["verdict"], "reasons": report["reasons"], "published": run_publish(report, seconds)}


@plain_task(task_run_name="compare")
def compare_data():
    """This run's images beside the champion's: which are new, gone, relabelled, before the gate judges.

    Returns:
        The champion, as `tasks.gate.pull_champion` gives it.
    """
    from pipeline.intake.comparison import as_text, compare, read_images
    from tasks import artifacts, gate, publish
    from tasks.params import read_params

    champion = gate.pull_champion(read_params("publish", publish.PublishParams).name)
    if champion is None:
        get_run_logger().info("no version was promoted before: there are no other images to compare with")
        return None
    text = as_text(compare(read_images(champion.folder), read_images(artifacts.IMAGES)))
    get_run_logger().info("images of version %s and of this run:\n%s", champion.version, text)
    show.images(champion.version, text)
    return champion


def summary(result: dict, seconds: float) -> str:
    """What a person wants to read at the end of a run."""
    lines = [f"{'stage':<10} {'':<10} {'seconds':>8}"]
    lines += [f"{run['stage']:<10} {run['outcome']:<10} {run['seconds']:>8.1f}" for run in result["stages"]]
    lines += [f"{'whole run':<21} {seconds:>8.1f}", ""]
    if "verdict" in result:
        lines += [f"gate       {result['verdict']}: " + "; ".join(result["reasons"])]
        lines += [f"published  {result['published'] or 'nothing'}"]
    return "\n".join([*lines, "report     outputs/evaluate/report.html"])


def run(**parameters) -> dict:
    """The flow here and now. It checks again what is checked here, where a mistake costs no start of a server."""
    preflight.check()
    preflight.check_server()
    return training(**parameters)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.training", description="Run the training flow here and now.")
    parser.add_argument("--refresh", action="store_true", help="first fetch the newest version of imported data")
    parser.add_argument("--no-publish", dest="publish", action="store_false", help="stop before the gate")
    arguments = parser.parse_args()
    began = time.monotonic()
    result = run(**vars(arguments))
    print(summary(result, time.monotonic() - began))


if __name__ == "__main__":
    with reported():
        main()
