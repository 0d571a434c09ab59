"""One DVC stage as one Prefect task: skipping, restoring and locking are DVC's; Prefect shows what happens."""

import functools
import logging
import time
from dataclasses import dataclass

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from flows import show
from flows.dvc import Dvc, outcome
from graft.errors import GraftError

plain_task = task(cache_policy=NO_CACHE, persist_result=False)
"""A task that Prefect neither caches nor stores: that is DVC's."""


def without_traceback(function):
    """Let a mistake that the user can mend fail the run with its message alone; Prefect would log a traceback."""

    @functools.wraps(function)
    def guarded(*arguments, **options):
        try:
            return function(*arguments, **options)
        except GraftError as error:
            logging.getLogger("prefect.flow_runs").addFilter(_is_not_told)
            return Failed(message=str(error), data=error)

    return guarded


def _is_not_told(record: logging.LogRecord) -> bool:
    """False for the traceback that a deployed run's engine logs of a mistake that the run's state tells already."""
    return not (record.exc_info and isinstance(record.exc_info[1], GraftError))


@dataclass(frozen=True)
class StageRun:
    """What became of a stage: `outcome` is ran, restored (from the run-cache) or unchanged."""

    stage: str
    outcome: str
    seconds: float


@plain_task(task_run_name="{stage}")
@without_traceback
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
