"""Stage `transfer`: fit a new head on the frozen backbone.

The convex head is a logistic regression on the pooled outputs of the network's levels. It learns from train and val
together: cross-validation, not val, chooses its levels and its penalty. The recipe's head is trained on train in
epochs, until the val loss stops improving.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from graft.errors import GraftError, did_you_mean, reported
from tasks.data import DataParams
from tasks.features import may_mirror, read_features
from tasks.params import FitParams, params, read_params


@params
class TransferParams(FitParams):
    """Which head is fitted, what it reads, and how the recipe's is trained."""

    head: Literal["convex", "recipe"]
    levels: Literal["auto", "all", "last"] | list[str]
    folds: int = Field(ge=2, le=20)
    epochs: int = Field(ge=1, le=1000)
    patience: int = Field(ge=1)
    learning_rate: float = Field(gt=0, le=1)
    hidden_units: int = Field(ge=0, le=8192)
    dropout: float = Field(ge=0, le=0.9)


def candidate_levels(levels: str | list[str], names: list[str]) -> list[list[str]]:
    """The sets of levels that are compared: the last one, and the last quarter, half and all of them.

    Args:
        levels: the parameter; it leaves one set unless it is `auto`.
        names: all levels of the backbone, from first to last.

    Raises:
        GraftError: for a level that the backbone does not have.
    """
    if isinstance(levels, list):
        unknown = [name for name in levels if name not in names]
        if unknown or not levels:
            hints = "".join(did_you_mean(name, names) for name in unknown)
            raise GraftError(f"params.yaml: transfer.levels: the backbone has no level [{', '.join(unknown)}].{hints}\n"
                             f"       Its levels are, from first to last: {', '.join(names)}")
        return [[name for name in names if name in levels]]
    quarters = sorted({1, len(names) // 4 + 1, len(names) // 2, len(names)})
    return [names[-count:] for count in {"last": [1], "all": [len(names)]}.get(levels, quarters)]


def fit_convex(transfer: TransferParams, table, index, levels) -> None:
    """Choose the levels and the penalty, fit the head to all images, and write it with its answers out of fold.

    Args:
        transfer: the stage's parameters.
        table, index, levels: see `read_features`.
    """
    from pipeline.losses import log_losses
    from pipeline.probing import selection
    from pipeline.probing.folds import assign_folds
    from tasks import artifacts

    labels, class_names = artifacts.read_labels(table)
    folds = assign_folds(labels, table["group"].to_numpy(str), transfer.folds)
    if (count := folds.max() + 1) < transfer.folds:
        print(f"{count} folds instead of {transfer.folds}, because the smallest class has so few groups of images")
    features = selection.Features(levels[:, 0], levels[:, 1], labels, folds, len(class_names), may_mirror())
    compared = selection.compare_sets(features, index, candidate_levels(transfer.levels, index.names))
    best = min(compared, key=lambda candidate: candidate.log_loss)
    head = selection.fit_head(features.units(index.columns(best.levels)), best.penalty, best.is_mirrored, best.axes)
    artifacts.write_table(artifacts.CANDIDATES, artifacts.candidate_table(compared), artifacts.CANDIDATE_COLUMNS)
    artifacts.write_arrays(artifacts.CANDIDATE_LOSSES, [log_losses(each.logits, labels) for each in compared])
    artifacts.write_json(artifacts.HEAD, {"levels": best.levels, "hidden_units": 0, "dropout": 0.0})
    artifacts.write_arrays(artifacts.TRANSFER_HEAD, [head.kernel, head.bias])
    artifacts.write_held_out(artifacts.TRANSFER_HELD_OUT, table.assign(fold=folds), best.logits)
    artifacts.write_history(artifacts.TRANSFER_HISTORY, [])
    artifacts.write_json(artifacts.TRANSFER_SUMMARY, {
        "head": "convex", "images": len(table), "folds": int(count), "penalty": best.penalty,
        "is_mirrored": best.is_mirrored, "log_loss": best.log_loss, "accuracy": best.accuracy,
    })
    print(f"convex head on {len(best.levels)} of {len(index.names)} levels, from {best.levels[0]} on: log loss "
          f"{best.log_loss:.4f}, accuracy {best.accuracy:.1%} on {len(table)} images, each held out once")


def build_model(dataset, transfer: TransferParams):
    """Build the recipe's head, and compute the features of the whole frozen backbone, once.

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


def fit_recipe(transfer: TransferParams, images: Path) -> None:
    """Train the recipe's head and write it. A killed run continues from its checkpoint.

    Args:
        transfer: the stage's parameters.
        images: the folder of the images.
    """
    from pipeline.training import backend, checkpoints, examples, fitting, scoring
    from tasks import artifacts

    backend.make_deterministic(transfer.seed)
    checkpoint = checkpoints.checkpoint_path(
        artifacts.CACHE / "transfer", transfer, [artifacts.BACKBONE, artifacts.ACTIVATIONS], "tasks.transfer"
    )
    with backend.all_devices(transfer.batch_size):
        dataset = examples.open_dataset(**artifacts.read_extracted(), images=images)
        dataset.fill()
        head, train, val = build_model(dataset, transfer)
        progress, _ = fitting.fit(head, train, val, checkpoint=checkpoint, patience=transfer.patience,
                                  **transfer.options())
    logits = scoring.predict(head, val)
    loss, accuracy = progress.best_loss, float((logits.argmax(axis=1) == val.labels).mean())
    artifacts.write_table(artifacts.CANDIDATES, artifacts.candidate_table([]), artifacts.CANDIDATE_COLUMNS)
    artifacts.write_arrays(artifacts.CANDIDATE_LOSSES, [])
    artifacts.write_json(artifacts.HEAD, {"levels": [], "hidden_units": transfer.hidden_units,
                                          "dropout": transfer.dropout})
    artifacts.write_arrays(artifacts.TRANSFER_HEAD, head.get_weights())
    artifacts.write_held_out(artifacts.TRANSFER_HELD_OUT, artifacts.read_examples("val").assign(fold=0), logits)
    artifacts.write_history(artifacts.TRANSFER_HISTORY, progress.history)
    artifacts.write_json(artifacts.TRANSFER_SUMMARY, {
        "head": "recipe", "images": len(train), "is_mirrored": dataset.part.augmentation["horizontal_flip"],
        "log_loss": loss, "accuracy": accuracy, **progress.summary(),
    })
    checkpoint.unlink(missing_ok=True)


def main() -> None:
    """Run the stage."""
    transfer, data = read_params("transfer", TransferParams), read_params("data", DataParams)
    if transfer.head == "convex":
        fit_convex(transfer, *read_features(data.folder))
    else:
        fit_recipe(transfer, data.folder)


if __name__ == "__main__":
    with reported():
        main()
