"""A file that should be an image, and how names are read: shared by the folder listing and the label table."""

import unicodedata
from dataclasses import dataclass

SPLIT_FOLDERS = {       # a name in lower case -> the split it means
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file that should be an image.

    Attributes:
        path: relative to the image folder, with `/`.
        label: the class it belongs to, in Unicode form NFC.
        group: given by the user, for instance a patient: the split keeps a group together. Empty for none.
        split: given by the user: `train`, `val`, `test`, or empty.
    """

    path: str
    label: str
    group: str = ""
    split: str = ""


def printable(name: str) -> str:
    """Escape everything in a name that a text file cannot hold: control characters and undecodable bytes."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if unicodedata.category(c) != "Cc" else f"\\x{ord(c):02x}" for c in text)
