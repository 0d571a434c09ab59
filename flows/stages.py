"""One DVC stage as one Prefect task: skipping, restoring and locking are DVC's; Prefect shows what happens."""

import functools
import logging
import time
from dataclasses import dataclass

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import deployment
from prefect.states import Failed

from flows import show
from flows.dvc import Dvc, outcome
from graft.errors import GraftError

plain_task = task(cache_policy=NO_CACHE, persist_result=False)
"""A task that Prefect neither caches nor stores: that is DVC's."""


def without_traceback(function):
    """Let a mistake that the user can correct fail the flow with its message alone, shown once, at the end.

    Whoever starts the flow by hand sees the message when the flow raises it; a deployed run logs it. For flows only:
    what a task returns, a `Failed` too, is a value to the flow, which would go on, so a task raises.
    """

    @functools.wraps(function)
    def guarded(*arguments, **options):
        for name in ("prefect.flow_runs", "prefect.task_runs"):
            logging.getLogger(name).addFilter(_leave_errors_to_the_flow)
        try:
            return function(*arguments, **options)
        except GraftError as error:
            if deployment.id:
                get_run_logger().error("%s", error)
            return Failed(message=str(error), data=error)

    return guarded


def _leave_errors_to_the_flow(record: logging.LogRecord) -> bool:
    """A filter of Prefect's log records, which repeat the message of a `GraftError` at each level that it passes."""
    if record.msg.startswith("Finished in state Failed("):
        record.msg = "Finished in state Failed()"
    return not (record.exc_info and isinstance(record.exc_info[1], GraftError))


@dataclass(frozen=True)
class StageRun:
    """What became of a stage: `outcome` is ran, restored (from the run-cache) or unchanged."""

    stage: str
    outcome: str
    seconds: float


@plain_task(task_run_name="{stage}")
def run_stage(stage: str, dvc: Dvc, pull: bool) -> StageRun:
    """Bring one stage up to date. What it prints goes to the run's log, line by line.

    Args:
        pull: get what is missing from the DVC remote and its run-cache.
    """
    logger = get_run_logger()
    began = time.monotonic()
    lines = dvc.run("repro", "--single-item", *(["--pull"] if pull else []), stage, tell=logger.info)
    run = StageRun(stage, outcome(lines), time.monotonic() - began)
    logger.info("%s: %s in %.1f s", stage, run.outcome, run.seconds)
    show.stage(run)
    return run
