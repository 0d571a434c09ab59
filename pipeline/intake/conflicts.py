"""Find copies under several labels: of exact copies one label is wrong; of near-duplicates only the user knows."""

import pandas as pd


def find_conflicting(images: pd.DataFrame) -> pd.Series:
    """Whether an image has the bytes of an image with another label.

    Args:
        images: with the columns label and sha256.

    Returns:
        bool, with the index of `images`.
    """
    return images.groupby("sha256")["label"].transform("nunique") > 1


def find_doubtful(images: pd.DataFrame) -> pd.Series:
    """Whether an image has a near-duplicate with another label, apart from the images that are in conflict.

    Args:
        images: with the columns label, sha256 and duplicate_group.

    Returns:
        bool, with the index of `images`.
    """
    rest = images[~find_conflicting(images)]
    doubtful = rest.groupby("duplicate_group")["label"].transform("nunique") > 1
    return doubtful.reindex(images.index, fill_value=False)


def find_settled(images: pd.DataFrame) -> pd.Series:
    """Whether the user has decided to use an image and all its near-duplicates.

    Args:
        images: with the columns duplicate_group and is_settled.

    Returns:
        bool, with the index of `images`.
    """
    return images.groupby("duplicate_group")["is_settled"].transform("all")


def find_open(images: pd.DataFrame) -> pd.Series:
    """`find_doubtful`, but for the images on which the user has decided."""
    return find_doubtful(images) & ~find_settled(images)
