"""Stage `finetune`: the blocks above the cut, retrained at a low learning rate together with the head."""

from pathlib import Path

from graft.errors import reported
from tasks.params import DataParams, FitParams, params, read_params


@params
class FinetuneParams(FitParams):
    """`fit`'s parameters and no others; the shape of the head is transfer's."""


def finetune_top(dataset, head_shape: dict, head_weights: Path, finetune: FinetuneParams, checkpoint: Path):
    """Fit top and head, starting from transfer's model, which stands when nothing better on val is found.

    Returns the top, the head and the progress.
    """
    from graft.training import backbones, fitting, heads

    _, top = dataset.models()
    head = heads.build_head(top.output.shape[-1], len(dataset.class_names), **head_shape)
    head.load_weights(head_weights)
    model = heads.trainable_model(top, head)
    backbones.freeze_batch_normalization(model)
    train, val = dataset.splits["train"], dataset.splits["val"]
    return top, head, fitting.fit(model, train, val, checkpoint=checkpoint, **finetune.options())


def main() -> None:
    finetune, data = read_params("finetune", FinetuneParams), read_params("data", DataParams)
    from graft.training import checkpoints, examples, runtime
    from tasks import artifacts

    runtime.make_deterministic(finetune.seed)
    dataset = examples.open_dataset(**artifacts.read_extracted(), images=Path(data.images))
    dataset.fill()
    inputs = [artifacts.BACKBONE, artifacts.ACTIVATIONS, artifacts.TRANSFER_HEAD, Path(__file__)]
    checkpoint = checkpoints.checkpoint_path(artifacts.CACHE / "finetune", finetune, inputs)
    head_shape = artifacts.read_json(artifacts.TRANSFER_SUMMARY)["head"]
    top, head, progress = finetune_top(dataset, head_shape, artifacts.TRANSFER_HEAD, finetune, checkpoint)
    kept = "finetune" if progress.best_epoch >= 0 else "transfer"
    print(f"kept {kept}'s model: val loss {progress.best_loss:.4f}")
    artifacts.FINETUNE_TOP.parent.mkdir(parents=True, exist_ok=True)
    top.save_weights(artifacts.FINETUNE_TOP)
    head.save_weights(artifacts.FINETUNE_HEAD)
    artifacts.write_history(artifacts.FINETUNE_HISTORY, progress.history)
    artifacts.write_json(artifacts.FINETUNE_SUMMARY, {**progress.summary(), "head": head_shape, "kept": kept})


if __name__ == "__main__":
    with reported():
        main()
