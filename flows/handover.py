"""The stages that want a GPU, done by another deployment on a GPU host. What passes between the two is the DVC remote.

The run that hands over pushes, the flow `stages` restores the earlier stages from the run-cache, runs its own and
pushes, and the first run restores them: each in a clone of its own, at the same commit.
"""

import os
import time
from itertools import takewhile
from pathlib import Path
from typing import Annotated

from prefect import flow, get_client, get_run_logger
from prefect.deployments import run_deployment
from prefect.states import Cancelling
from pydantic import Field

from flows import checkpoint_mirror, show, workspace
from flows.dvc import Dvc
from flows.stages import run_stage, without_traceback
from graft.errors import GraftError
from tasks.code import GPU_VARIABLE

ATTEMPTS = 5                                    # hosts that may be lost under one run
POLL_S = 2

Names = Annotated[list[str], Field(min_length=1)]
DataFiles = dict[Annotated[str, Field(pattern=r"^data/[^.][^\\]*\.dvc$")], str]


@flow(name="stages", persist_result=False)
@without_traceback
def stages(names: Names, commit: str, data: DataFiles) -> None:
    """Run some stages of dvc.yaml and push what they made. The flow `training` asks for this.

    Args:
        names: stages of dvc.yaml, the last one last.
        commit: the commit that asks; this run has to have the same one.
        data: the `.dvc` files below data/ as they are there: a refresh is not committed.
    """
    if commit != workspace.commit():
        raise GraftError(f"asked by commit {commit}, but this deployment has {workspace.commit()}. Deploy both again: "
                         "`prefect deploy --all` with prefect.yaml and with infra/gpu.yaml.")
    for path, text in data.items():
        Path(path).write_text(text, encoding="utf-8")
    remote = _remote()
    with checkpoint_mirror.mirrored(remote, get_run_logger().warning), Dvc() as dvc:
        workspace.prepare(dvc)
        plan = dvc.plan(names[-1])
        if unknown := set(names) - set(plan):
            raise GraftError(f"dvc.yaml: {', '.join(sorted(unknown))}: no such stage on the way to {names[-1]}")
        progress = show.Progress(len(plan))
        for name in plan:
            if name not in names and not dvc.restore(name):
                raise GraftError(f"what the stage {name} made is not in the DVC remote {remote}: it was not pushed.")
            progress.add(run_stage(name, dvc, pull=True))
            if name in names:
                dvc.run("push", "--run-cache", name, tell=lambda line: None)


def names_from(stage: str, plan: list[str]) -> list[str]:
    """The stages to hand over when `stage` is next: it and the GPU's that follow; none when it wants none."""
    deployment, wanted = os.environ.get(GPU_VARIABLE), workspace.gpu_stages()
    rest = plan[plan.index(stage):]
    return list(takewhile(lambda name: name in wanted, rest)) if deployment else []


def hand_over(names: list[str], dvc: Dvc) -> None:
    """Let the GPU deployment run these stages, unless the first is in the run-cache already.

    Raises:
        GraftError: when they failed there.
    """
    if dvc.restore(names[0]):
        return
    dvc.run("push", "--run-cache", tell=get_run_logger().info)
    data = {path.as_posix(): path.read_text(encoding="utf-8") for path in Path("data").glob("**/*.dvc")}
    asked = {"names": names, "commit": workspace.commit() or "", "data": data}
    for _ in range(ATTEMPTS):
        state = _run(os.environ[GPU_VARIABLE], asked)
        if not state.is_crashed():
            break
        get_run_logger().warning("the GPU host was lost: %s. Once more, from the last checkpoint", state.message)
    if not state.is_completed():
        raise GraftError(f"{', '.join(names)} on {os.environ[GPU_VARIABLE]}: {state.name}: {state.message}")
    if not dvc.restore(names[0]):
        raise GraftError(f"{', '.join(names)} ran on {os.environ[GPU_VARIABLE]}, but for other inputs than "
                         "those here: is something not committed?")


def _run(deployment: str, parameters: dict):
    """Run a deployment to its end, and end it when this run is ended. Returns its final state."""
    asked = run_deployment(deployment, parameters=parameters, timeout=0)
    get_run_logger().info("%s on %s: run %s", ", ".join(parameters["names"]), deployment, asked.name)
    with get_client(sync_client=True) as client:
        try:
            while not (state := client.read_flow_run(asked.id).state).is_final():
                time.sleep(POLL_S)
        except BaseException:           # also SIGTERM and cancel: nobody waits for its results any more
            client.set_flow_run_state(asked.id, Cancelling())
            raise
    return state


def _remote() -> str:
    with Dvc() as dvc:
        if remote := dvc.remote():
            return remote
    raise GraftError("handing stages to another host needs a DVC remote that both reach: "
                     "`dvc remote add --default NAME s3://bucket/prefix`, commit .dvc/config and deploy again.")
