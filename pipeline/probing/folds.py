"""Divide images into folds for cross-validation: each class evenly, and what belongs together into one fold."""

import hashlib

import numpy as np
import pandas as pd


def assign_folds(labels: np.ndarray, groups: np.ndarray, folds: int) -> np.ndarray:
    """Number the fold of each image.

    Args:
        labels: int `(images,)`.
        groups: str `(images,)`; images of one group, such as near-duplicates, share a fold. The hash of its name gives
            a group its place, so that the order of the images does not matter.
        folds: how many at most. A class with fewer groups lowers the number, to no less than two.

    Returns:
        int `(images,)`, from 0.
    """
    table = pd.DataFrame({"label": labels, "group": groups})
    pairs = table.drop_duplicates()
    counts = pairs["label"].value_counts()              # groups of each class
    pairs = pairs.assign(groups=pairs["label"].map(counts)).sort_values(["groups", "label"])
    rarest = pairs.drop_duplicates("group")             # a group of several classes is divided with the rarest of them
    drawn = rarest.sort_values(["label", "group"], key=_shuffled)
    numbers = pd.Series(np.arange(len(drawn)) % max(2, min(folds, counts.min())), index=drawn["group"])
    return table["group"].map(numbers).to_numpy(int)


def _shuffled(column: pd.Series) -> pd.Series:
    if column.name == "label":
        return column
    return column.map(lambda group: hashlib.sha256(group.encode()).hexdigest())
