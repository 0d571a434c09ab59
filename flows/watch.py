"""The flow `watch`: compare a model's answers in use with those to its test images, and tell if they have drifted.

    python -m flows.watch PLACE         for the model of this folder, here and now

PLACE is where `graft serve --log PLACE` and batch prediction keep their windows: a folder, or s3://bucket/prefix.
"""

import argparse
import os
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.states import Completed

from flows import model_folder, outcome, preflight, retraining, show
from flows.stages import without_traceback
from graft.errors import LINES, GraftError, printable, reported
from graft.watch.comparison import DRIFTED, Comparison
from graft.watch.comparison import watch as compare
from graft.watch.page import as_text, basis, headline, make_page, measures
from graft.watch.windows import open_place
from pipeline.evaluation.report_tables import markdown
from pipeline.pages import quoted
from tasks.repository import default_registry, project_folder


@flow(name="watch", persist_result=False)
@without_traceback
def watch(place: str, folder: str = ".", retrain: bool = False):
    """Compare the newest answers of a model with those to its test images, and tell if they have drifted.

    Args:
        place: where its windows are, a folder or s3://bucket/prefix.
        folder: of the model, relative to the project, such as models/pets.
        retrain: start the deployment `retraining` if they have drifted.

    Returns:
        A completed state that is named after the verdict; its data are `verdict` and `changes`.
    """
    if not place:
        raise GraftError("place: expected the folder or the s3:// address that `graft serve --log` writes to, received "
                         "nothing. Set it in prefect.yaml, or for one run by --param place=…")
    with model_folder.entered(folder):
        found = compare(show.model_name(), place, default_registry())
        get_run_logger().info("%s", printable(as_text(found), LINES))
        publish(found, place)
    if found.verdict == DRIFTED:
        tell(found)
        if retrain:
            retraining.start(name_of(found), f"drift: {found.model}: {' '.join(found.changes)}", folder, "drift")
    return Completed(name=found.verdict.capitalize(), message=printable("; ".join(found.changes)) or None,
                     data={"verdict": found.verdict, "changes": found.changes})


def publish(found: Comparison, place: str) -> None:
    """Show a comparison on the run's page, and write it as a page beside the windows, with a link if it has one."""
    changes = "\n".join(f"- {quoted(each)}" for each in found.changes)
    rows = [{"": name, "in use": str(now), "in test": str(before)} for name, now, before in measures(found)]
    parts = [f"# {quoted(headline(found))}", basis(found), changes, markdown(rows)]
    create_markdown_artifact(key=show.key_of("watch"), description=headline(found), markdown="\n\n".join(parts))
    store, key = open_place(place), f"{name_of(found)}/watch.html"
    store.replace(key, make_page(found).encode())
    if link := store.link(key, "text/html"):
        create_link_artifact(link, link_text="the page", key=show.key_of("watch-page"), description=headline(found))


def tell(found: Comparison) -> None:
    """Emit `model.drifted`."""
    outcome.emit("model.drifted", name_of(found), {"model": found.model, "changes": " ".join(found.changes)})


def name_of(found: Comparison) -> str:
    """The model's name in the registry."""
    return found.model.partition("@")[0]


def main() -> None:
    """Run the flow and print what came out."""
    parser = argparse.ArgumentParser(prog="python -m flows.watch", description="Compare a model's answers in use with "
                                     "those to its test images.")
    parser.add_argument("place", help="where the windows are, a folder or s3://bucket/prefix")
    parser.add_argument("--retrain", action="store_true", help="start the deployment `retraining` after a drift")
    arguments = parser.parse_args()
    preflight.check_server()
    result = watch(**vars(arguments), folder=os.path.relpath(Path.cwd(), project_folder()))
    print(printable("\n".join([f"verdict    {result['verdict']}", *result["changes"]]), LINES))


if __name__ == "__main__":
    with reported():
        main()
