"""Judge answers to val against those of transfer's head, on images that neither had seen."""


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


def of_kept(kept: str) -> tuple:
    """The answers to the images that the kept model had not learnt from; see `tasks.artifacts.read_held_out`.

    Args:
        kept: the stage whose model it is, "transfer" or "finetune".
    """
    from tasks import artifacts

    return artifacts.read_held_out(artifacts.TRANSFER_HELD_OUT if kept == "transfer" else artifacts.FINETUNE_HELD_OUT)


def _of_transfer() -> tuple:
    """The logits of transfer's head for val, float `(images, classes)`, and the folds, int `(images,)`."""
    from tasks import artifacts

    table, logits = artifacts.read_held_out(artifacts.TRANSFER_HELD_OUT)
    rows = table.set_index("path").index.get_indexer(artifacts.read_examples("val")["path"])
    return logits[rows], table["fold"].to_numpy()[rows]
