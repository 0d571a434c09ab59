"""The levels of the train and val images, as several stages read them."""

from pathlib import Path

FOLDS = 5       # of images that were not cross-validated


def read_features(images: Path):
    """Read the levels of all train and val images, and compute those that the cache lacks.

    Args:
        images: the folder of the images.

    Returns:
        Their rows of activations.csv, the `pipeline.probing.levels.Index`, and float32 `(images, 2, units)`, each image
        plain and mirrored.
    """
    from pipeline.probing import levels
    from tasks import artifacts

    table = artifacts.read_table(artifacts.ACTIVATIONS, artifacts.ACTIVATION_COLUMNS)
    table = table[table["split"].isin(["train", "val"])].sort_values("path").reset_index(drop=True)
    index = levels.Index(**artifacts.read_json(artifacts.LEVELS))
    views = levels.views_of(table["path"].tolist(), table["sha256"].tolist())
    features = levels.read_cached(artifacts.CACHE / "activations", index, views)
    if features is None:
        from pipeline.training import examples

        dataset = examples.open_dataset(**artifacts.read_extracted(), images=images)
        features = examples.read_levels(dataset, views)
    return table, index, features


def to_features(table, levels):
    """Pair the levels with the folds of the convex head, or with some where the head is the recipe's.

    Args:
        table: the rows of activations.csv, from `read_features`.
        levels: float32 `(images, 2, units)`, likewise.

    Returns:
        `pipeline.probing.selection.Features`.
    """
    from pipeline.probing.folds import assign_folds
    from pipeline.probing.selection import Features
    from tasks import artifacts

    labels, class_names = artifacts.read_labels(table)
    held_out = artifacts.read_held_out(artifacts.TRANSFER_HELD_OUT)[0]
    folds = held_out["fold"].to_numpy() if len(held_out) == len(table) else assign_folds(
        labels, table["group"].to_numpy(str), FOLDS)
    return Features(levels[:, 0], levels[:, 1], labels, folds, len(class_names), may_mirror())


def may_mirror() -> bool:
    """Whether a head may learn from mirrored images: not where `extract.augmentation.horizontal_flip` is false."""
    from tasks import artifacts

    return artifacts.read_json(artifacts.BACKBONE)["augmentation"]["horizontal_flip"] is not False


def compared(features, index, names: list[str]) -> tuple[float, bool, object]:
    """What cross-validation finds for a head on some levels: as `transfer` has written it, or computed now.

    Args:
        features: of all levels, from `to_features`.
        index: from `read_features`.
        names: the levels.

    Returns:
        The penalty, whether mirrored images help, and the log losses out of fold, float64 `(images,)`.
    """
    from pipeline.losses import log_losses
    from pipeline.probing.selection import compare
    from tasks import artifacts

    rows, columns = artifacts.read_table(artifacts.CANDIDATES, artifacts.CANDIDATE_COLUMNS), index.columns(names)
    for row, losses in zip(rows.itertuples(), artifacts.read_arrays(artifacts.CANDIDATE_LOSSES)):
        if (row.levels, row.units) == (names[0], len(columns)):
            return row.penalty, row.mirrored, losses
    found = compare(features, names, columns)
    return found.penalty, found.is_mirrored, log_losses(found.logits, features.labels)
