"""The flow `batch-prediction`: a folder or an S3 prefix of images in, a CSV or Parquet file of predictions out.

    python -m flows.batch_prediction SOURCE OUTPUT --model pets@champion

Each shard is one task. A run that was killed is continued by the next one with the same arguments.
"""

import argparse
from collections.abc import Iterator

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows import preflight
from flows.stages import plain_task, without_traceback
from graft.errors import reported
from graft.predict.find import find_model
from pipeline.cluster.batch import SHARD_SIZE, Batch, Shard, Summary


@flow(name="batch-prediction", persist_result=False)
@without_traceback
def batch_prediction(source: str, output: str, model: str, registry: str | None = None,
                     shard_size: int = SHARD_SIZE) -> dict:
    """Predict every image below `source` into the file `output`.

    Args:
        source: a folder, or s3://bucket/prefix.
        output: a file whose name ends in .csv or .parquet.
        model: a model's folder, or its address.
        registry: where the model is, when its address does not say.
        shard_size: images in a shard: what a killed run loses at the most.

    Returns:
        How many images there were, and how many got which answer.
    """
    name, folder = find_model(model, registry)
    batch = Batch(source, output, folder, shard_size)
    pending = batch.pending
    get_run_logger().info("%s: %d of %d shards are to be predicted", name, len(pending), len(batch.shards))
    with batch.predict(pending) as predicted:
        for shard in pending:
            predict_shard(predicted, shard.number)
    summary = batch.finish()
    show(summary, name, output)
    return vars(summary)


@plain_task(task_run_name="shard {number}")
def predict_shard(predicted: Iterator[Shard], number: int) -> None:
    """Predict the next shard's images on all cores; or wait for it, if a Ray cluster predicts them."""
    get_run_logger().info("%d images", len(next(predicted).names))


def show(summary: Summary, model: str, output: str) -> None:
    """The counts as a Prefect artifact."""
    counts = {"images": summary.images, "unreadable": summary.unreadable, "unknown": summary.unknown, **summary.labels}
    lines = [f"| {name} | {count} |" for name, count in counts.items()]
    table = "\n".join(["| answer | images |", "|---|---:|", *lines])
    create_markdown_artifact(key="batch-prediction", markdown=f"# {output} by {model}\n\n{table}\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.batch_prediction",
                                     description="Predict every image of a folder or S3 prefix into a file.")
    parser.add_argument("source", help="a folder, or s3://bucket/prefix")
    parser.add_argument("output", help="a file whose name ends in .csv or .parquet")
    parser.add_argument("--model", required=True, help="a model's folder, or its address in a registry")
    parser.add_argument("--registry", help="where the model is, when its address does not say")
    parser.add_argument("--shard-size", type=int, default=SHARD_SIZE, help="images in a shard (default: %(default)s)")
    arguments = parser.parse_args()
    preflight.check_server()
    summary = batch_prediction(**vars(arguments))
    print("{output}: {images} images, {unknown} unknown, {unreadable} unreadable".format(**vars(arguments), **summary))


if __name__ == "__main__":
    with reported():
        main()
