"""Form groups in which every picture is like every other one: complete linkage.

A chain, in which each picture resembles the next but the ends do not resemble each other, is several groups.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable

SMALL = 8       # a picture that joins a group must be like all of its members, if they are no more than these …
COMPARED = 3    # … and like these, its first ones, if they are: comparing with all takes the square of the time


def group_alike(pairs: Iterable[tuple[int, int]], are_alike: Callable[[int, list[int]], bool]) -> list[list[int]]:
    """Group pictures that are alike. The order of the pairs does not matter.

    Args:
        pairs: known pairs of pictures that are alike; of a set of many copies, it need not contain all pairs.
        are_alike: whether a picture is like each picture in a list; asked about pairs that are not known.

    Returns:
        The groups, each of at least two pictures, the picture with the most known pairs first.
    """
    near = defaultdict(set)
    for one, other in pairs:
        near[one].add(other)
        near[other].add(one)
    grouped: set[int] = set()
    groups = []
    for seed in sorted(near, key=lambda each: (-len(near[each]), each)):
        if seed not in grouped:
            groups.append(_grow(seed, near, grouped, are_alike))
            grouped.update(groups[-1])
    return [group for group in groups if len(group) > 1]


def _grow(seed: int, near: dict[int, set[int]], grouped: set[int], are_alike) -> list[int]:
    """The seed, and what is near it or near another member, and like all of them."""
    members, waiting, met = [seed], deque(sorted(near[seed])), {seed, *near[seed]} | grouped
    while waiting:
        each = waiting.popleft()
        compared = members if len(members) <= SMALL else members[:COMPARED]
        unknown = [member for member in compared if member not in near[each]]
        if each not in grouped and (not unknown or are_alike(each, unknown)):
            members.append(each)
            waiting.extend(sorted(near[each] - met))
            met |= near[each]
    return members
