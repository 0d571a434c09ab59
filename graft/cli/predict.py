"""The subcommand `graft predict`, at work."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial

from graft.errors import GraftError
from graft.images import read_bytes
from graft.model.classifier import Classifier
from graft.predict.find import find_model
from graft.predict.rows import rows
from graft.predict.sources import STDIN, expand, read_list, read_source
from graft.predict.urls import is_url
from graft.predict.writers import WRITERS

ALL_READ, SOME_UNREADABLE, INTERRUPTED = 0, 1, 130      # exit codes; 2 is a `GraftError`'s
URL_READERS = 16        # at one time: most of it is waiting


def main(arguments) -> int:
    """`graft predict`. Returns the exit code. Raises `GraftError`."""
    sources = _sources(arguments)
    if arguments.plot:
        _check_plot(arguments.plot, sources)
    classifier = Classifier(find_model(arguments.model, arguments.registry, arguments.offline)[1],
                            form=arguments.form)
    read, pictures = partial(read_source, allow_private=arguments.allow_private_urls), {}
    if arguments.plot:
        read = _keeping(pictures, read)
    top = None if arguments.style == "csv" else arguments.top
    readers = URL_READERS if any(map(is_url, sources)) else None
    try:
        with rows(classifier, sources, top, read, readers) as answers:
            said = _write(answers, len(sources), arguments.style, classifier.class_names)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:         # whoever read the answers, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ALL_READ
    if arguments.plot:
        _save_plot(arguments.plot, said, pictures)
    return _exit_code(said)


def _sources(arguments) -> list[str]:
    words = list(arguments.sources)
    if arguments.files_from:
        if arguments.files_from == STDIN and STDIN in words:
            raise GraftError("standard input cannot be both an image (SOURCE -) and a list (--files-from -).")
        words += read_list(arguments.files_from)
    if not words:
        raise GraftError("nothing to predict: name an image, a folder or a URL, or a list of them with --files-from.")
    return expand(words)


def _write(rows: Iterator[dict], total: int, style: str, class_names: tuple[str, ...]) -> list[dict]:
    """Print each row as soon as it is known; all of them at the end."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="surrogateescape")    # file names that are not UTF-8 come out as they are
    write, said = WRITERS[style](sys.stdout, class_names), []
    for each in _with_progress(rows, total):
        write(each)
        said.append(each)
    sys.stdout.flush()
    return said


def _with_progress(rows: Iterator[dict], total: int) -> Iterator[dict]:
    if sys.stdout.isatty() or not sys.stderr.isatty():      # on a terminal the rows themselves show the progress
        return rows
    from tqdm import tqdm

    return tqdm(rows, total=total, unit="image")


def _exit_code(said: list[dict]) -> int:
    failed = sum("error" in each for each in said)
    if failed:
        print(f"{failed} of {len(said)} images could not be read", file=sys.stderr)
    return SOME_UNREADABLE if failed else ALL_READ


def _check_plot(path: str, sources: list[str]) -> None:
    from graft.predict import plot

    plot.check(path, sources)


def _keeping(pictures: dict, read: Callable) -> Callable:
    """`read`, and keep a small picture of each source for the plot: standard input cannot be read twice."""
    from graft.predict import plot

    def reading(source: str) -> bytes:
        data = read_bytes(read(source))
        pictures[source] = plot.thumbnail(data)
        return data

    return reading


def _save_plot(path: str, said: list[dict], pictures: dict) -> None:
    from graft.predict import plot

    plot.save(path, said, [pictures.get(each["source"]) for each in said])
