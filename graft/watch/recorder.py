"""What a server keeps of its answers, in threads of their own: an answer never waits for it.

What is too much for a place, or cannot be written there, is dropped and counted.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from graft.errors import GraftError, UnreadableImage
from graft.machine.background import Background
from graft.model.classifier import Prediction
from graft.watch.collection import SHARE, Collection
from graft.watch.windows import Tell, Windows, open_place

MOST_NUMBERS = 500_000          # probabilities that wait to be counted: some 50 MB
MOST_BYTES = 64_000_000         # of images that wait to be stored


@dataclass(frozen=True)
class Keeping:
    """What is to be kept of the answers, and where; each place is a folder or `s3://bucket/prefix`.

    Attributes:
        log: the place of figures, see `graft.watch.windows`; None for none.
        collect: the place of images, see `graft.watch.collection`; None for none.
        per_day, keep_metadata: see `Collection`.
    """

    log: str | None = None
    collect: str | None = None
    per_day: int = 500
    keep_metadata: bool = False

    def describe(self) -> list[str]:
        """What is kept, a line each."""
        lines = [f"figures of the answers, and no images, are kept in {self.log}"] if self.log else []
        if self.collect:
            how = "as they came, with their metadata" if self.keep_metadata else "without metadata"
            lines.append(f"unknown and unsure images and {SHARE:.0%} of all, at most {self.per_day} a day, are kept in "
                         f"{self.collect} {how}")
        return lines

    def open_windows(self, model: str, tell: Tell) -> Windows | None:
        """The log; None if there is none. Raises `GraftError` for a `model` that is no published version."""
        if self.log and "@" not in model:
            raise GraftError(f"{model} is no published version, and only those carry answers to test images, with "
                             "which answers in use are compared. Publish it, or leave out the log.")
        return Windows(open_place(self.log), tell) if self.log else None

    def open_collection(self, tell: Tell) -> Collection | None:
        """The collection; None if there is none."""
        return Collection(open_place(self.collect), tell, self.per_day, self.keep_metadata) if self.collect else None


class Recorder:
    """Counts answers in windows, and collects images, if there is a place for it."""

    def __init__(self, keeping: Keeping, model: str, tell: Tell):
        """Start the threads.

        Args:
            model: the version that answers first, as NAME@NUMBER.
            tell: is called for each window and image, and for each `answer` and `image` that is dropped because too
                many wait; see `graft.watch.windows.Tell`.

        Raises:
            GraftError: if a place is none, or the model is no published version.
        """
        self._windows, self._collection = keeping.open_windows(model, tell), keeping.open_collection(tell)
        self._tell = tell
        self._logging = self._windows and Background(MOST_NUMBERS, self._windows.close_old)
        self._collecting = self._collection and Background(MOST_BYTES)

    def note(self, model: str, class_names: tuple[str, ...], answers: Iterable[Prediction | UnreadableImage],
             images: Iterable[object]) -> None:
        """Take down answers of a version, named NAME@NUMBER; returns at once.

        Args:
            images: of each answer, the file's bytes; anything else is not collected.
        """
        for answer, image in zip(answers, images):
            if isinstance(answer, Prediction):
                self._log(model, class_names, answer)
                if isinstance(image, bytes):
                    self._collect(model, answer, image)

    def close(self) -> None:
        """Write what is open, for as long as `Background.close` waits; what then is not written is lost."""
        if self._logging and self._windows:
            self._logging.put(self._windows.close, 0)
        for each in (self._logging, self._collecting):
            if each:
                each.close()

    def _log(self, model: str, class_names: tuple[str, ...], answer: Prediction) -> None:
        if self._logging and self._windows:
            work = partial(self._windows.add, model, class_names, answer)
            if not self._logging.put(work, len(class_names)):
                self._tell("answer", "dropped", None)

    def _collect(self, model: str, answer: Prediction, image: bytes) -> None:
        if self._collecting and self._collection and (why := self._collection.why(answer)):
            work = partial(self._collection.keep, model, answer, image, why)
            if not self._collecting.put(work, len(image)):
                self._tell("image", "dropped", None)


class Notes:
    """The same for a thread that may wait, such as batch prediction's; after a failure it keeps nothing more."""

    def __init__(self, keeping: Keeping, model: str, class_names: tuple[str, ...], tell: Tell):
        """Open the places; for arguments and errors, see `Recorder`."""
        self._windows, self._collection = keeping.open_windows(model, self._told), keeping.open_collection(self._told)
        self._model, self._class_names, self._tell = model, class_names, tell

    def add(self, answer: Prediction, read: Callable[[], bytes]) -> None:
        """Take down an answer; `read` returns the bytes of its image, and is called only if that is to be kept."""
        if self._windows:
            self._windows.add(self._model, self._class_names, answer)
        if self._collection and (why := self._collection.why(answer)):
            try:
                self._collection.keep(self._model, answer, read(), why)
            except (GraftError, UnreadableImage) as error:      # it was removed meanwhile
                self._told("image", "lost", error)

    def close(self) -> None:
        """Write what is open."""
        if self._windows:
            self._windows.close()

    def _told(self, what: str, outcome: str, error: Exception | None) -> None:
        self._tell(what, outcome, error)
        if error:
            self._windows = self._collection = None
