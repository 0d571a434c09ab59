"""Find out which folders above the images are classes, and which are splits that the user has made.

Names decide (`files.split_of`). Folders that only look like splits may be classes, and only the user knows: every doubt
is an error that names the setting for each answer.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from pipeline.arguments import WrongArgument
from pipeline.intake.files import split_of

SHOWN = 5

Folder = tuple[str, ...]        # Fruit/Apple is ("Fruit", "Apple"); the image folder itself is ()


@dataclass(frozen=True)
class Layout:
    """Which part of a folder's path is the split, and which is the class.

    Attributes:
        labels_from: which part is the class, once the split is taken away: the whole `path`, the `first` or the `last`.
        split_level: where in the path the split is, counted from 0; None without splits.
        wrapper: how many folders at the start of every path are the same, above the splits, and so no part of a class.
        doubled: folders that are alone in the folder of the same split, as in seg_train/seg_train: no part of a class.
    """

    labels_from: str = "path"
    split_level: int | None = None
    wrapper: int = 0
    doubled: frozenset[Folder] = frozenset()

    def split_and_label(self, folder: Folder) -> tuple[str, str]:
        """`("train", "Fruit", "Apple")` -> `("train", "Fruit/Apple")`. Outside the class folders, the label is ""."""
        split = "" if self.split_level is None else split_of(_name_at(folder, self.split_level))
        if not (folder := self.class_folder(folder)):
            return split, ""
        return split, {"path": "/".join(folder), "first": folder[0], "last": folder[-1]}[self.labels_from]

    def class_folder(self, folder: Folder) -> Folder:
        """The folder without its split; () above the splits."""
        level = self.split_level
        if level is None:
            return folder
        below = level + 1 + (folder[:level + 2] in self.doubled)
        return folder[self.wrapper:level] + folder[below:] if len(folder) > level else ()


def find_layout(images: Path, folders: set[Folder], labels_from: str, split_folders: bool, check: bool) -> Layout:
    """Find the layout of an image folder.

    Args:
        images: the folder, for the messages.
        folders: those without a subfolder, relative to it.
        labels_from, split_folders: see `listing.list_files`.
        check: refuse folders whose names are those of splits as classes.

    Raises:
        WrongArgument: if the folders do not fit `split_folders`, or are refused.
    """
    level = _split_level(folders)
    if split_folders and folders:
        return _layout_with_splits(images, folders, labels_from, level)
    if check:
        _refuse_splits_as_classes(images, folders, level)
    return Layout(labels_from)


def subfolders(folders: set[Folder]) -> dict[Folder, set[str]]:
    """Every folder on the way to `folders` -> the names of its subfolders."""
    tree = defaultdict(set)
    for folder in folders:
        for depth, name in enumerate(folder):
            tree[folder[:depth]].add(name)
    return dict(tree)


def shorten(names: list[str], shown: int = SHOWN) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def named_like_splits(names: list[str]) -> str:
    """Name folders that look like splits."""
    if len(names) == 1:
        return f"the folder {names[0]}, which is the name of a split"
    return f"the folders {shorten(names)}, which are names of splits"


def _name_at(folder: Folder, level: int) -> str:
    return folder[level] if len(folder) > level else ""


def _split_level(folders: set[Folder]) -> int | None:
    """The first level at which every folder has the name of a split."""
    depth = min(map(len, folders), default=0)
    return next((level for level in range(depth) if all(split_of(folder[level]) for folder in folders)), None)


def _layout_with_splits(images: Path, folders: set[Folder], labels_from: str, level: int | None) -> Layout:
    if level is None:
        raise WrongArgument({"split_folders": _why_no_split_level(images, folders)})
    has_wrapper = len({folder[:level] for folder in folders}) == 1 and any(len(each) > level + 1 for each in folders)
    return Layout(labels_from, level, level if has_wrapper else 0, _doubled(folders, level))


def _doubled(folders: set[Folder], level: int) -> frozenset[Folder]:
    """The folders at level + 1 that are alone in the folder of the same split."""
    inner = {folder[:level + 2] for folder in folders if len(folder) > level + 1}
    siblings = Counter(folder[:-1] for folder in inner)
    return frozenset(folder for folder in inner
                     if siblings[folder[:-1]] == 1 and split_of(folder[-1]) == split_of(folder[-2]))


def _why_no_split_level(images: Path, folders: set[Folder]) -> str:
    levels = range(max(map(len, folders)))
    level = next((each for each in levels if any(split_of(_name_at(folder, each)) for folder in folders)), 0)
    others = {"/".join(folder[:level + 1]) for folder in folders if not split_of(_name_at(folder, level))}
    return (f"true, but '{images}' contains {shorten(sorted(others))}. Expected only the folders train, val and test, "
            "with the class folders inside. Move the others out, or set it to false if no folder is a split.")


def _refuse_splits_as_classes(images: Path, folders: set[Folder], level: int | None) -> None:
    tree = subfolders(folders)
    for parent in sorted(tree, key=lambda parent: (len(parent), parent)):
        named = sorted(name for name in tree[parent] if split_of(name))
        if _are_splits(tree, parent, named):
            others = [] if level is not None else sorted(tree[parent] - set(named))
            is_lower = bool(parent) and level is None
            raise WrongArgument(_advice("/".join((str(images), *parent)), named, others, is_lower))


def _are_splits(tree: dict[Folder, set[str]], parent: Folder, named: list[str]) -> bool:
    """One class may be called "train" (the vehicle) or "test": two such names side by side are splits, and so is one
    that has no neighbour, or is the only one with subfolders.
    """
    if len({split_of(name) for name in named}) != 1:
        return bool(named)
    with_subfolders = [name for name in sorted(tree[parent]) if (*parent, name) in tree]
    return bool(with_subfolders or not parent) and set(with_subfolders or tree[parent]) <= set(named)


def _advice(where: str, named: list[str], others: list[str], is_lower: bool) -> dict[str, str]:
    move = f", and move the other folders out: {shorten(others)}" if others else ""
    advice = {"split_folders": f"'{where}' contains {named_like_splits(named)}. Set it to true{move}. If these are "
                               "classes, set check_folders: false."}
    return advice | {"images": f"set it to '{where}', where the splits are."} if is_lower else advice
