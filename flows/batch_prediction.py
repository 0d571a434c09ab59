"""The flow `batch-prediction`: predict a folder or an S3 prefix of images into a CSV or Parquet file.

    python -m flows.batch_prediction SOURCE OUTPUT --model pets@champion

Each shard is one task. After a kill, a run with the same arguments continues.
"""

import argparse
from collections.abc import Iterator

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows import preflight
from flows.stages import plain_task, without_traceback
from graft.errors import printable, reported
from graft.predict.find import find_model
from graft.predict.sources import name_others
from graft.watch.recorder import Keeping, Notes
from pipeline.cluster.batch import SHARD_SIZE, Batch, Summary
from pipeline.cluster.shards import Shard
from pipeline.pages import quoted


@flow(name="batch-prediction", persist_result=False)
@without_traceback
def batch_prediction(source: str, output: str, model: str, registry: str | None = None,
                     shard_size: int = SHARD_SIZE, log: str | None = None, collect: str | None = None) -> dict:
    """Predict every image below `source` into the file `output`.

    Args:
        source: a folder, or s3://bucket/prefix.
        output: a file with the extension .csv or .parquet.
        model: a model's folder, or its address.
        registry: the model's registry, if its address names none.
        shard_size: images per shard; a killed run loses one shard at most.
        log, collect: where to keep figures of the answers, and images; see `graft.watch.recorder.Keeping`.

    Returns:
        The fields of a `pipeline.cluster.batch.Summary`: the number of images, and of each answer.
    """
    name, folder = find_model(model, registry)
    batch = Batch(source, output, folder, shard_size)
    notes = Notes(Keeping(log, collect), name, batch.classifier.class_names, told)
    pending = batch.pending
    get_run_logger().info("%s: %d of %d shards to predict", name, len(pending), len(batch.shards))
    if batch.others:
        get_run_logger().warning("%s", printable(name_others(batch.others)))
    with batch.predict(pending) as predicted:
        for shard in pending:
            predict_shard(predicted, shard.number)
    summary = batch.finish(notes)
    show(summary, name, output)
    return vars(summary)


@plain_task(task_run_name="shard {number}")
def predict_shard(predicted: Iterator[Shard], number: int) -> None:
    """Predict the next shard on all cores, or wait for it if a Ray cluster predicts it."""
    get_run_logger().info("%d images", len(next(predicted).names))


def told(what: str, outcome: str, error: Exception | None) -> None:
    """Warn of what could not be kept; the predictions are whole without it."""
    if error:
        get_run_logger().warning("a %s is %s, and nothing more is kept: %s", what, outcome, printable(error))


def show(summary: Summary, model: str, output: str) -> None:
    """Show the counts as a Prefect artifact."""
    create_markdown_artifact(key="batch-prediction", markdown=f"# {quoted(output)} by {model}\n\n{table(summary)}\n")


def table(summary: Summary) -> str:
    """The counts as a table in Markdown. A class may be named "unknown": what is none is in parentheses."""
    counts = [("(images)", summary.images), ("(unreadable)", summary.unreadable), ("(unknown)", summary.unknown),
              *summary.labels.items(), ("(ignored files)", summary.others)]
    lines = [f"| {quoted(name)} | {count} |" for name, count in counts]
    return "\n".join(["| answer | images |", "|---|---:|", *lines])


def main() -> None:
    """Run the flow and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m flows.batch_prediction",
                                     description="Predict every image in a folder or an S3 prefix, and write a table.")
    parser.add_argument("source", help="a folder, or s3://bucket/prefix")
    parser.add_argument("output", help="a file with the extension .csv or .parquet")
    parser.add_argument("--model", required=True, help="a model's folder, or its address in a registry")
    parser.add_argument("--registry", help="the model's registry, if its address names none")
    parser.add_argument("--shard-size", type=int, default=SHARD_SIZE, help="images per shard (default: %(default)s)")
    parser.add_argument("--log", metavar="PLACE", help="keep figures of the answers, for `graft watch`")
    parser.add_argument("--collect", metavar="PLACE", help="keep unknown and unsure images, and a hundredth of all")
    arguments = parser.parse_args()
    preflight.check_server()
    summary = batch_prediction(**vars(arguments))
    others = ", {others} files ignored" if summary["others"] else ""
    counts = "{output}: {images} images, {unknown} unknown, {unreadable} unreadable" + others
    print(counts.format(**vars(arguments), **summary))


if __name__ == "__main__":
    with reported():
        main()
