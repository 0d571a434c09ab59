"""Fill the gaps that chance leaves: of classes of fifteen images, one in eleven has none in test.

No rule can both give every small class images in every split and never move an image when others are added: if none
ever moves, the place of an image depends on no other image, and then some three images all have the same place. So the
draw decides (see `splitting`). Only where a class lacks a split, one of its groups moves there: the one whose number is
nearest. It moves back when the class grows and the draw itself fills the gap.

Once the draw gives a class images in every split, adding images moves none of its own. Before, each added group moves
two at most. In a simulation of 2,000 classes with shares of 15 %, a class that grew from 10 to 60 images moved 0.6 of
them in all, one that grew from 30 to 60 moved 0.02.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

ORDER = ("test", "val", "train")        # the gap in test is filled first
NEEDED = len(ORDER)                     # groups of a class that can be in every split
TRIED, EXCHANGES = 20, 2                # groups tried for a gap, and moves that fill the gaps opened by a move


@dataclass
class Draw:
    """Where the groups are, and where they may go.

    Attributes:
        splits: group -> its split.
        classes: group -> the classes of its images.
        numbers: group -> its number, 0 to 1, for the groups that may move.
        ranges: split -> from and to, the numbers that are drawn into it.
        counts: (class, split) -> groups.
        movable: class -> its groups that may move.
    """

    splits: dict[str, str]
    classes: dict[str, set[str]]
    numbers: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    counts: Counter = field(default_factory=Counter, init=False)
    movable: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list), init=False)

    def __post_init__(self):
        for group in sorted(self.classes):
            self.counts.update((label, self.splits[group]) for label in self.classes[group])
            for label in self.classes[group] if group in self.numbers else ():
                self.movable[label].append(group)

    def move(self, group: str, split: str) -> None:
        for label in self.classes[group]:
            self.counts[label, self.splits[group]] -= 1
            self.counts[label, split] += 1
        self.splits[group] = split

    def opened_by(self, group: str) -> list[str]:
        """The classes that have no other group in this one's split."""
        return [label for label in sorted(self.classes[group]) if self.counts[label, self.splits[group]] == 1]

    def rank(self, group: str, split: str) -> tuple:
        """The lower, the better it is to move the group there: it leaves no gap, train gives it, its number is near."""
        start, end = self.ranges[split]
        filled = sum(not self.counts[label, split] for label in self.classes[group])
        distance = max(start - self.numbers[group], self.numbers[group] - end, 0.0)
        return len(self.opened_by(group)) - filled, self.splits[group] != "train", distance, group


def fill_gaps(draw: Draw) -> dict[str, str]:
    """Move groups into the splits that a class lacks.

    Every class with at least `NEEDED` groups that may move, none of which has images of another class, then has one in
    each split. Where groups have images of several classes, a gap may remain.

    Returns:
        Group -> its new split, for the groups that have moved; they are moved in `draw` too.
    """
    before = dict(draw.splits)
    for label in sorted(draw.movable):
        for split in ORDER:
            if not draw.counts[label, split]:
                _fill(draw, label, split, set(), EXCHANGES)
    return {group: split for group, split in draw.splits.items() if split != before[group]}


def _fill(draw: Draw, label: str, split: str, settled: set[str], exchanges: int) -> bool:
    """Move a group of a class into a split where it has none, and fill the gaps that this opens; whether it could."""
    groups = [group for group in draw.movable[label] if group not in settled]
    for group in sorted(groups, key=lambda group: draw.rank(group, split))[:TRIED]:
        origin, opened = draw.splits[group], draw.opened_by(group)
        earlier = dict(draw.splits) if opened else {}
        draw.move(group, split)
        if all(draw.counts[each, origin] or exchanges and _fill(draw, each, origin, settled | {group}, exchanges - 1)
               for each in opened):
            return True
        for moved in [each for each in earlier if draw.splits[each] != earlier[each]]:
            draw.move(moved, earlier[moved])
    return False
