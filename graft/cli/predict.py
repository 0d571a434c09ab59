"""The subcommand `graft predict`."""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import numpy as np
from PIL import Image

from graft.cli.arguments import say
from graft.errors import GraftError, as_value
from graft.images import UnreadableImage, read_bytes
from graft.machine.cores import cpu_count
from graft.model.classifier import Classifier
from graft.predict.decoders import Decoders
from graft.predict.find import load
from graft.predict.rows import most_probable, rows
from graft.predict.sources import STDIN, Found, expand, name_others, read_list, read_source
from graft.predict.urls import is_url
from graft.predict.writers import WRITERS

ALL_READ, SOME_UNREADABLE = 0, 1       # exit codes; `reported` has the others
URL_READERS = 16        # threads: they mostly wait for the network
Kept: TypeAlias = dict[str, tuple[Image.Image, np.ndarray]]     # source -> its thumbnail, and its pixels for the model


def main(arguments: argparse.Namespace) -> int:
    """Predict every source and return the exit code. Raises `GraftError` for a user's mistake."""
    sources, others = _sources(arguments)
    drawn = {option: path for option in ("plot", "explain") if (path := getattr(arguments, option))}
    for option, path in drawn.items():
        _check_plot(path, sources, f"--{option}")
    with Decoders(min(cpu_count(), len(sources))) as decoders:      # they start while the model is loaded
        classifier = load(arguments.model, arguments.format, registry=arguments.registry, offline=arguments.offline)
        read: Callable[[str], str | bytes] = partial(read_source, allow_private=arguments.allow_private_urls)
        if STDIN in sources:
            read = _with_stdin(read)
        kept: Kept = {}
        if drawn:
            read = _keeping(kept, read, decoders, classifier.image_size)
        top = None if arguments.style == "csv" else arguments.top
        readers = URL_READERS if any(map(is_url, sources)) else None
        with rows(classifier, sources, top, read, readers, decoders) as answers:
            written, failed = _write(answers, len(sources), arguments.style, classifier.class_names, bool(drawn))
    for option, path in drawn.items():
        pictures = {source: _explained(classifier, *each) if option == "explain" else [each[0]]
                    for source, each in kept.items()}
        _save_plot(path, written, pictures, arguments.top, f"--{option}")
    if others:
        say(name_others(others), is_note=True)
    if failed:
        print(f"{failed} of {len(sources)} images could not be read", file=sys.stderr)
    return SOME_UNREADABLE if failed else ALL_READ


def _sources(arguments: argparse.Namespace) -> Found:
    words = list(arguments.sources)
    if arguments.files_from:
        if arguments.files_from == STDIN and STDIN in words:
            raise GraftError("standard input cannot be both an image (SOURCE -) and a list (--files-from -).")
        words += read_list(arguments.files_from)
    if not words:
        raise GraftError("nothing to predict. Name an image, a folder or a URL, or list them with --files-from.")
    return expand(words)


def _write(rows: Iterator[dict], total: int, style: str, class_names: tuple[str, ...], is_kept: bool,
           ) -> tuple[list[dict], int]:
    """Print each row as soon as it is known; returns all of them if they are to be kept, and how many failed."""
    write, kept, failed = WRITERS[style](sys.stdout, class_names), [], 0
    for each in _with_progress(rows, total):
        write(each)
        failed += "error" in each
        if is_kept:
            kept.append(each)
    sys.stdout.flush()
    return kept, failed


def _with_stdin(read: Callable) -> Callable:
    """`read`, but standard input is read here and now: after Ctrl-C, a thread would wait for its end."""
    try:
        data = read(STDIN)
    except UnreadableImage as reason:
        data = as_value(reason)
    return lambda source: data if source == STDIN else read(source)


def _with_progress(rows: Iterator[dict], total: int) -> Iterator[dict]:
    if sys.stdout.isatty() or not sys.stderr.isatty():      # on a terminal the rows themselves show the progress
        return rows
    from tqdm import tqdm

    return iter(tqdm(rows, total=total, unit="image"))


def _check_plot(path: str, sources: list[str], option: str) -> None:
    from graft.predict import plot

    plot.check(path, sources, option)


def _keeping(kept: Kept, read: Callable[[str], str | bytes], decoders: Decoders, image_size: tuple[int, int],
             ) -> Callable[[str], str | bytes]:
    """`read`, but keep what is drawn of each source: standard input cannot be read twice."""
    from graft.predict import plot

    def reading(source: str) -> bytes:
        data = read_bytes(read(source))
        if not isinstance(pixels := decoders.read(data, image_size), UnreadableImage):     # within the limits
            kept[source] = plot.thumbnail(data), pixels
        return data

    return reading


def _explained(classifier: Classifier, thumbnail: Image.Image, pixels: np.ndarray) -> list[Image.Image]:
    from graft.model import heatmaps

    return [thumbnail, heatmaps.overlay(thumbnail, heatmaps.occlusion(classifier, pixels))]


def _save_plot(path: str, written: list[dict], pictures: dict[str, list[Image.Image]], top: int | None,
               option: str) -> None:
    from graft.predict import plot

    shown = [each | {"probabilities": most_probable(each.get("probabilities", {}), top)} for each in written]
    plot.save(path, shown, [pictures.get(each["source"], []) for each in shown], option)
