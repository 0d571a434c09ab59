"""Errors that the user can fix: one message, no traceback."""

import atexit
import codecs
import contextlib
import errno
import gc
import io
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

AnyError = TypeVar("AnyError", bound=Exception)


class GraftError(Exception):
    """A mistake that the user can fix.

    Its message states what happened, what was expected and what to do, and names the file, key and value. It lists
    everything that is wrong, and may have several lines.
    """


LINES = "\n\t"      # what text of several lines may contain; see `printable`
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object, keep: str = "") -> str:
    """Text that others wrote, as every terminal, log and table of text gets it: it shows itself and does nothing else.

    Characters that a terminal obeys instead of showing, such as the beginning of an escape sequence, a line break or a
    change of the direction of writing, become escapes such as `\\x1b`; so do bytes of names that are not UTF-8.

    Args:
        keep: characters that stay as they are, such as `LINES`.
    """
    return _OBEYED.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), str(text))


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


class UnreadableImage(ValueError):
    """A file or its bytes cannot be read as an image; the message is the reason, in a few words."""


def as_value(error: AnyError) -> AnyError:
    """The same error, to be passed on as a value: without traceback, cause and context, which keep all that they saw.

    Otherwise an image that cannot be read would stay in memory for as long as the reason does, or longer.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn what the user can fix into one message on standard error and exit code 2, without a traceback.

    That is every `GraftError`, and a disk that is full or may not be written to. After Ctrl-C the exit code is 130;
    if whoever reads standard output, such as `head`, has closed it, the process ends silently with 0.
    """
    atexit.register(gc.freeze)      # all memory is given back at once: the last search for garbage takes up to a second
    _print_anything()
    try:
        yield
        sys.stdout.flush()
    except GraftError as error:
        _exit(str(error))
    except BrokenPipeError:
        _drop_output()
        sys.exit(0)
    except (OSError, RuntimeError) as error:
        if (code := _disk_code(error)) is None:
            raise
        _drop_output()
        _exit(_disk_message(code, getattr(error, "filename", None)))
    except SystemExit:
        _drop_output()
        raise
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


def _disk_code(error: Exception) -> int | None:
    """The error number of a disk that takes no more; libraries such as HDF5 have it only in their text."""
    if isinstance(error, OSError) and error.errno in _ADVICE:
        return error.errno
    return next((code for code in _ADVICE if os.strerror(code) in str(error)), None)


def _disk_message(code: int, path: str | None) -> str:
    """What is wrong with a file, if it is known which, how much room its folder has, and what to do."""
    room = ""
    if path and code in (errno.ENOSPC, errno.EDQUOT):
        folder = next(each for each in Path(path).absolute().parents if each.is_dir())
        room = f" ({shutil.disk_usage(folder).free / 1e6:,.1f} MB are free in {folder})"
    return f"{path or 'a file or standard output'}: {os.strerror(code)}{room}. {_ADVICE[code]}"


def _exit(message: str) -> NoReturn:
    print(f"error: {printable(message, LINES)}", file=sys.stderr)
    sys.exit(2)


def _drop_output() -> None:
    """Where standard output can take no more, let it take what is left: Python writes that when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_anything() -> None:
    """Let the standard streams take any text: names of files that are not UTF-8, and … where the terminal lacks it.

    What was closed before the start takes text, too, and drops it.
    """
    codecs.register_error("graft", _encode_anything)
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))   # noqa: SIM115
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
