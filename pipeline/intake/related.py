"""Images that belong together: whatever learns from one of them must not be tested on another."""

import pandas as pd


def find_related(images: pd.DataFrame) -> pd.Series:
    """Name the set of related images that each image is in.

    Images are related if they are near-duplicates, or in one group of the user's, or related to the same image.

    Args:
        images: the table of images.csv.

    Returns:
        str, with the index of `images`: the smallest `duplicate_group` of the set.
    """
    groups = images["group"].where(images["group"].ne(""), images["sha256"])
    related, before = images["duplicate_group"], None
    while before is None or not related.equals(before):
        before = related
        related = related.groupby(groups).transform("min")
        related = related.groupby(images["duplicate_group"]).transform("min")
    return related
