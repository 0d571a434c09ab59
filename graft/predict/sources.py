"""Expand the sources on a command line (files, folders, globs, URLs, standard input) to one source per image."""

import glob
import os
import sys
from pathlib import Path

from graft.errors import GraftError
from graft.images import MAX_BYTES, SUFFIXES, UnreadableImage
from graft.predict.urls import fetch, is_url

STDIN = "-"         # one image file on standard input


def expand(words: list[str]) -> list[str]:
    """One source per image, in the order of `words`; the images of a folder or glob are sorted by path.

    A word that matches nothing is kept, so that reading it reports the reason.
    """
    return [source for word in words for source in _expand(word)]


def _expand(word: str) -> list[str]:
    if word == STDIN or is_url(word):
        return [word]
    if Path(word).is_dir():
        return images_below(word) or [word]
    if not _is_pattern(word):
        return [word]
    found = sorted(glob.glob(word, recursive=True))     # noqa: PTH207 - a pattern may be absolute
    files = [images_below(path) if Path(path).is_dir() else [path] for path in found]
    return list(dict.fromkeys(source for each in files for source in each)) or [word]


def _is_pattern(word: str) -> bool:
    return glob.has_magic(word) and not os.path.lexists(word)


def images_below(folder: str) -> list[str]:
    """The sorted paths of all files below a folder that have an image's suffix, except hidden ones."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        images = [each for each in files if each.lower().endswith(SUFFIXES) and not each.startswith(".")]
        found += [str(Path(parent, each)) for each in images]
    return sorted(found)


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
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    if Path(source).is_dir():
        raise UnreadableImage(f"the folder contains no image ({', '.join(SUFFIXES)})")
    if _is_pattern(source):
        raise UnreadableImage("no file matches this pattern")
    return source


def read_list(name: str) -> list[str]:
    """The lines of a file, or of standard input if its name is `-`, without empty ones.

    Raises:
        GraftError: if the file cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise GraftError(f"--files-from {name}: {error.strerror}. Expected a file with one source per line.") from error
    return [os.fsdecode(line) for line in data.replace(b"\r\n", b"\n").split(b"\n") if line.strip()]
