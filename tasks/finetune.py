"""Stage `finetune`: the blocks above the cut, retrained at a low learning rate together with the head."""

from pathlib import Path

from pydantic import Field

from graft.errors import reported
from tasks.params import DataParams, FitParams, params, read_params


@params
class FinetuneParams(FitParams):
    """`fit`'s parameters, and the learning rate from block to block; the shape of the head is transfer's."""

    layer_decay: float = Field(gt=0, le=1)


def build_model(dataset, head_shape: dict, head_weights: Path):
    """transfer's model from activations to logits, ready to be trained. Returns it, its top and its head."""
    from pipeline.training import backbones, backend, folding, heads

    _, top = dataset.models(dataset.part.precision)
    with backend.precision(dataset.part.precision):
        head = heads.build_head(top.output.shape[-1], len(dataset.class_names), **head_shape)
        head.load_weights(head_weights)
        model = heads.trainable_model(folding.fold_batch_normalization(top, trainable=True), head)
    backbones.freeze_batch_normalization(model)
    return model, top, head


def finetune_top(dataset, models, finetune: FinetuneParams, checkpoint: Path):
    """Fit top and head, starting from transfer's model, which stands when nothing better on val is found."""
    from pipeline.training import fitting, optimizers

    model, top, _ = models
    return fitting.fit(
        model, dataset.splits["train"], dataset.splits["val"], checkpoint=checkpoint, **finetune.options(),
        learning_rate_factors=optimizers.layer_factors(top, finetune.layer_decay),
    )


def main() -> None:
    finetune, data = read_params("finetune", FinetuneParams), read_params("data", DataParams)
    from pipeline.training import backend, checkpoints, examples
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
          + ("" if kept == "finetune" or not finetune.epochs else ", which no epoch of finetune has beaten"))
    _, top, head = models
    artifacts.FINETUNE_TOP.parent.mkdir(parents=True, exist_ok=True)
    top.save_weights(artifacts.FINETUNE_TOP)
    head.save_weights(artifacts.FINETUNE_HEAD)
    artifacts.write_history(artifacts.FINETUNE_HISTORY, progress.history)
    artifacts.write_json(artifacts.FINETUNE_SUMMARY, {**progress.summary(), "kept": kept})
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    with reported():
        main()
