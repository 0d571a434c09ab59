"""Errors that the user can fix: one message, no traceback."""

import contextlib
import signal
import sys
from collections.abc import Iterable, Iterator


class GraftError(Exception):
    """A mistake that the user can fix.

    Its message states what happened, what was expected and what to do, and names the file, key and value. It lists
    everything that is wrong, and may have several lines.
    """


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Print a `GraftError` to standard error and exit with code 2, without a traceback; with 130 after Ctrl-C."""
    try:
        yield
    except GraftError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`" Did you mean 'epochs'?"` for the most similar of the known words; empty if none is similar."""
    import difflib

    nearest = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""
