"""Errors that the user can fix: one message, no traceback."""

import codecs
import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import NoReturn


class GraftError(Exception):
    """A mistake that the user can fix.

    Its message states what happened, what was expected and what to do, and names the file, key and value. It lists
    everything that is wrong, and may have several lines.
    """


class UnreadableImage(ValueError):
    """A file or its bytes cannot be read as an image; the message is the reason, in a few words."""


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn what the user can fix into one message on standard error and exit code 2, without a traceback.

    That is every `GraftError`, and a disk that is full or may not be written to. After Ctrl-C the exit code is 130;
    if whoever reads standard output, such as `head`, has closed it, the process ends silently with 0.
    """
    _print_anything()
    try:
        yield
        sys.stdout.flush()
    except GraftError as error:
        _exit(str(error))
    except BrokenPipeError:
        _drop_output()
        sys.exit(0)
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _drop_output()
        _exit(f"{where}{error.strerror}. {_ADVICE[error.errno]}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


_ADVICE = {
    errno.ENOSPC: "Make room on this disk, and run it again.",
    errno.EDQUOT: "Your quota on this disk is used up: make room, and run it again.",
    errno.EROFS: "This disk is read-only: work in another folder.",
    errno.EACCES: "You may not read or write there: correct its permissions, or work in another folder.",
    errno.EMFILE: "Too many files are open: raise the limit with `ulimit -n`.",
    errno.EIO: "The disk reports an error: check it.",
}


def _exit(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _drop_output() -> None:
    """Where standard output can take no more, let it take what is left: Python writes that when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_anything() -> None:
    """Let the standard streams take any text: names of files that are not UTF-8, and … where the terminal lacks it."""
    codecs.register_error("graft", _encode_anything)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="graft")


def _encode_anything(error: UnicodeError) -> tuple[bytes | str, int]:
    """The byte that a character stands for in the name of a file, or the character as an escape such as \\u2026."""
    handler = codecs.lookup_error("surrogateescape")
    try:
        return handler(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`" Did you mean 'epochs'?"` for the most similar of the known words; empty if none is similar."""
    import difflib

    nearest = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""
