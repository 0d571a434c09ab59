"""Run a DVC stage as a Prefect task: DVC skips, restores and locks; Prefect shows what happens."""

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
from flows.waiting import Waiting
from graft.errors import GraftError

plain_task = task(cache_policy=NO_CACHE, persist_result=False)
"""A task whose result Prefect neither caches nor stores, because DVC does."""


def without_traceback(function):
    """Decorate a flow so that a `GraftError` fails it with the message alone, shown once, at the end.

    A flow that was started by hand raises the error; a deployed run logs it. This is for flows only: a flow takes a
    `Failed` that a task returns for a value and goes on, so tasks must raise.
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
    """Filter Prefect's log records, which repeat a `GraftError` at every level that it passes through."""
    if record.msg.startswith("Finished in state Failed("):
        record.msg = "Finished in state Failed()"
    return not (record.exc_info and isinstance(record.exc_info[1], GraftError))


@dataclass(frozen=True)
class StageRun:
    """A stage's `outcome`, which is `ran`, `restored` (from the run-cache) or `unchanged`, and its duration."""

    stage: str
    outcome: str
    seconds: float


@plain_task(task_run_name="{stage}")
def run_stage(stage: str, dvc: Dvc, pull: bool) -> StageRun:
    """Bring one stage up to date, and copy its output to the run's log, line by line.

    Args:
        stage: its name in dvc.yaml.
        dvc: runs the stage.
        pull: fetch what is missing from the DVC remote and its run-cache.

    Raises:
        GraftError: if the stage fails, with its own message.
    """
    logger = get_run_logger()
    began = time.monotonic()
    with Waiting(stage, logger.info) as waiting:
        lines = dvc.run("repro", "--single-item", *(["--pull"] if pull else []), stage, on_line=waiting.heard)
    run = StageRun(stage, outcome(lines), time.monotonic() - began)
    logger.info("%s: %s in %.1f s", stage, run.outcome, run.seconds)
    show.stage(run)
    return run
