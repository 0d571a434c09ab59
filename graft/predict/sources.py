"""Expand the sources on a command line (files, folders, globs, URLs, standard input) to one source per image."""

import codecs
import errno
import glob
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from graft.decoding.kinds import is_named_as_image, why_ignored, why_no_image
from graft.errors import GraftError
from graft.images import MAX_BYTES, NOT_REGULAR, UnreadableImage, read_start, refuse_too_large
from graft.machine.threads import InThreads
from graft.predict.urls import fetch, is_url

STDIN = "-"         # one image file on standard input
AHEAD = 64          # files that are looked at concurrently
NAMED = 10          # files that are no images, in a message


class Found(NamedTuple):
    """The files of folders, globs and other sources: each is in one of the two.

    Attributes:
        images: sources to read, among them whatever should be an image and is not, so that reading it reports why.
        others: path -> why this file is no image.
    """

    images: list[str]
    others: dict[str, str]


def expand(words: list[str]) -> Found:
    """One source per image, in the order of `words`; the images of a folder or glob are sorted by path.

    A word that matches nothing is kept as a source, so that reading it reports the reason.
    """
    parts = [_expand(word) for word in words]
    return Found([source for part in parts for source in part.images],
                 {path: reason for part in parts for path, reason in part.others.items()})


def _expand(word: str) -> Found:
    if word == STDIN or is_url(word):
        return Found([word], {})
    if is_folder(word):
        found = files_below(word)
        return Found(found.images or [word], found.others)
    if not _is_pattern(word):
        return Found([word], {})
    paths = sorted(glob.glob(word, recursive=True))     # noqa: PTH207 - a pattern may be absolute
    parts = [files_below(path) if Path(path).is_dir() else Found([path], {}) for path in paths]
    images = list(dict.fromkeys(source for part in parts for source in part.images))
    named = {path: reason for part in parts for path, reason in part.others.items() if path not in images}
    return Found(images or [word], named)


def is_folder(word: str) -> bool:
    """Whether this is a folder; False where that cannot be told, which reading it then explains."""
    try:
        return Path(word).is_dir()
    except OSError:             # its name is too long, or a folder above it is closed
        return False


def _is_pattern(word: str) -> bool:
    return glob.has_magic(word) and not os.path.lexists(word)


def files_below(folder: str) -> Found:
    """All files below a folder, sorted by path, except those in linked folders, which count as one each.

    A folder that cannot be opened is among the images: reading it reports the reason.
    """
    names: list[str] = []
    closed: list[str] = []
    others: dict[str, str] = {}
    for parent, folders, files in os.walk(folder, onerror=lambda error: closed.append(error.filename)):
        below = os.path.relpath(parent, folder)
        names += [os.path.normpath(f"{below}/{each}") for each in files]
        links = [Path(parent, each) for each in folders if Path(parent, each).is_symlink()]
        others |= {str(link): "a linked folder, which is not followed" for link in links}
    found = sort_out(names, lambda name: read_start(Path(folder, name)))
    images = [str(Path(folder, name)) for name in found.images] + [each for each in closed if each != folder]
    others |= {str(Path(folder, name)): reason for name, reason in found.others.items()}
    return Found(sorted(images), dict(sorted(others.items())))


def sort_out(names: Iterable[str], start_of: Callable[[str], bytes], readers: int | None = None) -> Found:
    """Tell images from other files, by name where that decides, else by their first bytes; both in the given order.

    Args:
        names: paths relative to their folder, with `/`.
        start_of: reads the first `graft.decoding.kinds.START_BYTES` of a file; raises `UnreadableImage`. It is called
            from several threads, once for each file that has no image's suffix and is not hidden.
        readers: the number of threads; by default one per core.
    """
    reasons = {name: why_ignored(name) for name in names}
    unclear = [name for name, reason in reasons.items() if not reason and not is_named_as_image(name)]
    with InThreads(partial(_why_no_image, start_of), unclear, readers, AHEAD) as found:
        reasons |= zip(unclear, found)
    return Found([name for name, reason in reasons.items() if not reason],
                 {name: reason for name, reason in reasons.items() if reason})


def _why_no_image(start_of: Callable[[str], bytes], name: str) -> str | None:
    try:
        return why_no_image(start_of(name))
    except UnreadableImage as reason:
        return NOT_REGULAR if str(reason) == NOT_REGULAR else None      # else reading it again reports why


def name_others(others: dict[str, str]) -> str:
    """How many files are not images, and which: one line; empty if there are none."""
    if not others:
        return ""
    named = ", ".join(f"{path} ({reason})" for path, reason in list(others.items())[:NAMED])
    more = f" … and {len(others) - NAMED} more" if len(others) > NAMED else ""
    what = "1 file that is not an image" if len(others) == 1 else f"{len(others)} files that are not images"
    return f"ignored {what}: {named}{more}"


def read_source(source: str, allow_private: bool = False) -> str | bytes:
    """Turn a source into what `Classifier.read` accepts: the contents of a URL or of standard input, or a path.

    Args:
        allow_private: also fetch from addresses that are not public; see `graft.predict.urls.fetch`.

    Raises:
        UnreadableImage: with the reason.
    """
    if is_url(source):
        return fetch(source, allow_private)
    if source == STDIN:
        try:
            data = _standard_input().read(MAX_BYTES + 1)
        except OSError as error:
            raise UnreadableImage(error.strerror) from error
        refuse_too_large(data)
        return data
    if is_folder(source):
        raise UnreadableImage("the folder contains no image" if os.access(source, os.R_OK | os.X_OK)
                              else "permission denied")
    if _is_pattern(source):
        raise UnreadableImage("no file matches this pattern")
    return source


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return sys.stdin.buffer


def read_list(name: str) -> list[str]:
    """The lines of a file, or of standard input if its name is `-`, without empty ones.

    Raises:
        GraftError: if the file cannot be read, or is no text.
    """
    try:
        data = _standard_input().read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise GraftError(f"--files-from {name}: {error.strerror}. Expected a file with one source per line.") from error
    if b"\0" in data:
        raise GraftError(f"--files-from {name}: it is a binary file or UTF-16. Expected text in UTF-8 with one source "
                         "per line.")
    lines = data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").split(b"\n")
    return [os.fsdecode(line) for line in lines if line.strip()]
