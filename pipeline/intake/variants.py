"""Find folders that contain the same subfolders, such as original/cat, original/dog, rotated/cat and rotated/dog.

They are variants, sources or splits of the same classes more often than classes of their own, but `Cat/young` and
`Dog/young` may well be classes. Only the user knows.
"""

import re
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

from pipeline.arguments import WrongArgument
from pipeline.intake.layout import Folder, shorten, subfolders

ALIKE = 0.75        # share of the subfolders of the smaller folder that the other one has too


def refuse_variants(images: Path, folders: set[Folder]) -> None:
    """Raise `WrongArgument`, with the setting for each meaning, if `find_variants` finds any."""
    folders = folders - {()}
    if not (variants := find_variants(folders)):
        return
    tree = subfolders(folders)
    shared = {plain(name) for variant in variants[1:] for name in tree[variant]}
    names = sorted(name for name in tree[variants[0]] if plain(name) in shared)
    places = ["/".join(variant) or f"{images} itself" for variant in variants]
    last, first = (sorted({folder[place] for folder in folders}) for place in (-1, 0))
    raise WrongArgument({"labels_from": "\n  ".join((
        f"path, but several folders in '{images}' contain the same folders: {shorten(names)} are in {shorten(places)}. "
        "Set what they are:",
        f"variants or sources of the same classes: labels_from: last (the classes are {shorten(last)})",
        f"subdivisions of a class: labels_from: first (the classes are {shorten(first)})",
        "splits: rename them train, val and test, and set split_folders: true",
        f"{len(folders)} different classes, such as {'/'.join(min(folders))}: check_folders: false",
        f"only one of them is wanted: set data.images to '{'/'.join((str(images), *max(variants, key=len)))}'",
    ))})


def find_variants(folders: set[Folder]) -> list[Folder]:
    """Find folders with the same, or nearly the same, subfolders: at least two, and `ALIKE` of those of the smaller.

    In a real hierarchy some names recur (Apple/healthy, Potato/healthy). So folders count only if those that are alike
    contain more than half of all subfolders of a level.

    Args:
        folders: the paths of the class folders.

    Returns:
        The folders that are alike, sorted; none if there are none.
    """
    tree = {parent: {plain(name) for name in names} for parent, names in subfolders(folders).items()}
    alike = _alike(tree)
    for depth in sorted(set(map(len, tree))):
        level = [parent for parent in tree if len(parent) == depth]
        found = sorted(parent for parent in level if parent in alike)
        if 2 * sum(len(tree[parent]) for parent in found) > sum(len(tree[parent]) for parent in level):
            largest = max(found, key=lambda parent: len(tree[parent]))
            return sorted({largest, *alike[largest]})
    return []


def plain(name: str) -> str:
    """A name without what people spell in several ways: case, spaces, - and _."""
    return re.sub(r"[\s_-]+", "", name.casefold())


def _alike(tree: dict[Folder, set[str]]) -> dict[Folder, list[Folder]]:
    """Each folder that is like another one -> all that are like it, itself included."""
    having = defaultdict(list)
    for parent, names in tree.items():
        having[frozenset(names)].append(parent)
    near = defaultdict(list)
    for one, other in _near([names for names in having if len(names) > 1]):
        near[one] += having[other]
        near[other] += having[one]
    alike = {names: [*parents, *near[names]] for names, parents in having.items() if len(names) > 1}
    return {parent: others for others in alike.values() if len(others) > 1 for parent in others}


def _near(sets: list[frozenset[str]]) -> list[tuple[frozenset[str], frozenset[str]]]:
    having = defaultdict(list)
    for number, names in enumerate(sets):
        for name in names:
            having[name].append(number)
    shared = Counter(pair for numbers in having.values() for pair in combinations(numbers, 2))
    return [(sets[one], sets[other]) for (one, other), count in shared.items()
            if count >= max(2, ALIKE * min(len(sets[one]), len(sets[other])))]
