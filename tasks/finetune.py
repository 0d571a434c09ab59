"""Stage `finetune`: train the blocks above the cut at a low learning rate, together with the head."""

from pathlib import Path

from pydantic import Field

from graft.errors import reported
from tasks.params import DataParams, FitParams, params, read_params


@params
class FinetuneParams(FitParams):
    """How the top and the head are fitted, with a learning rate per block; `transfer` sets the head's shape."""

    layer_decay: float = Field(gt=0, le=1)


def build_model(dataset, head_shape: dict, head_weights: Path):
    """Build transfer's model from activations to logits, ready for training.

    Args:
        dataset: see `pipeline.training.examples.open_dataset`.
        head_shape: keyword arguments of `pipeline.training.heads.build_head`.
        head_weights: weights that transfer wrote.

    Returns:
        The model, its top and its head.
    """
    from pipeline.training import backbones, backend, folding, heads

    _, top = dataset.models(dataset.part.precision)
    with backend.precision(dataset.part.precision):
        head = heads.build_head(top.output.shape[-1], len(dataset.class_names), **head_shape)
        head.load_weights(head_weights)
        model = heads.trainable_model(folding.fold_batch_normalization(top, trainable=True), head)
    backbones.freeze_batch_normalization(model)
    return model, top, head


def finetune_top(dataset, models, finetune: FinetuneParams, checkpoint: Path):
    """Fit top and head, starting from transfer's model, which is kept unless an epoch has a lower val loss.

    Args:
        dataset: see `pipeline.training.examples.open_dataset`.
        models: see `build_model`.
        finetune: the stage's parameters.
        checkpoint: the file from which a killed run continues.

    Returns:
        The `pipeline.training.fitting.Progress`.
    """
    from pipeline.training import fitting, optimizers

    model, top, _ = models
    return fitting.fit(
        model, dataset.splits["train"], dataset.splits["val"], checkpoint=checkpoint, **finetune.options(),
        learning_rate_factors=optimizers.layer_factors(top, finetune.layer_decay),
    )


def main() -> None:
    """Run the stage. A killed run continues from its checkpoint."""
    finetune, data = read_params("finetune", FinetuneParams), read_params("data", DataParams)
    from pipeline.training import backend, checkpoints, examples, saving
    from tasks import artifacts

    backend.make_deterministic(finetune.seed)
    inputs = [artifacts.BACKBONE, artifacts.ACTIVATIONS, artifacts.TRANSFER_HEAD]
    checkpoint = checkpoints.checkpoint_path(artifacts.CACHE / "finetune", finetune, inputs, "tasks.finetune")
    with backend.all_devices(finetune.batch_size):
        dataset = examples.open_dataset(**artifacts.read_extracted(), images=Path(data.images))
        dataset.fill()
        models = build_model(dataset, artifacts.read_json(artifacts.HEAD), artifacts.TRANSFER_HEAD)
        progress = finetune_top(dataset, models, finetune, checkpoint)
    kept = "finetune" if progress.best_epoch >= 0 else "transfer"
    print(f"kept {kept}'s model: val loss {progress.best_loss:.4f}"
          + ("" if kept == "finetune" or not finetune.epochs else ", not improved by any epoch of finetune"))
    _, top, head = models
    saving.save_weights(top, artifacts.FINETUNE_TOP)
    saving.save_weights(head, artifacts.FINETUNE_HEAD)
    artifacts.write_history(artifacts.FINETUNE_HISTORY, progress.history)
    artifacts.write_json(artifacts.FINETUNE_SUMMARY, {**progress.summary(), "kept": kept})
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    with reported():
        main()
