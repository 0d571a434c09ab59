"""Measure whether a loop spends its time on inputs or on computing. Results go to the log, never into an output."""

import time
from collections.abc import Iterable, Iterator

from pipeline.training import backend

# Share of the time spent waiting. Inputs are made while the network computes, so any real wait means they are slower.
INPUT_BOUND = 0.1


class Pace:
    """A stopwatch for loops over `inputs(...)`; the time that is not spent waiting belongs to the loop's body."""

    def __init__(self):
        self.began_s, self.waited_s = time.perf_counter(), 0.0

    def inputs(self, iterable: Iterable) -> Iterator:
        """Yield the same items, and count the time until each is ready as waiting."""
        iterator, end = iter(iterable), object()
        while True:
            began = time.perf_counter()
            item = next(iterator, end)
            self.waited_s += time.perf_counter() - began
            if item is end:
                return
            yield item

    def report(self, count: int, unit: str) -> str:
        """Describe the time, the throughput in `unit`s per second, and whether inputs or computing limit it."""
        taken_s = max(time.perf_counter() - self.began_s, 1e-9)
        share = self.waited_s / taken_s
        rate = f"{count:,} {unit} in {duration(taken_s)}, {count / taken_s:,.0f} per second, {share:.0%} waiting"
        if share > INPUT_BOUND:
            return f"{rate}: input-bound, reading, decoding and augmenting are slower than the network"
        return f"{rate}: compute-bound, the network is slower than its inputs ({backend.describe_devices()})"


def duration(seconds: float) -> str:
    """Format a duration as `4.2 s`, `31 s`, `12 min` or `3.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
