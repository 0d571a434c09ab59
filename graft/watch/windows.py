"""Windows: the figures of a version's answers during some time, as objects that never change.

    PLACE/NAME/NUMBER/END-TOKEN.json        END: the time at which the window was closed, such as 20260501T120000Z

Several servers may write to one place.
"""

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np

from graft.errors import GraftError
from graft.model.classifier import Prediction
from graft.model.json_rules import LIMIT_BYTES, Rule, are_texts, find_problems, is_text, is_time, is_whole, parse
from graft.registry.address import check_registry, parse_version
from graft.store import Missing, Store, open_store
from graft.watch.figures import Figures

FORMAT = 1
MOST_IMAGES = 1000          # of a window
LONGEST = timedelta(minutes=30)
Tell: TypeAlias = Callable[[str, str, Exception | None], None]       # what, its outcome, why it failed
KEY = re.compile(r"[^/]+/([0-9]{6})/([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{8}\.json")


@dataclass(frozen=True)
class Window:
    """The figures of a version's answers from `began` to `ended`, with their zone.

    Attributes:
        model: the version, as NAME@NUMBER.
    """

    model: str
    began: datetime
    ended: datetime
    figures: Figures

    def encode(self) -> bytes:
        """The window as JSON."""
        figures = {item.name: _plain(getattr(self.figures, item.name)) for item in fields(Figures)}
        about = {"format": FORMAT, "model": self.model, "began": self.began.isoformat(),
                 "ended": self.ended.isoformat()}
        return json.dumps(about | figures, ensure_ascii=False).encode()


def decode(data: bytes, where: str) -> Window:
    """Read what `Window.encode` wrote. Raises `GraftError`, which says `where` and all that is wrong."""
    try:
        content = parse(data)
    except ValueError as error:
        raise GraftError(f"{where} is no window: {error}. Remove it.") from None
    if problems := find_problems(content, _RULES) or list(_false_figures(content)):
        raise GraftError(f"{where} is no window: {'; '.join(problems)}. Remove it.")
    names = tuple(content["class_names"])
    arrays = [np.array(content[name], np.int64) for name in Figures.shapes(len(names))]
    figures = Figures(names, *(content[each] for each in _COUNTS), *arrays)
    began, ended = (datetime.fromisoformat(content[each]) for each in ("began", "ended"))
    return Window(content["model"], began, ended, figures)


class Windows:
    """Counts answers, and writes each window when it has enough images or is old enough. For one thread."""

    def __init__(self, store: Store, tell: Tell, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        """Open none yet.

        Args:
            tell: is called with `window`, `written` or `lost`, and the reason, for each.
            now: the present time, with its zone.
        """
        self._store, self._tell, self._now = store, tell, now
        self._open: dict[str, tuple[datetime, Figures]] = {}

    def add(self, model: str, class_names: tuple[str, ...], prediction: Prediction) -> None:
        """Count the answer of a version, named NAME@NUMBER."""
        began, figures = self._open.setdefault(model, (self._now(), Figures.none(class_names)))
        figures.add(prediction)
        if figures.images >= MOST_IMAGES:
            self._close(model)

    def close_old(self) -> None:
        """Write the windows that have been open for long enough."""
        for model, (began, _) in list(self._open.items()):
            if self._now() - began >= LONGEST:
                self._close(model)

    def close(self) -> None:
        """Write all open windows."""
        for model in list(self._open):
            self._close(model)

    def _close(self, model: str) -> None:
        began, figures = self._open.pop(model)
        window = Window(model, began, self._now(), figures)
        try:
            self._store.create(_key(window), window.encode())
            self._tell("window", "written", None)
        except Exception as error:      # whatever the error, it must not disturb the answers
            self._tell("window", "lost", error)


def open_place(place: str) -> Store:
    """The store at a place for windows or images, a folder or `s3://bucket/prefix`. Raises `GraftError` for another."""
    return open_store(check_registry(place))


def newest(store: Store, name: str, number: int | None = None) -> Iterator[Window]:
    """The windows of one version of a model, the newest first.

    Args:
        number: the version's; by default that of the newest window.

    Raises:
        GraftError: if one is no window, or the place cannot be read.
    """
    found = [(match[2], match[1], each.key) for each in store.scan(f"{name}/") if (match := KEY.fullmatch(each.key))]
    chosen = f"{number:06}" if number else max(found, default=("", ""))[1]
    for _, folder, key in sorted(found, reverse=True):
        if folder == chosen:
            with contextlib.suppress(Missing):      # removed meanwhile
                yield _read(store, key, f"{name}@{int(folder)}")


def _read(store: Store, key: str, model: str) -> Window:
    window = decode(store.read_whole(key, LIMIT_BYTES), f"{store.address}/{key}")
    if window.model != model:
        raise GraftError(f"{store.address}/{key} is no window of {model}: it names {window.model[:200]!r}. Remove it.")
    return window


def _key(window: Window) -> str:
    address = parse_version(window.model)
    return f"{address.name}/{address.number:06}/{window.ended:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.json"


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _false_figures(content: dict) -> Iterator[str]:
    """Every array that has another shape, or that does not add up to the images that it counts."""
    known = content["images"] - content["unknown"]
    sums = {"answers": known, "confidences": known, "probabilities": content["images"],
            "unknown_scores": content["images"]}
    for name, shape in Figures.shapes(len(content["class_names"])).items():
        if not _are_counts(content[name], shape):
            yield f"{name}: expected whole numbers of the shape {shape}"
        elif name in sums and (np.array(content[name]).sum(axis=-1) != sums[name]).any():
            yield f"{name}: expected a sum of {sums[name]}"


def _are_counts(value: object, shape: tuple[int, ...]) -> bool:
    if not isinstance(value, list) or len(value) != shape[0]:
        return False
    if len(shape) > 1:
        return all(_are_counts(each, shape[1:]) for each in value)
    return all(is_whole(each) and 0 <= each < 2**40 for each in value)


_COUNTS = ("images", "unknown", "unsure")
_RULES: dict[str, Rule] = {
    "format": (str(FORMAT), lambda value: is_whole(value) and value == FORMAT),
    "model": ("NAME@NUMBER", is_text),
    "class_names": ("a list of texts", are_texts),
    **dict.fromkeys(("began", "ended"), ("a time with its zone", is_time)),
    **dict.fromkeys(_COUNTS, ("a whole number from 0", lambda value: is_whole(value) and 0 <= value < 2**40)),
    **dict.fromkeys(Figures.shapes(0), ("a list", lambda value: isinstance(value, list))),
}
