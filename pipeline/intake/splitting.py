"""Who goes to train, val and test: decided for each image alone, so that adding images moves none.

Each image has a place of its own, from a salted hash of its bytes, or of its group where the user gave one. Copies of a
picture may have different places. Then one of them, with the smallest key, decides, and those with another place are
left out. So no picture stands in two splits, and an image is where its own hash says or nowhere. (A rule that moved
all copies to one place could not promise that: which is it when a copy of an image in train and one in test is added?)
"""

import hashlib

import pandas as pd

SPLIT_NAMES = ("train", "val", "test")
SALTS_TRIED = 200       # other salts, to suggest one when a class misses a split


def split_images(images: pd.DataFrame, val_share: float, test_share: float, salt: str) -> pd.DataFrame:
    """Add the columns `split` (train, val, test; "" when left out) and `left_out` (the reason, or "").

    A val or test set given by the user is kept as it is, and no other image joins it. A split that was not given is
    drawn from the rest, whose images all have the `given_split` train or none.

    Args:
        images: the table of images.csv.
    """
    key = images["group"].where(images["group"].ne(""), images["sha256"])
    place = _given_by_group(images).where(lambda given: given.isin(["val", "test"]), "")
    drawn = key.map({name: _draw(name, val_share, test_share, salt) for name in key.unique()})
    drawn = drawn.where(~drawn.isin(place.unique()), "train")
    place = place.where(place.ne(""), drawn)
    left_out = _left_out(images, key, place)
    return images.assign(split=place.where(left_out.eq(""), ""), left_out=left_out)


def _draw(key: str, val_share: float, test_share: float, salt: str) -> str:
    """The place of a key: its hash as a number from 0 to 1."""
    number = int(hashlib.sha256(f"{salt}\n{key}".encode()).hexdigest()[:13], 16) / 16**13
    return "test" if number < test_share else "val" if number < test_share + val_share else "train"


def _given_by_group(images: pd.DataFrame) -> pd.Series:
    """The given split of each image; where only others of its group have one, theirs."""
    of_group = images[images["group"].ne("") & images["given_split"].ne("")].groupby("group")["given_split"].first()
    return images["given_split"].where(images["given_split"].ne(""), images["group"].map(of_group).fillna(""))


def _left_out(images: pd.DataFrame, key: pd.Series, place: pd.Series) -> pd.Series:
    """Why an image is in no split, or ""."""
    work = images.assign(key=key, place=place, drawn=images["given_split"].eq(""))
    labels = work.groupby("duplicate_group")["label"].transform("nunique")
    decision = work.sort_values(["drawn", "key", "path"]).groupby("duplicate_group")["place"].first()
    decided = work["duplicate_group"].map(decision)
    reason = ("a copy of it stands in " + decided).where(decided.ne(place) & images["given_split"].eq(""), "")
    return reason.where(labels < 2, "the same picture stands under two labels")


def find_leaks(images: pd.DataFrame) -> list[dict]:
    """Pictures, and groups, that stand in two splits given by the user: `{what, images: [{path, split}]}`."""
    given = images[images["given_split"].ne("")]
    leaks = []
    for column, what in (("duplicate_group", "copies of one picture"), ("group", "one group")):
        named = given[given[column].ne("")]
        leaking = named[named.groupby(column)["given_split"].transform("nunique") > 1]
        for _, members in leaking.groupby(column):
            rows = [{"path": path, "split": split} for path, split in zip(members["path"], members["given_split"])]
            leaks.append({"what": what, "images": rows})
    return sorted(leaks, key=lambda leak: (leak["what"], leak["images"][0]["path"]))


def count_by_class(split: pd.DataFrame) -> pd.DataFrame:
    """Images of each class (index, sorted) in each split (columns train, val, test)."""
    used = split[split["split"].ne("")]
    counts = pd.crosstab(used["label"], used["split"])
    return counts.reindex(index=sorted(split["label"].unique()), columns=list(SPLIT_NAMES), fill_value=0)


def find_salt(images: pd.DataFrame, val_share: float, test_share: float, salt: str) -> str | None:
    """The first of some other salts with which each class has an image in each split."""
    if images["given_split"].isin(["val", "test"]).any():
        return None         # what the user gave does not change with the salt
    for number in range(2, SALTS_TRIED + 2):
        other = f"{salt}{number}"
        if (count_by_class(split_images(images, val_share, test_share, other)) > 0).all(axis=None):
            return other
    return None
