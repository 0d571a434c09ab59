"""The findings about collected pictures: those that look alike, the others from the most useful one on, and copies."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graft.model.classifier import Prediction
from graft.predict.ranking import rank, to_length_1, uncertainty
from graft.predict.writers import hedge
from pipeline.intake.decisions import DROP, LABEL
from pipeline.intake.duplicates import find_groups
from pipeline.intake.fingerprint import Fingerprint
from pipeline.review.queue import Finding, Picture

ALIKE = 3               # pictures, at least, of a group that may be a new class …
MOST_ALIKE = 60         # … and at most: they are shown beside each other
MOST_GROUPED = 3000     # unknown pictures that are compared with each other
MOST_RANKED = 2000      # pictures that are put in order; nobody decides on more at once, and the others follow
LABELS = 5              # classes that are at hand


@dataclass(frozen=True)
class Seen:
    """A collected picture as the model sees it now.

    Attributes:
        file: its name, in the folder of the inbox.
        about: which version answered when it was collected, and when.
        features: float32 `(units,)`, pooled.
    """

    file: str
    about: str
    fingerprint: Fingerprint
    answer: Prediction
    features: np.ndarray

    @property
    def sha256(self) -> str:
        return self.fingerprint.sha256

    @property
    def note(self) -> str:
        """What the model answers, and when the picture was collected."""
        said = f"{hedge(vars(self.answer))}{self.answer.label} {self.answer.probability:.0%}"
        return ", ".join(filter(None, [said, self.about]))


def of_collected(seen: Sequence[Seen], data: Mapping[str, tuple[str, Fingerprint]], labelled: np.ndarray,
                 spread: float) -> list[Finding]:
    """The findings, in the order in which they are asked.

    Args:
        seen: the pictures.
        data: path -> label and fingerprint of the images in the data set.
        labelled: float `(others, units)`, features of what has a label.
        spread: how far the features of two images of one class are apart.
    """
    known, groups = _sort_out(seen, data)
    found = [_copy(each, path, data[path][0]) for each, path in known]
    ranked = _ranked(groups, labelled)
    alike = _alike([group for group in ranked if group[0].answer.is_unknown][:MOST_GROUPED], spread)
    taken = {id(group) for each in alike for group in each}
    return [*map(_class_maybe, alike), *[_single(group) for group in ranked if id(group) not in taken], *found]


def _ranked(groups: list[list[Seen]], labelled: np.ndarray) -> list[list[Seen]]:
    """The pictures from the most useful one on."""
    if not groups:
        return []
    features = np.stack([group[0].features for group in groups])
    order = rank(features, [uncertainty(group[0].answer) for group in groups], labelled, MOST_RANKED).tolist()
    return [groups[each] for each in [*order, *sorted(set(range(len(groups))) - set(order))]]


def _sort_out(seen: Sequence[Seen], data: Mapping[str, tuple[str, Fingerprint]],
              ) -> tuple[list[tuple[Seen, str]], list[list[Seen]]]:
    """The pictures that the data set holds, with the path there; and the others, near-copies together, largest first.
    """
    names = find_groups([*(fingerprint for _, fingerprint in data.values()), *(each.fingerprint for each in seen)])
    path_of = dict(zip(reversed(names[:len(data)]), reversed(data)))
    known, groups = [], defaultdict(list)
    for each, name in zip(seen, names[len(data):]):
        if name in path_of:
            known.append((each, path_of[name]))
        else:
            groups[name].append(each)
    return known, [sorted(group, key=_size) for group in groups.values()]


def _size(seen: Seen) -> tuple[int, int, str]:
    """The picture with the most pixels comes first, and of those the one with the most bytes."""
    fingerprint = seen.fingerprint
    return -fingerprint.width_px * fingerprint.height_px, -fingerprint.size_bytes, fingerprint.sha256


def _alike(groups: list[list[Seen]], spread: float) -> list[list[list[Seen]]]:
    """Pictures that are as near to each other as those of one class are, on average; the most numerous first."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(groups) < ALIKE:
        return []
    tree = linkage(to_length_1(np.stack([group[0].features for group in groups])), "average")
    clusters = defaultdict(list)
    for group, name in zip(groups, fcluster(tree, spread, "distance")):
        clusters[name].append(group)
    parts = [each[start:start + MOST_ALIKE] for each in clusters.values() for start in range(0, len(each), MOST_ALIKE)]
    return sorted((each for each in parts if len(each) >= ALIKE), key=len, reverse=True)


def _class_maybe(alike: list[list[Seen]]) -> Finding:
    likely = Counter(group[0].answer.label for group in alike)
    return Finding("alike", tuple(map(_picture, alike)), {}, tuple(name for name, _ in likely.most_common(LABELS)))


def _single(group: list[Seen]) -> Finding:
    return Finding("collected", (_picture(group),), {}, tuple(group[0].answer.probabilities)[:LABELS])


def _picture(group: list[Seen]) -> Picture:
    first, copies = group[0], tuple(each.sha256 for each in group[1:])
    more = f"; the largest of {len(group)} near-copies, of which the others are dropped" if copies else ""
    return Picture(first.file, first.sha256, "", first.note + more, copies)


def _copy(seen: Seen, path: str, label: str) -> Finding:
    """One that the data set holds. If it was put there, but the decision was not written, that is what is proposed."""
    is_itself = path.rpartition("/")[2] == seen.file
    picture = Picture(seen.file, seen.sha256, "", f"a copy of {path} ({label}); {seen.note}")
    return Finding("known", (picture,), {seen.sha256: LABEL + label if is_itself else DROP}, (label,))
