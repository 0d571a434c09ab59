"""Predict with a bundle: labels, calibrated probabilities, and whether an image is unknown."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias, TypeVar, overload

import numpy as np
from PIL import Image

from graft.errors import GraftError, as_value
from graft.images import UnreadableImage, read_image, resize, upright_rgb
from graft.machine.threads import InThreads
from graft.model import bundle, unknown
from graft.model.inference import open_runtime

BATCH_SIZE = 32
EVERY = 4               # row and column counts for the brightness
CHUNKS_AHEAD = 2        # batches of images that are read while one is predicted
Source: TypeAlias = str | Path | bytes | Image.Image | np.ndarray       # see `Classifier.predict`
_Source = TypeVar("_Source", bound=Source)


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        label: the most probable class; never "unknown", see `is_unknown`.
        probabilities: class name -> calibrated probability in 0 to 1, in descending order; they add up to 1.
        unknown_score: how unlike the training images this image is, from 0; about 1 for an image like them.
        is_unknown: whether the score exceeds the model's threshold: the label is then not reliable.
        is_unsure: whether the probability is too low for the precision that the model's publisher wanted.
        brightness: the mean of the values that the model sees, 0 to 255; None if it is not known.
    """

    label: str
    probabilities: dict[str, float]
    unknown_score: float
    is_unknown: bool
    is_unsure: bool = False
    brightness: float | None = None

    @property
    def probability(self) -> float:
        """The calibrated probability of `label`, in 0 to 1."""
        return self.probabilities[self.label]


class Classifier:
    """A published model, ready to predict. It needs only NumPy, Pillow and ONNX Runtime or another format's runtime.

    Attributes:
        folder: the bundle's folder.
        description: the contents of its `model.json`.
        class_names: the classes in the order of the logits.
        image_size: `(height, width)` in pixels, the size that images are resized to.
    """

    def __init__(self, folder: str | Path, format: str = "onnx", *, threads: int | None = None):
        """Open a bundle's folder.

        Args:
            format: the export format to run, one of `graft.model.bundle.FORMATS` that this bundle contains.
            threads: the number of threads that the runtime may use; by default the runtime decides.

        Raises:
            GraftError: if the folder is not a bundle, lacks this format or is damaged, or if the format's runtime is
                not installed.
        """
        self.folder = Path(folder)
        self.description = bundle.read_description(folder)
        self.class_names = tuple(self.description.class_names)
        height, width = self.description.image_size
        self.image_size = height, width
        self._runtime = open_runtime(self.folder, format, threads)
        self._reference = _load_reference(self.folder / bundle.UNKNOWN, self.description.unknown_threshold is not None)
        self._check()

    @overload
    def predict(self, source: Source) -> Prediction: ...
    @overload
    def predict(self, source: list[_Source] | tuple[_Source, ...]) -> list[Prediction]: ...
    def predict(self, source: Source | list[_Source] | tuple[_Source, ...]) -> Prediction | list[Prediction]:
        """Predict one image or a list of images.

        Args:
            source: a path, the contents of an image file, a Pillow image, or a uint8 array `(height, width, 3)`, RGB in
                0 to 255; or a list or tuple of these.

        Raises:
            UnreadableImage: with the reason; for a list, at its first unreadable image. `predict_many` continues.
        """
        if not isinstance(source, (list, tuple)):
            return self.predict_batch(self.read(source)[None])[0]
        with self.predict_many(source) as answers:
            predictions = list(answers)
        for position, each in enumerate(predictions):
            if isinstance(each, UnreadableImage):
                raise UnreadableImage(f"image {position} of the list: {each}")
        return predictions

    def predict_many(
        self, sources: Iterable, read: Callable | None = None, readers: int | None = None,
        predict: Callable[[np.ndarray], list] | None = None,
    ) -> InThreads:
        """Predict many images in batches: an iterator over the `Prediction` or `UnreadableImage` of each source.

        All cores read the next images while the model computes. The iterator may be left at any point: opened by
        `with`, it stops reading when the block ends, else when it is dropped.

        Args:
            read: turns a source into an image; `Classifier.read` unless given. It is called in many threads.
            readers: how many threads; as many as there are cores unless given.
            predict: answers a batch: `predict_batch` unless given, or `describe_batch`, whose answers then take the
                place of each `Prediction`.
        """
        images = InThreads(partial(_image_or_reason, read or self.read), sources, readers, CHUNKS_AHEAD * BATCH_SIZE)
        return images.then(partial(_in_batches, predict or self.predict_batch))

    def read(self, source: Source) -> np.ndarray:
        """Read an image for `predict_batch`; see `predict` for its argument.

        Returns:
            uint8 `(height, width, 3)`, RGB in 0 to 255, at the model's `image_size`.

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
        """Predict a batch: uint8 `(batch, height, width, 3)`, RGB in 0 to 255, at the model's `image_size`."""
        return [prediction for prediction, _ in self.describe_batch(images)]

    def describe_batch(self, images: np.ndarray) -> list[tuple[Prediction, np.ndarray]]:
        """The same, each with the image's pooled features, float32 `(units,)`."""
        logits, features = self.run(images)
        scores, brightness = self.unknown_scores(features), images[:, ::EVERY, ::EVERY].mean(axis=(1, 2, 3))
        answers = (self._prediction(*each) for each in zip(self.probabilities(logits), scores, brightness))
        return list(zip(answers, features))

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The uncalibrated outputs of a batch: float32 logits `(batch, classes)` and features `(batch, units)`."""
        return self._runtime.run(images)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64 `(batch, classes)`: the softmax of `logits / temperature`."""
        scaled = logits.astype(np.float64) / self.description.temperature
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def unknown_scores(self, features: np.ndarray) -> np.ndarray:
        """The unknown scores of a batch's features: float64 `(batch,)`; zeros if the model has no reference."""
        return np.zeros(len(features)) if self._reference is None else unknown.score(features, self._reference)

    @property
    def class_means(self) -> np.ndarray:
        """The mean of each class's features scaled to length 1, float32 `(classes, units)`; no rows if not known."""
        return np.zeros((0, 0), np.float32) if self._reference is None else self._reference.class_means

    @property
    def class_spread(self) -> float:
        """How far two images of one class are apart, see `graft.model.unknown.spread`; 0 if not known."""
        return 0.0 if self._reference is None else unknown.spread(self._reference)

    def _check(self) -> None:
        """Check that the bundle's files belong together: otherwise every prediction would be wrong or fail."""
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
                f"{self.folder}: the files do not belong together: {'; '.join(problems)}. Pull the model again."
            )

    def _prediction(self, probabilities: np.ndarray, score: float, brightness: float) -> Prediction:
        order = np.argsort(-probabilities, kind="stable")
        limit, unsure = self.description.unknown_threshold, self.description.unsure_up_to
        return Prediction(
            label=self.class_names[order[0]],
            probabilities=dict(zip([self.class_names[i] for i in order], probabilities[order].tolist())),
            unknown_score=float(score),
            is_unknown=bool(limit is not None and score > limit),
            is_unsure=bool(unsure is not None and probabilities[order[0]] <= unsure),
            brightness=float(brightness),
        )


def _in_batches(predict: Callable[[np.ndarray], list], images: Iterator) -> Iterator:
    while batch := list(islice(images, BATCH_SIZE)):
        readable = [image for image in batch if isinstance(image, np.ndarray)]
        predictions = iter(predict(np.stack(readable)) if readable else ())
        for image in batch:
            yield next(predictions) if isinstance(image, np.ndarray) else image


def _image_or_reason(read: Callable, source: object) -> np.ndarray | UnreadableImage:
    try:
        return read(source)
    except UnreadableImage as reason:
        return as_value(reason)


def _load_reference(path: Path, is_needed: bool) -> unknown.Reference | None:
    if not is_needed and not path.exists():
        return None
    try:
        return unknown.load(path)
    except Exception as error:      # NumPy raises OSError, ValueError, KeyError, BadZipFile, EOFError …
        raise GraftError(f"{path}, which detects unknown images, is damaged: {error}. Pull the model again.") from error


def _fits(found: tuple | None, expected: tuple) -> bool:
    """Whether every size is as expected; None and a size that the graph leaves open fit any size."""
    return found is not None and len(found) == len(expected) and all(
        want is None or not isinstance(size, int) or size in (want, -1) for size, want in zip(found, expected)
    )


def _spelled(shape: tuple | None) -> str:
    return "nothing" if shape is None else " × ".join("any" if not isinstance(n, int) else str(n) for n in shape)
