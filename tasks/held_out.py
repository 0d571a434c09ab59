"""Judge answers against those of transfer's head, on images that neither had seen."""

from collections.abc import Callable


def judge(logits):
    """The loss on each val image at the temperature that the other folds chose, float `(images,)`.

    Args:
        logits: float `(images, classes)`, of val.
    """
    from pipeline.probing import comparison
    from tasks import artifacts

    _, folds = _of_transfer()
    labels, _ = artifacts.read_labels(artifacts.read_examples("val"))
    return comparison.losses_by_others(logits, labels, folds)


def transfer_logits():
    """The answers of transfer's head to val, float `(images, classes)`, in the order of activations.csv."""
    return _of_transfer()[0]


def chance_against_transfer(losses) -> float:
    """The chance of losses on val that much lower than those of transfer's head if the models were equally good.

    Args:
        losses: float `(images,)`, of the best of the settings that `choose` tried, if it tried any.
    """
    from pipeline.probing.comparison import chance_of_gain
    from tasks import artifacts

    head = judge(transfer_logits())
    return chance_of_gain(head - losses, [head - tried for tried in artifacts.read_arrays(artifacts.TRIAL_LOSSES)])


def folds_of_train(at_least: int) -> list[int]:
    """The first folds of transfer's that have so many train images together; all of them if there are fewer."""
    import numpy as np

    counts = np.bincount(_of_transfer("train")[1])
    return list(range(min(len(counts), 1 + int(np.searchsorted(counts.cumsum(), at_least)))))


def chance_on_train(folds: list[int], answer: Callable) -> float:
    """The same on train images, by which no setting was chosen: both models answer a fold after learning from the rest.

    Args:
        folds: of transfer's.
        answer: from a fold, and the folds of all train and val images, to logits of the fold's train images.
    """
    import numpy as np

    from pipeline.probing import comparison
    from tasks import artifacts

    logits, own = _of_transfer("train")
    everything = np.concatenate([own, _of_transfer("val")[1]])
    answers = np.concatenate([answer(fold, everything) for fold in folds])
    places = np.concatenate([np.flatnonzero(own == fold) for fold in folds])
    labels = artifacts.read_labels(artifacts.read_examples("train"))[0][places]
    head, tuned = (comparison.losses_by_others(each, labels, own[places]) for each in (logits[places], answers))
    return comparison.chance_of_gain(head - tuned)


def of_kept(kept: str) -> tuple:
    """The answers to the images that the kept model had not learnt from; see `tasks.artifacts.read_held_out`.

    Where all images of a class are in one fold, as they belong together, a model without this fold did not know the
    class: what it answers to them says nothing of one that does.

    Args:
        kept: the stage whose model it is, "transfer" or "finetune".
    """
    from tasks import artifacts

    path = artifacts.TRANSFER_HELD_OUT if kept == "transfer" else artifacts.FINETUNE_HELD_OUT
    table, logits = artifacts.read_held_out(path)
    is_known = (table.groupby("label")["fold"].transform("nunique") > 1).to_numpy()
    if table["fold"].nunique() == 1 or not is_known.any():      # train alone was learnt from; or this is all there is
        return table, logits
    return table[is_known].reset_index(drop=True), logits[is_known]


def _of_transfer(split: str = "val") -> tuple:
    """The logits of transfer's head for a split, float `(images, classes)`, and the folds, int `(images,)`."""
    from tasks import artifacts

    table, logits = artifacts.read_held_out(artifacts.TRANSFER_HELD_OUT)
    rows = table.set_index("path").index.get_indexer(artifacts.read_examples(split)["path"])
    return logits[rows], table["fold"].to_numpy()[rows]
