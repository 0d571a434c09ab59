"""The flow `new-data`: look whether a model's data have changed, and start the deployment `retraining` once.

It fetches no image: of imports it reads the listing of their source, and of a branch the small files in data/. What it
saw last, and what it last started a run for, are tables on its runs' pages, from which the next look reads them.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.artifacts import Artifact, create_table_artifact
from prefect.states import Completed, State
from pydantic import Field

from flows import model_folder, retraining, show, sources, workspace
from flows.dvc import Dvc
from flows.sources import Contents
from flows.stages import without_traceback
from flows.waiting import Waiting
from graft.errors import LINES, GraftError, printable

SEEN, TRAINED = "data-seen", "data-trained"


@dataclass(frozen=True)
class Kept:
    """Contents, see `flows.sources`, that a look has kept: the table's id, and since when it is there."""

    contents: Contents
    identity: str
    since: datetime


@flow(name="new-data", persist_result=False)
@without_traceback
def look(branch: str = "", quiet_minutes: Annotated[float, Field(ge=0)] = 15, folder: str = "."):
    """Start the deployment `retraining` if a model's data have changed, and have not changed again for a while.

    The first look only keeps what it sees.

    Args:
        branch: of the deployed repository, whose data/*.dvc and decisions count; without one, only imports do.
        quiet_minutes: how long nothing may have changed, so that one run gets all of a slow upload.
        folder: of the model, relative to the project, such as models/pets.

    Returns:
        A completed state, `Nothing new`, `Waiting`, `Started`, or `Unreachable` if a source cannot be read; nothing is
        started then, as the run could not read it either.
    """
    with model_folder.entered(folder), Dvc() as dvc, Waiting("sources", get_run_logger().info):
        try:
            deployed, commit = sources.committed(), workspace.take_data(branch) if branch else ""
            imports = sources.imported(dvc)
        except GraftError as error:
            get_run_logger().warning("%s", printable(str(error), LINES))
            return Completed(name="Unreachable", message=printable(str(error), LINES))
        trained = _last(TRAINED) or _keep(TRAINED, deployed | imports)
        return answer(trained, sources.committed() | imports, timedelta(minutes=quiet_minutes), commit, folder)


def answer(trained: Kept, now: Contents, quiet: timedelta, commit: str, folder: str) -> State:
    """Wait, or start a run. Returns the state that `look` describes."""
    seen = _last(SEEN)
    if seen is None or seen.contents != now:
        seen = _keep(SEEN, now)
    if not (changes := sources.changes(trained.contents, now)):
        return Completed(name="Nothing new")
    if datetime.now(UTC) - seen.since < quiet:
        return Completed(name="Waiting", message=f"{changes}. A run starts once nothing has changed for {quiet}.")
    content = json.dumps([trained.identity, sources.rows(now)])      # of two looks at once, both start the same run
    key = hashlib.sha256(content.encode()).hexdigest()
    run = retraining.start(show.model_name(), f"new data: {changes}", folder, "new data", commit, key)
    _keep(TRAINED, now)
    return Completed(name="Started", message=f"{run.name}: {changes}", data=str(run.id))


def _last(what: str) -> Kept | None:
    found = Artifact.get(show.key_of(what))
    return found and Kept(sources.contents_of(json.loads(found.data)), str(found.id), found.created)


def _keep(what: str, contents: Contents) -> Kept:
    create_table_artifact(key=show.key_of(what), table=sources.rows(contents))
    return _last(what)
