"""Assign each image to train, val or test on its own, so that adding images never moves another one.

A salted hash of an image's bytes, or of its group if the user gave one, draws its split. Duplicates may be drawn into
different splits. The duplicate with the smallest key then decides, and those drawn into another split are left out. So
no picture is in two splits, and an image is either in the split that its own hash draws, or in none. (A rule that moved
all duplicates into one split could not keep that promise when a new image duplicates one in train and one in test.)
"""

import hashlib

import pandas as pd

SPLIT_NAMES = ("train", "val", "test")
SALTS_TRIED = 200       # how many to try for one that gives every class images in every split


def split_images(images: pd.DataFrame, val_share: float, test_share: float, salt: str) -> pd.DataFrame:
    """Add the columns `split` (train, val, test; "" if left out) and `left_out` (the reason, or "").

    A val or test split given by the user stays as it is, and no other image joins it. The splits that were not given
    are drawn from the other images, whose `given_split` is train or empty.

    Args:
        images: the table of images.csv.
        val_share, test_share: of the images that are drawn, 0 to 1.
        salt: another salt draws other splits.
    """
    key = images["group"].where(images["group"].ne(""), images["sha256"])
    split = _given_by_group(images).where(lambda given: given.isin(["val", "test"]), "")
    drawn = key.map({name: _draw(name, val_share, test_share, salt) for name in key.unique()})
    drawn = drawn.where(~drawn.isin(split.unique()), "train")
    split = split.where(split.ne(""), drawn)
    left_out = _left_out(images, key, split)
    return images.assign(split=split.where(left_out.eq(""), ""), left_out=left_out)


def _draw(key: str, val_share: float, test_share: float, salt: str) -> str:
    """The split of a key: its salted hash, read as a number from 0 to 1."""
    number = int(hashlib.sha256(f"{salt}\n{key}".encode()).hexdigest()[:13], 16) / 16**13
    return "test" if number < test_share else "val" if number < test_share + val_share else "train"


def _given_by_group(images: pd.DataFrame) -> pd.Series:
    """The given split of each image, or else that of another image in its group, or else ""."""
    of_group = images[images["group"].ne("") & images["given_split"].ne("")].groupby("group")["given_split"].first()
    return images["given_split"].where(images["given_split"].ne(""), images["group"].map(of_group).fillna(""))


def _left_out(images: pd.DataFrame, key: pd.Series, split: pd.Series) -> pd.Series:
    """Why an image is in no split, or ""."""
    work = images.assign(key=key, split=split, drawn=images["given_split"].eq(""))
    labels = work.groupby("duplicate_group")["label"].transform("nunique")
    decision = work.sort_values(["drawn", "key", "path"]).groupby("duplicate_group")["split"].first()
    decided = work["duplicate_group"].map(decision)
    reason = ("duplicates an image in " + decided).where(decided.ne(split) & images["given_split"].eq(""), "")
    return reason.where(labels < 2, "the same picture has conflicting labels")


def find_leaks(images: pd.DataFrame) -> list[dict]:
    """Find pictures and groups that are in two splits given by the user.

    Returns:
        `{what, images: [{path, split}]}` for each, sorted; `what` is "duplicates" or "one group".
    """
    given = images[images["given_split"].ne("")]
    leaks = []
    for column, what in (("duplicate_group", "duplicates"), ("group", "one group")):
        named = given[given[column].ne("")]
        leaking = named[named.groupby(column)["given_split"].transform("nunique") > 1]
        for _, members in leaking.groupby(column):
            rows = [{"path": path, "split": split} for path, split in zip(members["path"], members["given_split"])]
            leaks.append({"what": what, "images": rows})
    return sorted(leaks, key=lambda leak: (leak["what"], leak["images"][0]["path"]))


def count_by_class(split: pd.DataFrame) -> pd.DataFrame:
    """Count the images of each class (index, sorted) in each split (columns train, val, test)."""
    used = split[split["split"].ne("")]
    counts = pd.crosstab(used["label"], used["split"])
    return counts.reindex(index=sorted(split["label"].unique()), columns=list(SPLIT_NAMES), fill_value=0)


def find_salt(images: pd.DataFrame, val_share: float, test_share: float, salt: str) -> str | None:
    """Find another salt with which each class has an image in each split; None if none of `SALTS_TRIED` does."""
    if images["given_split"].isin(["val", "test"]).any():
        return None         # splits given by the user do not depend on the salt
    for number in range(2, SALTS_TRIED + 2):
        other = f"{salt}{number}"
        if (count_by_class(split_images(images, val_share, test_share, other)) > 0).all(axis=None):
            return other
    return None
