"""A mistake that the user can mend: said in one message, without a traceback."""

import contextlib
import signal
import sys
from collections.abc import Iterator


class GraftError(Exception):
    """What happened, what was expected and what to do, naming the file, key and value. May hold several lines."""


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


def did_you_mean(word: str, known) -> str:
    """`" Did you mean 'epochs'?"` for the nearest of `known`, or the empty string."""
    import difflib

    nearest = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""
