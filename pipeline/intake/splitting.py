"""Assign each image to train, val or test on its own, so that adding images does not move another one.

A salted hash of an image's bytes, or of its group if the user gave one, draws its split. Where chance leaves a class
without a split, a group of the class moves there (see `gaps`). A val or test split that the user has given keeps its
images; the classes that it lacks are completed in the same way, from train.

Duplicates may be drawn into different splits. The duplicate with the smallest key then decides, and those drawn into
another split are left out. So no picture is in two splits. (A rule that moved all duplicates into one split would move
an old image whenever a new one duplicates it.) Near-duplicates with different labels are different pictures, as the
user has said: they are drawn together, and none is left out.
"""

import hashlib

import pandas as pd

from pipeline.intake.conflicts import find_conflicting, find_doubtful
from pipeline.intake.files import SPLITS
from pipeline.intake.gaps import NEEDED, Draw, fill_gaps

CONFLICT = "an exact copy has another label"


def split_images(images: pd.DataFrame, val_share: float, test_share: float, salt: str) -> pd.DataFrame:
    """Add the columns `split` (train, val, test; "" if left out), `left_out` (the reason, or "") and `moved`.

    No image that the user has put into val or test moves. Other images, whose `given_split` is train or empty, join
    such a split only where one of their classes lacks it; they are drawn into the splits that were not given.

    Args:
        images: the table of images.csv.
        val_share, test_share: of the images that are drawn, 0 to 1.
        salt: another salt draws other splits.

    Returns:
        `images` with these columns. `moved` is True if an image is not where it was drawn, because its class had no
        image there.
    """
    key = _keys(images)
    numbers = {each: _number(each, salt) for each in key.unique()}
    given = _given_by_group(images).where(lambda given: given.isin(["val", "test"]), "")
    ranges = _ranges(val_share, test_share)
    free = {name: limits for name, limits in ranges.items() if name not in set(given)}
    drawn = key.map({each: _draw(number, free) for each, number in numbers.items()})
    split = given.where(given.ne(""), drawn)
    moves = key.map(_moves(images, given, split, numbers, ranges)).where(given.eq("")).fillna("")
    split = split.where(moves.eq(""), moves)
    left_out = _left_out(images, key, split)
    used = left_out.eq("")
    return images.assign(split=split.where(used, ""), left_out=left_out, moved=moves.ne("") & used)


def _keys(images: pd.DataFrame) -> pd.Series:
    """The group of each image: the user's, or its bytes. Near-duplicates with different labels join their groups."""
    own = key = images["group"].where(images["group"].ne(""), images["sha256"])
    joined = images["duplicate_group"].where(find_doubtful(images), images["sha256"])
    while not key.equals(smallest := _smallest(_smallest(key, joined), own)):
        key = smallest
    return key


def _smallest(key: pd.Series, group: pd.Series) -> pd.Series:
    """The smallest key of each image's group."""
    return key.groupby(group).transform("min")


def _number(key: str, salt: str) -> float:
    """The salted hash of a key, from 0 to 1."""
    return int(hashlib.sha256(f"{salt}\n{key}".encode()).hexdigest()[:13], 16) / 16**13


def _ranges(val_share: float, test_share: float) -> dict[str, tuple[float, float]]:
    """The numbers that are drawn into each split, from and to."""
    held_out = test_share + val_share
    return {"test": (0, test_share), "val": (test_share, held_out), "train": (held_out, 1)}


def _draw(number: float, ranges: dict[str, tuple[float, float]]) -> str:
    return next((name for name, (start, end) in ranges.items() if start <= number < end), "train")


def _moves(images: pd.DataFrame, given: pd.Series, split: pd.Series, numbers: dict, ranges: dict) -> dict[str, str]:
    """Key -> split, for the groups that fill a gap."""
    deciding = find_deciding(images).assign(split=split, is_given=given.ne(""))
    few = deciding.groupby("label")["key"].transform("nunique") < NEEDED
    classes = deciding[~few].groupby("key")["label"].agg(set).to_dict()
    fixed = set(deciding["key"][deciding["is_given"]])
    movable = {key: numbers[key] for key in classes if key not in fixed}
    return fill_gaps(Draw(deciding.set_index("key")["split"].to_dict(), classes, movable, ranges))


def find_deciding(images: pd.DataFrame) -> pd.DataFrame:
    """The image of each picture that decides about its duplicates.

    Returns:
        A row of `label` and `key` per picture, its group, with the index of `images`. Pictures with conflicting labels
        are left out; near-duplicates with different labels are pictures of their own.
    """
    return _deciding_first(images, _keys(images)).drop_duplicates(["duplicate_group", "label"])[["label", "key"]]


def _deciding_first(images: pd.DataFrame, key: pd.Series) -> pd.DataFrame:
    """The images without a conflict; of duplicates, one that the user has put into val or test comes first."""
    rank = images["given_split"].map({"val": 0, "test": 0, "train": 1}).fillna(2)
    return images.assign(key=key, rank=rank)[~find_conflicting(images)].sort_values(["rank", "key", "path"])


def _given_by_group(images: pd.DataFrame) -> pd.Series:
    """The given split of each image, or else that of another image in its group, or else ""."""
    of_group = images[images["group"].ne("") & images["given_split"].ne("")].groupby("group")["given_split"].first()
    return images["given_split"].where(images["given_split"].ne(""), images["group"].map(of_group).fillna(""))


def _left_out(images: pd.DataFrame, key: pd.Series, split: pd.Series) -> pd.Series:
    """Why an image is in no split, or ""."""
    deciding = _deciding_first(images.assign(split=split), key).drop_duplicates("duplicate_group")
    decided, given = (images["duplicate_group"].map(deciding.set_index("duplicate_group")[name]).fillna("")
                      for name in ("split", "given_split"))
    is_leak = images["given_split"].ne("") & given.isin(["val", "test"])        # see `find_leaks`
    reason = ("duplicates an image in " + decided).where(decided.ne(split) & ~is_leak, "")
    return reason.where(~find_conflicting(images), CONFLICT)


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
    return counts.reindex(index=sorted(split["label"].unique()), columns=list(SPLITS), fill_value=0)
