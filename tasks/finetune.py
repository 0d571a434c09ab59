"""Stage `finetune`: train the blocks above the cut at a low learning rate, together with the head.

Training starts from the optimum of the head on the last level, fitted to train alone (linear probing, then fine-tuning:
Kumar et al. 2022), and goes on to the last epoch, where the learning rate has fallen to zero. The val images only
judge: if the answers are better than those of transfer's model, beyond chance, the model is trained once more on train
and val together. If not, transfer's model is kept. Few val images cannot prove a gain that they show: then train images
judge, too, by models that have learnt from the others.
"""

from functools import partial
from pathlib import Path

from graft.errors import reported
from tasks.data import DataParams
from tasks.params import read_params
from tasks.tuning import FinetuneParams, Setting, Tuner

SIGNIFICANCE = 0.05     # chance of replacing a model of transfer that is as good
MANY = 100              # images that judge


def unknown_scores(dataset, top):
    """The unknown scores of the val images, float `(images,)`, with train as the reference."""
    from graft.model import unknown
    from pipeline.training import examples, folding

    top = folding.fold_batch_normalization(top)
    train, val = (examples.vectors(top, dataset.splits[name]) for name in ("train", "val"))
    return unknown.score(val.features[:, 0], unknown.fit(*train.rows(), len(dataset.class_names)))


def train(finetune: FinetuneParams, choice: dict, images: Path) -> dict:
    """Train, judge, and train on all images if the model is to be kept; write all outputs but the summary.

    Args:
        finetune: the stage's parameters.
        choice: of `choose`.
        images: the folder of the images.

    Returns:
        The content of summary.json.
    """
    from pipeline.training import backend
    from tasks import artifacts

    setting = Setting(choice["cut"], choice["learning_rate"])
    with backend.all_devices(finetune.batch_size):
        tuner = Tuner(finetune, images)
        dataset, models, progress, logits = tuner.fit(setting)
        scores = unknown_scores(dataset, models[1])
        chance = judge(tuner, setting, logits[-1])
        is_kept = chance <= SIGNIFICANCE
        if is_kept:
            models = tuner.fit_on_all(setting)
    artifacts.write_arrays(artifacts.FINETUNE_MODEL,
                           [*models[1].get_weights(), *models[2].get_weights()] if is_kept else [])
    artifacts.write_history(artifacts.FINETUNE_HISTORY, progress.history)
    artifacts.write_held_out(artifacts.FINETUNE_HELD_OUT,
                             artifacts.read_examples("val").assign(fold=0, unknown_score=scores), logits[-1])
    tuner.forget(setting)
    return {"kept": "finetune" if is_kept else "transfer", "chance": chance, **progress.summary()}


def judge(tuner: Tuner, setting: Setting, logits) -> float:
    """The chance of so good answers if the model were as good as that of transfer.

    Few val images that show a gain, but do not prove it, are followed by train images: see `chance_at_second_look`.

    Args:
        logits: float `(images, classes)`, of val.
    """
    from pipeline.probing import comparison
    from tasks import artifacts, held_out

    losses = held_out.judge(logits)
    chance = held_out.chance_against_transfer(losses)
    has_folds = artifacts.read_json(artifacts.TRANSFER_SUMMARY)["head"] != "recipe"
    if len(losses) >= MANY or not has_folds or not comparison.DECISIVE < chance < comparison.HOPELESS:
        return chance
    folds = held_out.folds_of_train(MANY)
    print(f"{len(losses)} val images show a gain, but do not prove it (p = {chance:.4f}): trained again {len(folds)} "
          "times, each time without some of the train images, which then judge", flush=True)
    second = held_out.chance_on_train(folds, partial(tuner.answer_fold, setting))
    print(f"on the train images, p = {second:.4f}", flush=True)
    return comparison.chance_at_second_look(chance, second)


def keep_transfer() -> dict:
    """Write the outputs of a stage that trains nothing; see `train`."""
    from tasks import artifacts

    artifacts.write_arrays(artifacts.FINETUNE_MODEL, [])
    artifacts.write_history(artifacts.FINETUNE_HISTORY, [])
    held_out, logits = artifacts.read_held_out(artifacts.TRANSFER_HELD_OUT)
    artifacts.write_held_out(artifacts.FINETUNE_HELD_OUT, held_out.head(0), logits[:0])
    return {"kept": "transfer", "epochs": 0, "best_epoch": 0}


def main() -> None:
    """Run the stage. A killed run continues from its checkpoint."""
    finetune, data = read_params("finetune", FinetuneParams), read_params("data", DataParams)
    from tasks import artifacts

    choice = artifacts.read_json(artifacts.CHOICE)
    if finetune.epochs == 0 or choice["cut"] is None:
        print("kept transfer's model: " + ("params.yaml: finetune.epochs is 0" if finetune.epochs == 0
                                           else "choose found nothing better than the head alone"))
        artifacts.write_json(artifacts.FINETUNE_SUMMARY, keep_transfer())
        return
    summary = train(finetune, choice, data.folder)
    artifacts.write_json(artifacts.FINETUNE_SUMMARY, summary)
    is_better = "better" if summary["kept"] == "finetune" else "not better, beyond chance,"
    print(f"kept {summary['kept']}'s model: on held-out images, finetune's is {is_better} than transfer's (p = "
          f"{summary['chance']:.4f})")


if __name__ == "__main__":
    with reported():
        main()
