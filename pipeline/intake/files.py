"""A file that should be an image, and how names are read: shared by the folder listing and the label table."""

import re
from dataclasses import dataclass

SPLITS = ("train", "val", "test")
SPLIT_WORDS = {         # a word for a split, as people write it -> the split
    **dict.fromkeys(("train", "training", "trn", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "development", "eval", "evaluation"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), "test"),
}
_AROUND = "(?:the|my|sets?|data|images?|imgs?|photos?|pictures?|pics?|files?|folder|split|samples?|seg)*"
_SPLIT_NAME = re.compile(f"{_AROUND}({'|'.join(sorted(SPLIT_WORDS, key=len, reverse=True))}){_AROUND}")


@dataclass(frozen=True, slots=True)
class File:
    """One file that should be an image.

    Attributes:
        path: relative to the image folder, with `/`.
        label: the class it belongs to, in Unicode form NFC.
        group: given by the user, for instance a patient, in NFC: the split keeps a group together. Empty for none.
        split: given by the user: `train`, `val`, `test`, or empty.
    """

    path: str
    label: str
    group: str = ""
    split: str = ""


def split_of(name: str) -> str:
    """The split that a name means: `Training_Set`, `train2017` and `seg_train` are train; "" if it means none."""
    match = _SPLIT_NAME.fullmatch(re.sub(r"[\W\d_]+", "", name.lower()))
    return SPLIT_WORDS[match[1]] if match else ""
