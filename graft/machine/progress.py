"""Show how far a loop is: a bar in a terminal, a line every few seconds in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
EVERY_S = 5.0           # between two lines in a log


def shown(items: Iterable[Item], total: int, what: str, unit: str) -> Iterator[Item]:
    """Yield the items, and show on standard error how many are done and how long the others will take.

    Args:
        items: what the loop is over.
        total: how many they are.
        what: is done with them, such as "reading images".
        unit: the name of one of them, such as "image".
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, what, total, unit=unit, leave=False)
        return
    began_s = told_s = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now_s = time.monotonic()
        if now_s - told_s >= EVERY_S and done < total:
            told_s = now_s
            left_s = (now_s - began_s) / done * (total - done)
            print(f"{what}: {done:,} of {total:,} {unit}s, about {left_s:,.0f} s left", file=sys.stderr, flush=True)
