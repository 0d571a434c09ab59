"""Hand the stages that need a GPU to another deployment on a GPU host. The two exchange files by the DVC remote.

The first run pushes. The flow `stages` restores the earlier stages from the run-cache, runs its own and pushes. Then
the first run restores those. Each works in its own clone, at the same commit.
"""

import os
import time
from itertools import takewhile
from pathlib import Path
from typing import Annotated

from prefect import flow, get_client, get_run_logger
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling
from pydantic import Field

from flows import checkpoint_mirror, model_folder, show, workspace
from flows.dvc import Dvc
from flows.stages import run_stage, without_traceback
from graft.errors import GraftError
from pipeline.intake.decisions import table_of
from tasks.code import GPU_VARIABLE
from tasks.repository import project_folder

ATTEMPTS = 5                                    # number of hosts to try if hosts are lost
POLL_S = 2

Names = Annotated[list[str], Field(min_length=1)]
DataFiles = dict[Annotated[str, Field(pattern=r"^data/[^.][^\\]*\.(dvc|decisions\.csv)$")], str]


@flow(name="stages", persist_result=False)
@without_traceback
def stages(names: Names, commit: str, data: DataFiles, folder: str = ".") -> None:
    """Run some stages of dvc.yaml and push their outputs, for the flow `training`.

    Args:
        names: stages of dvc.yaml, in order.
        commit: the commit of the run that hands over; this run must have the same.
        data: path -> content of that run's `.dvc` files and decisions: a refresh is not committed.
        folder: of the model, see `flows.model_folder`.
    """
    if commit != workspace.commit():
        raise GraftError(f"the training run has commit {commit}, this deployment has {workspace.commit()}. Deploy both "
                         "again: `prefect deploy --all` with prefect.yaml and with infra/gpu.yaml.")
    for path, text in data.items():
        Path(path).write_text(text, encoding="utf-8")
    with model_folder.entered(folder):
        remote = _prepare()             # first: it makes links of the folders that checkpoints are fetched into
        with checkpoint_mirror.mirrored(remote, get_run_logger().warning), Dvc() as dvc:
            _run_here(names, dvc, remote)


def _run_here(names: list[str], dvc: Dvc, remote: str) -> None:
    """Restore the stages before `names` from the remote, run these, and push each."""
    plan = dvc.plan(names[-1])
    if unknown := set(names) - set(plan):
        raise GraftError(f"dvc.yaml: {names[-1]} needs no such stage: {', '.join(sorted(unknown))}")
    progress = show.Progress(len(plan))
    for name in plan:
        if name not in names and not dvc.restore(name):
            raise GraftError(f"the DVC remote {remote} lacks the outputs of stage {name}: they were not pushed.")
        progress.add(run_stage(name, dvc, pull=True))
        if name in names:
            dvc.run("push", "--run-cache", name, on_line=lambda line: None)


def names_from(stage: str, plan: list[str]) -> list[str]:
    """The stages of `plan` to hand over when `stage` is next: it and the GPU stages after it, or none."""
    if not os.environ.get(GPU_VARIABLE):
        return []
    wanted = workspace.gpu_stages()
    return list(takewhile(lambda name: name in wanted, plan[plan.index(stage):]))


def hand_over(names: list[str], dvc: Dvc) -> None:
    """Let the GPU deployment run these stages, unless the run-cache already has the first.

    Raises:
        GraftError: if they failed there, or their outputs do not match this run's inputs.
    """
    if dvc.restore(names[0]):
        return
    dvc.run(*workspace.PUSH, on_line=get_run_logger().info)
    project, table = project_folder(), table_of(workspace.images_folder())
    data = {os.path.relpath(file, project): Path(file).read_text(encoding="utf-8")
            for file in [*workspace.tracked_images(), *[table] * table.is_file()]}
    asked = {"names": names, "commit": workspace.commit() or "", "data": data,
             "folder": os.path.relpath(Path.cwd(), project)}
    for _ in range(ATTEMPTS):
        state = _run(os.environ[GPU_VARIABLE], asked)
        if not state.is_crashed():
            break
        get_run_logger().warning("the GPU host was lost: %s. Trying again from the last checkpoint", state.message)
    if not state.is_completed():
        raise GraftError(f"{', '.join(names)} on {os.environ[GPU_VARIABLE]}: {state.name}: {state.message}")
    if not dvc.restore(names[0]):
        raise GraftError(f"{', '.join(names)} ran on {os.environ[GPU_VARIABLE]} with other inputs than "
                         "this run has. Commit all changes, and deploy again.")


def _run(deployment: str, parameters: dict):
    """Run a deployment to its end, and cancel it if this run ends first. Returns its final state."""
    try:
        asked = run_deployment(deployment, parameters=parameters, timeout=0)
    except (ObjectNotFound, ValueError):        # ValueError: it has not the form FLOW/NAME
        raise GraftError(f"{GPU_VARIABLE} is '{deployment}': there is no such deployment. Run `prefect deploy --all "
                         "--prefect-file infra/gpu.yaml`, or unset it to run all stages here.") from None
    get_run_logger().info("%s on %s: run %s", ", ".join(parameters["names"]), deployment, asked.name)
    with get_client(sync_client=True) as client:
        try:
            while not (state := client.read_flow_run(asked.id).state).is_final():
                time.sleep(POLL_S)
        except BaseException:           # also on SIGTERM and cancellation: nobody waits for its results any more
            client.set_flow_run_state(asked.id, Cancelling())
            raise
    return state


def _prepare() -> str:
    """Prepare this clone, see `flows.workspace.prepare`. Returns the address of its DVC remote."""
    with Dvc() as dvc:
        if remote := dvc.remote():
            workspace.prepare(dvc)
            return remote
    raise GraftError("handing stages to another host needs a DVC remote that both can reach. Run "
                     "`dvc remote add --default NAME s3://bucket/prefix`, commit .dvc/config and deploy again.")
