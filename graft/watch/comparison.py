"""Compare a version's answers in use with those to its test images: what has changed, and the accuracy to expect.

Tested are, by class, the distribution of its probability (Kolmogorov-Smirnov) and its share of the answers (Fisher);
the share of "unknown" (Fisher); and the distributions of the unknown scores and of the brightness (Kolmogorov-Smirnov).
Rabanser et al. (2019, "Failing Loudly") found tests of each output of the classifier, with Bonferroni's correction, the
best of many.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from graft.errors import GraftError
from graft.registry.address import parse
from graft.registry.retrieval import pull
from graft.watch.accuracy import expected_accuracy
from graft.watch.figures import Figures, added
from graft.watch.reference import Reference, fetch_reference
from graft.watch.statistics import Share, fisher, kolmogorov_smirnov, largest_gap, share
from graft.watch.windows import Window, newest, open_place

ENOUGH, FEWEST = 1000, 100          # images: so many are compared if there are, and no fewer
OLDEST = timedelta(days=7)
FALSE_ALARMS = 0.05                 # the share of comparisons that find a change where there is none, at most
DRIFTED, STEADY, FEW, QUIET = "drifted", "as in test", "too few images", "quiet"
TOLD = 10                           # classes, in words
KINDS = 5                           # of tests, which share `FALSE_ALARMS`


@dataclass(frozen=True)
class ClassChange:
    """How a class has changed.

    Attributes:
        now, before: its share of the answers, "unknown" left out, in use and in test.
        gap: see `largest_gap`, between the distributions of its probability.
        has_share, has_gap: whether share and distribution have changed, by a test.
    """

    name: str
    now: Share
    before: Share
    gap: float
    has_share: bool
    has_gap: bool

    @property
    def has_changed(self) -> bool:
        """Whether share or distribution have changed."""
        return self.has_share or self.has_gap


@dataclass(frozen=True)
class Comparison:
    """What came out. Without enough images, there is only the verdict and its reason.

    Attributes:
        model: the version, as NAME@NUMBER.
        verdict: `DRIFTED`, `STEADY`, `FEW` or `QUIET`.
        changes: what has changed, or why nothing can be said, a sentence each.
        windows: those that were compared, the newest first.
        images, test_images: how many.
        unknown, unknown_before: the share of "unknown" in use and in test.
        accuracy, accuracy_before: of the answers that are not "unknown": to expect in use, and in test.
        classes: in the model's order.
    """

    model: str
    verdict: str
    changes: list[str]
    windows: list[Window] = field(default_factory=list)
    images: int = 0
    test_images: int = 0
    unknown: Share | None = None
    unknown_before: Share | None = None
    accuracy: Share | None = None
    accuracy_before: Share | None = None
    classes: list[ClassChange] = field(default_factory=list)


def watch(model: str, place: str, registry: str | None = None, now: datetime | None = None) -> Comparison:
    """Compare the newest windows of a model with the test images of the version that answered.

    Args:
        model: an address; `pets` means the version of the newest window. See `graft.registry.pull`.
        place: where the windows are, a folder or `s3://bucket/prefix`.
        registry: the registry of an address that does not include one.
        now: the present time, with its zone.

    Raises:
        GraftError: if there is no such version, it carries no answers to test images, or the place cannot be read.
    """
    address, now = parse(model, registry), now or datetime.now(UTC)
    number = pull(model, registry=registry).version if address.alias else address.number
    found = _enough(newest(open_place(place), address.name, number), now - OLDEST)
    if not found:
        asked = f"{address.name}@{number}" if number else address.name
        return Comparison(asked, QUIET, [f"{place} holds no window of {asked}: nothing was ever logged there."])
    if found[0].ended < now - OLDEST:
        return Comparison(found[0].model, QUIET, [f"The last answer was logged on {found[0].ended:%Y-%m-%d}."])
    return compare(fetch_reference(f"{address.registry}/{found[0].model}"), found)


def _enough(windows: Iterator[Window], oldest: datetime) -> list[Window]:
    """The newest window, and more of them until there are enough images or one ended before `oldest`."""
    found, images = list[Window](), 0
    for window in windows:
        if found and (window.ended < oldest or images >= ENOUGH):
            break
        found.append(window)
        images += window.figures.images
    return found


def compare(reference: Reference, windows: list[Window]) -> Comparison:
    """Compare windows of one version with its reference.

    Args:
        windows: at least one, the newest first.

    Raises:
        GraftError: if their classes are not those of the reference.
    """
    before = reference.figures
    if any(each.figures.class_names != before.class_names for each in windows):
        raise GraftError(f"the windows of {reference.model} count other classes than this version has: "
                         "another model was served under its name.")
    figures = added(each.figures for each in windows)
    if figures.images < FEWEST:
        return Comparison(reference.model, FEW, [f"{figures.images} images were answered: at least {FEWEST} are "
                                                 "needed."], windows, figures.images, before.images)
    classes, others = compare_classes(before, figures), compare_images(before, figures)
    changes = [*others, *_in_words(classes)]
    return Comparison(
        reference.model, DRIFTED if changes else STEADY, changes, windows, figures.images, before.images,
        share(figures.unknown, figures.images), share(before.unknown, before.images),
        expected_accuracy(reference, figures), share(int(reference.right.sum()), before.known), classes)


def compare_classes(before: Figures, now: Figures) -> list[ClassChange]:
    """How each class has changed; of two classes, whose figures mirror each other, only the first is tested."""
    names = before.class_names
    tested = 1 if len(names) == 2 else len(names)
    limit = FALSE_ALARMS / KINDS / tested
    rows = []
    for number, name in enumerate(names):
        gap = largest_gap(now.probabilities[number], before.probabilities[number])
        counts = int(now.answers[number]), now.known, int(before.answers[number]), before.known
        rows.append(ClassChange(
            name, share(*counts[:2]), share(*counts[2:]), gap,
            has_share=number < tested and fisher(*counts) < limit,
            has_gap=number < tested and kolmogorov_smirnov(gap, now.images, before.images) < limit))
    return rows


def compare_images(before: Figures, now: Figures) -> list[str]:
    """What has changed of the images themselves, a sentence each."""
    changes = []
    if fisher(now.unknown, now.images, before.unknown, before.images) < FALSE_ALARMS / KINDS:
        changes.append(f"“unknown” is {share(now.unknown, now.images)} of the answers, in test "
                       f"{share(before.unknown, before.images)}.")
    if gap := _moved(before.unknown_scores, now.unknown_scores):
        like = "less" if _mean(now.unknown_scores) > _mean(before.unknown_scores) else "more"
        changes.append(f"The images are {like} like the training images: the unknown scores of {gap:.0%} have moved.")
    if gap := _moved(before.brightness, now.brightness):
        than = "brighter" if _mean(now.brightness) > _mean(before.brightness) else "darker"
        changes.append(f"The images are {than}: the brightness of {gap:.0%} has moved.")
    return changes


def _moved(before: np.ndarray, now: np.ndarray) -> float:
    """The gap between two histograms if the test finds one, else 0; also if one of them is empty."""
    if not before.any() or not now.any():
        return 0.0
    gap = largest_gap(now, before)
    return gap if kolmogorov_smirnov(gap, int(now.sum()), int(before.sum())) < FALSE_ALARMS / KINDS else 0.0


def _mean(counts: np.ndarray) -> float:
    return counts @ np.arange(len(counts)) / counts.sum()


def _in_words(classes: list[ClassChange]) -> list[str]:
    """A sentence for each class that has changed, the most first."""
    changed = sorted((each for each in classes if each.has_changed), key=lambda each: -each.gap)
    more = [f"{len(changed) - TOLD} more classes have changed."] if len(changed) > TOLD else []
    return [_sentence(each) for each in changed[:TOLD]] + more


def _sentence(change: ClassChange) -> str:
    moved = f"has moved for {change.gap:.0%} of the images."
    if not change.has_share:
        return f"The probability of {change.name} {moved}"
    return f"{change.name} is {change.now} of the answers, in test {change.before}" + (
        f"; its probability {moved}" if change.has_gap else ".")
