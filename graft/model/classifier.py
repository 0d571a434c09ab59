"""A bundle's folder -> labels, calibrated probabilities, "unknown"."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from graft.errors import GraftError
from graft.images import UnreadableImage, read_image, resize, upright_rgb
from graft.machine.threads import InThreads
from graft.model import bundle, unknown
from graft.model.inference import open_runtime

BATCH_SIZE = 32
CHUNKS_AHEAD = 2        # batches of images that are read while one is predicted


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image.

    Attributes:
        label: the most probable class; never "unknown", see `is_unknown`.
        probabilities: class name -> calibrated probability, most probable first; they add up to 1.
        unknown_score: how unlike the training images this one is; higher is stranger.
        is_unknown: the score exceeds the model's threshold: better not believed.
    """

    label: str
    probabilities: dict[str, float]
    unknown_score: float
    is_unknown: bool

    @property
    def probability(self) -> float:
        return self.probabilities[self.label]


class Classifier:
    """A published model, ready to predict. Needs ONNX Runtime, NumPy and Pillow alone, or another format's runtime."""

    def __init__(self, folder: str | Path, threads: int | None = None, form: str = "onnx"):
        """Open a bundle's folder. Raises `GraftError` when it is none.

        Args:
            threads: that the runtime may use; as many as it likes unless given.
            form: one of `graft.model.bundle.FORMATS` that this bundle holds.
        """
        self.folder = Path(folder)
        self.description = bundle.read_description(folder)
        self.class_names = tuple(self.description.class_names)
        self.image_size = tuple(self.description.image_size)
        self._runtime = open_runtime(self.folder, form, threads)
        self._reference = _load_reference(self.folder / bundle.UNKNOWN, self.description.unknown_threshold is not None)
        self._check()

    def predict(self, source) -> Prediction | list[Prediction]:
        """Predict one image, or a list of them.

        Args:
            source: a path, the bytes of a file, a Pillow image, a uint8 `(height, width, 3)` RGB array, or a list.

        Raises:
            UnreadableImage: with the reason; of a list, for the first of those. `predict_many` goes on instead.
        """
        if not isinstance(source, (list, tuple)):
            return self.predict_batch(self.read(source)[None])[0]
        with self.predict_many(source) as answers:
            predictions = list(answers)
        for position, each in enumerate(predictions):
            if isinstance(each, UnreadableImage):
                raise UnreadableImage(f"image {position} of the list: {each}") from each
        return predictions

    def predict_many(
        self, sources: Iterable, read: Callable | None = None, readers: int | None = None,
    ) -> InThreads:
        """Predict many images in batches: an iterator over the `Prediction` or `UnreadableImage` of each source.

        All cores read the next images while the model computes. The iterator may be left at any point: opened by
        `with`, it stops reading when the block ends, else when it is dropped.

        Args:
            read: turns a source into an image; `Classifier.read` unless given. It is called in many threads.
            readers: how many threads; as many as there are cores unless given.
        """
        images = InThreads(partial(_image_or_reason, read or self.read), sources, readers, CHUNKS_AHEAD * BATCH_SIZE)
        return images.then(self._predict_batches)

    def read(self, source) -> np.ndarray:
        """uint8 `(height, width, 3)` of the model's size; `predict` says of what. See `graft.images.read_image`.

        Raises:
            UnreadableImage: with the reason.
        """
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
                raise UnreadableImage(
                    f"expected a uint8 array (height, width, 3), received {source.dtype} {source.shape}")
            return source if source.shape[:2] == self.image_size else resize(Image.fromarray(source), self.image_size)
        if isinstance(source, Image.Image):
            return resize(upright_rgb(source), self.image_size)
        return read_image(source, self.image_size)

    def predict_batch(self, images: np.ndarray) -> list[Prediction]:
        """Predict uint8 `(batch, height, width, 3)` RGB images of the model's size."""
        logits, features = self.run(images)
        scores = self.unknown_scores(features)
        return [self._prediction(*each) for each in zip(self.probabilities(logits), scores)]

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """float32 logits `(batch, classes)` and pooled features `(batch, units)`, before any calibration."""
        return self._runtime.run(images)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64 `(batch, classes)`: softmax of the logits over the temperature."""
        scaled = logits.astype(np.float64) / self.description.temperature
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def unknown_scores(self, features: np.ndarray) -> np.ndarray:
        """float `(batch,)`, higher is stranger; zeros for a model that has no reference."""
        return np.zeros(len(features)) if self._reference is None else unknown.score(features, self._reference)

    def _predict_batches(self, images: Iterator) -> Iterator[Prediction | UnreadableImage]:
        while batch := list(islice(images, BATCH_SIZE)):
            readable = [image for image in batch if isinstance(image, np.ndarray)]
            predictions = iter(self.predict_batch(np.stack(readable)) if readable else ())
            for image in batch:
                yield next(predictions) if isinstance(image, np.ndarray) else image

    def _check(self) -> None:
        """The files of a bundle must belong together, or every answer would be wrong or an error."""
        units = None if self._reference is None else self._reference.class_means.shape[1]
        expected = {
            "images": (None, *self.image_size, 3), "logits": (None, len(self.class_names)), "features": (None, units),
        }
        found = self._runtime.shapes()
        problems = [
            f"{name}: expected {_spelled(shape)}, received {_spelled(found.get(name))}"
            for name, shape in expected.items() if not _fits(found.get(name), shape)
        ]
        if problems:
            raise GraftError(
                f"{self.folder}: its files do not belong together: {'; '.join(problems)}. Pull the model again."
            )

    def _prediction(self, probabilities: np.ndarray, score: float) -> Prediction:
        order = np.argsort(-probabilities, kind="stable")
        limit = self.description.unknown_threshold
        return Prediction(
            label=self.class_names[order[0]],
            probabilities=dict(zip([self.class_names[i] for i in order], probabilities[order].tolist())),
            unknown_score=float(score),
            is_unknown=bool(limit is not None and score > limit),
        )


def _image_or_reason(read: Callable, source) -> np.ndarray | UnreadableImage:
    try:
        return read(source)
    except UnreadableImage as reason:
        return UnreadableImage(*reason.args)        # without its traceback, whose frames hold the file's bytes


def _load_reference(path: Path, is_needed: bool) -> unknown.Reference | None:
    if not is_needed and not path.exists():
        return None
    try:
        return unknown.load(path)
    except Exception as error:      # NumPy raises OSError, ValueError, KeyError, BadZipFile, EOFError …
        raise GraftError(f"{path}, which tells unknown images, is damaged: {error}. Pull the model again.") from error


def _fits(found: tuple | None, expected: tuple) -> bool:
    """Whether each size is the expected one; None stands for any, and so does a size that the graph leaves open."""
    return found is not None and len(found) == len(expected) and all(
        want is None or not isinstance(size, int) or size in (want, -1) for size, want in zip(found, expected)
    )


def _spelled(shape: tuple | None) -> str:
    return "nothing" if shape is None else " × ".join("any" if not isinstance(n, int) else str(n) for n in shape)
