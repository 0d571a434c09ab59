"""The levels of the train and val images, as several stages read them."""

from pathlib import Path


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
