"""Start the deployment `retraining` for a reason, which stands on the started run's page."""

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from flows import show
from graft.errors import GraftError, printable
from pipeline.pages import quoted

DEPLOYMENT = "training/retraining"


def start(model: str, reason: str, folder: str, tag: str, data_commit: str = "", key: str | None = None):
    """Schedule a run of the deployment now.

    Args:
        model: its name in the registry.
        reason: for people.
        folder, data_commit: see `flows.training.training`.
        tag: one or two words, by which the runs can be listed.
        key: two calls with the same key start one run.

    Returns:
        Prefect's flow run.

    Raises:
        GraftError: if there is no such deployment.
    """
    asked = {"folder": folder, "reason": printable(reason)} | ({"data_commit": data_commit} if data_commit else {})
    try:
        run = run_deployment(DEPLOYMENT, parameters=asked, timeout=0, as_subflow=False, idempotency_key=key,
                             flow_run_name=f"{model}: {tag}", tags=[model, tag])
    except ObjectNotFound:
        raise GraftError(f"{reason}: but there is no deployment {DEPLOYMENT} to start. Run "
                         "`prefect deploy --all`.") from None
    get_run_logger().info("%s was started: run %s", DEPLOYMENT, run.name)
    return run


def show_reason(reason: str) -> None:
    """Say on the page of the run in which this is called why it was started."""
    create_markdown_artifact(key=show.key_of("reason"), description=printable(reason),
                             markdown=f"# Started after\n\n{quoted(reason)}\n")
