"""Decide on what was found about the images: on a page, in the terminal, or by taking what is proposed.

`python -m tasks.review` serves the page on this machine alone. The decisions are written to data/NAME.decisions.csv,
which `validate` applies before it checks anything. No image is changed. `--inbox PLACE` adds pictures that were
collected in use: one that gets a class is copied into the data set.
"""

import argparse
import getpass
import os
import shlex
from pathlib import Path

from graft.errors import GraftError, printable, reported
from tasks.data import DataParams
from tasks.params import read_params
from tasks.repository import git

LOOPBACK, PORT = "127.0.0.1", 8001
PATHS = 4           # of a finding that `--list` shows


def collect(place: str | None = None):
    """Everything that was found, by the last runs of `validate`, `transfer` and `evaluate`, in their order.

    Args:
        place: where `graft serve --collect` or batch prediction keeps pictures, which then belong to the queue.

    Returns:
        A `pipeline.review.app.Review`.

    Raises:
        GraftError: if `validate` has not run, the table of decisions has mistakes, or the place cannot be read.
    """
    from pipeline.intake.decisions import table_of
    from pipeline.review.app import Review
    from pipeline.review.queue import in_order, of_answers, of_data
    from tasks import artifacts

    images = read_params("data", DataParams).folder
    findings = artifacts.read_json(artifacts.DATA_FINDINGS)
    table = artifacts.read_table(artifacts.IMAGES, artifacts.IMAGE_COLUMNS)
    found = of_data(findings, table, images)
    for answers in _answers(artifacts):
        found += of_answers(answers, table)
    class_names, inbox = set(findings["classes"]), None
    if place:
        from tasks.inbox import open_inbox

        inbox, collected, named = open_inbox(place, images)
        found, class_names = found + collected, class_names | named
    review = Review(images, table_of(images), in_order(found), sorted(class_names), _who(),
                    _commands(images, table_of(images), bool(inbox)), inbox)
    review.decided()
    return review


def _answers(artifacts) -> list:
    """The answers to images that were not learnt from: to test by the bundle, to others by transfer's folds."""
    from graft.model.bundle import read_description
    from pipeline.evaluation import predictions

    if not artifacts.PREDICTIONS.exists() or not artifacts.TRANSFER_HELD_OUT.exists():
        return []
    bundle = read_description(artifacts.BUNDLE)
    stored = artifacts.read_table(artifacts.PREDICTIONS, predictions.columns(bundle.class_names))
    return [predictions.to_answers(stored), _held_out(artifacts, bundle)]


def _held_out(artifacts, bundle):
    """The answers of transfer's folds; see `pipeline.evaluation.predictions.Answers`."""
    from pipeline.evaluation.calibration import softmax
    from pipeline.evaluation.predictions import Answers

    table, logits = artifacts.read_held_out(artifacts.TRANSFER_HELD_OUT)
    labels, class_names = artifacts.read_labels(table)
    scores, limit = table["unknown_score"].to_numpy(float), bundle.unknown_threshold
    return Answers(class_names, table["path"].to_numpy(str), labels, logits.argmax(axis=1),
                   softmax(logits / bundle.temperature), scores,
                   scores > (float("inf") if limit is None else limit))


def _who() -> str:
    try:
        return git("config", "user.name") or getpass.getuser()
    except GraftError:
        return getpass.getuser()


def _commands(images: Path, table: Path, has_inbox: bool) -> list[str]:
    """What makes the decisions a commit, with the images that were added, and runs with them."""
    folder, file = (shlex.quote(os.path.relpath(each)) for each in (images, table))
    added = [f"dvc add {folder}", f"git add {folder}.dvc {file}"] if has_inbox else [f"git add {file}"]
    return [*added, f"git commit --message {shlex.quote(f'Review {images.name}')}", "python -m flows.training"]


def listed(review) -> list[str]:
    """The open findings as lines, with what is proposed."""
    from pipeline.review.queue import KINDS

    lines = []
    for each in (opened := review.open()):
        paths = " = ".join(f"{picture.path} ({picture.label})" if picture.label else picture.path
                           for picture in each.pictures[:PATHS])
        more = f" and {len(each.pictures) - PATHS} more" if len(each.pictures) > PATHS else ""
        proposed = ", ".join(dict.fromkeys(each.proposal.values())) or "only you can tell"
        lines.append(f"{each.kind}: {paths}{more}; {each.pictures[0].note}; proposed: {proposed}")
    count = {kind: sum(each.kind == kind for each in opened) for kind in KINDS}
    return [*lines, f"{len(opened)} of {len(review.findings)} findings are open"
            + "".join(f"; {number} {kind}" for kind, number in count.items() if number)]


def accept(review, kind: str) -> int:
    """Take what is proposed for all open findings of a kind. Returns how many these are.

    Raises:
        GraftError: if there is no such kind, or nothing is proposed for it.
    """
    from pipeline.review.queue import KINDS

    proposed = [each for each in review.open() if each.kind == kind and each.proposal]
    if kind not in KINDS or not proposed:
        known = sorted({each.kind for each in review.open() if each.proposal})
        raise GraftError(f"--accept {kind}: nothing is proposed. Expected one of {', '.join(known) or 'no finding'}; "
                         "`python -m tasks.review --list` shows them.")
    decided, rows = review.decided(), {}
    for each in reversed(proposed):             # of an image in several findings, the first decides
        rows |= review.rows(each, {key: value for key, value in each.proposal.items() if key not in decided})
    if review.write(rows, {}):
        raise GraftError(f"{review.table}: somebody else has decided meanwhile, so nothing was written. Repeat it.")
    return len(proposed)


def serve(review, port: int) -> None:
    """Serve the page until Ctrl-C."""
    from graft.server.app import run
    from pipeline.review.app import create_app, new_token

    token, afterwards = new_token(), "".join(f"  {each}\n" for each in review.commands)
    run(create_app(review, token, [LOOPBACK]), LOOPBACK, port,
        lambda url: f"afterwards, to commit the decisions and to train:\n{afterwards}"
                    f"{len(review.open())} findings to decide on at {url}/{token}/ (written to {review.table})")


def main() -> None:
    """Serve the page, or do what the command line asks."""
    parser = argparse.ArgumentParser("python -m tasks.review", description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the open findings, without a page")
    parser.add_argument("--accept", metavar="FINDING", help="take what is proposed for all findings of a kind, "
                                                            "such as copies")
    parser.add_argument("--inbox", metavar="PLACE", help="also decide on the pictures that `graft serve --collect` or "
                                                         "batch prediction keeps there: a folder, or s3://bucket/prefix")
    parser.add_argument("--port", type=int, default=PORT, help="the port; 0 is any free one (default: %(default)s)")
    arguments = parser.parse_args()
    review = collect(arguments.inbox)
    if arguments.accept:
        count = accept(review, arguments.accept)
        print(f"{count} decided as proposed, in {review.table}. Afterwards:\n  " + "\n  ".join(review.commands))
    elif arguments.list:
        print("\n".join(map(printable, listed(review))))
        if review.decided():
            print("To commit what was decided, and to train:\n  " + "\n  ".join(review.commands))
    else:
        serve(review, arguments.port)


if __name__ == "__main__":
    with reported():
        main()
