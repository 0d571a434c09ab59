"""What a loop's time goes into: waiting for its inputs, or computing. Said on the log, never written into an output."""

import time
from collections.abc import Iterable, Iterator

from pipeline.training import backend

# of the time: inputs are made while the network computes, so that any real wait means they are slower
INPUT_BOUND = 0.1


class Pace:
    """A stopwatch for loops over `inputs(...)`: what is left of the time, the loop's body has taken."""

    def __init__(self):
        self.began_s, self.waited_s = time.perf_counter(), 0.0

    def inputs(self, iterable: Iterable) -> Iterator:
        """The same items; the time until each is there counts as waiting."""
        iterator, end = iter(iterable), object()
        while True:
            began = time.perf_counter()
            item = next(iterator, end)
            self.waited_s += time.perf_counter() - began
            if item is end:
                return
            yield item

    def report(self, count: int, unit: str) -> str:
        """Seconds, `unit`s a second, and which side sets the pace and why."""
        taken = max(time.perf_counter() - self.began_s, 1e-9)
        share = self.waited_s / taken
        said = f"{count:,} {unit} in {duration(taken)}, {count / taken:,.0f} a second, {share:.0%} of it waiting"
        if share > INPUT_BOUND:
            return f"{said}: input-bound, reading, decoding and augmenting are slower than the network"
        return f"{said}: compute-bound, the network is slower than its inputs ({backend.describe_devices()})"


def duration(seconds: float) -> str:
    """`4.2 s`, `31 s`, `12 min` or `3.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
