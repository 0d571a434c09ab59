"""Stage `transfer`: train a new head on the frozen backbone until val loss stops improving."""

from pathlib import Path

from pydantic import Field

from graft.errors import reported
from tasks.params import DataParams, FitParams, params, read_params


@params
class TransferParams(FitParams):
    """How the head is fitted, and its shape."""

    epochs: int = Field(ge=1, le=1000)
    hidden_units: int = Field(ge=0, le=8192)
    dropout: float = Field(ge=0, le=0.9)


def build_model(dataset, transfer: TransferParams):
    """Build a new head, and compute the features of the whole frozen backbone, once.

    Args:
        dataset: see `pipeline.training.examples.open_dataset`.
        transfer: the stage's parameters.

    Returns:
        The head, and `pipeline.training.examples.Vectors` of train and of val.
    """
    from pipeline.training import examples, folding, heads

    _, top = dataset.models(dataset.part.precision)
    top = folding.fold_batch_normalization(top)
    train, val = (examples.vectors(top, dataset.splits[name]) for name in ("train", "val"))
    classes, units = len(dataset.class_names), train.features.shape[-1]
    return heads.build_head(units, classes, transfer.hidden_units, transfer.dropout), train, val


def main() -> None:
    """Run the stage. A killed run continues from its checkpoint."""
    transfer, data = read_params("transfer", TransferParams), read_params("data", DataParams)
    from pipeline.training import backend, checkpoints, examples, fitting, saving
    from tasks import artifacts

    backend.make_deterministic(transfer.seed)
    checkpoint = checkpoints.checkpoint_path(
        artifacts.CACHE / "transfer", transfer, [artifacts.BACKBONE, artifacts.ACTIVATIONS], "tasks.transfer"
    )
    with backend.all_devices(transfer.batch_size):
        dataset = examples.open_dataset(**artifacts.read_extracted(), images=Path(data.images))
        dataset.fill()
        head, train, val = build_model(dataset, transfer)
        progress = fitting.fit(head, train, val, checkpoint=checkpoint, **transfer.options())
    saving.save_weights(head, artifacts.TRANSFER_HEAD)
    artifacts.write_history(artifacts.TRANSFER_HISTORY, progress.history)
    artifacts.write_json(artifacts.HEAD, {"hidden_units": transfer.hidden_units, "dropout": transfer.dropout})
    artifacts.write_json(artifacts.TRANSFER_SUMMARY, progress.summary())
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    with reported():
        main()
