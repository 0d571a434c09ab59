"""What a model is fitted on: labels, and inputs that are fetched a batch at a time."""

from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from graft.machine.threads import InThreads
from pipeline.training import backbones, backend
from pipeline.training.activations import BATCH_SIZE, Activations
from pipeline.training.batches import full
from pipeline.training.frozen import FrozenPart
from pipeline.views import PLAIN, View


@dataclass(frozen=True)
class Examples:
    """The labelled images of one split, each as its activations at the cut.

    Attributes:
        paths: of the images, with their sha256 at the same place in `sha256s`.
        labels: int `(images,)`, the label's place among the class names.
        views: augmented views of each image; 0 for the plain one alone.
    """

    activations: Activations
    paths: list[str]
    sha256s: list[str]
    labels: np.ndarray
    views: int

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: np.ndarray, epoch: int) -> np.ndarray:
        """float16 `(len(indices), rows, columns, channels)`: each image in another view from epoch to epoch."""
        return self.activations.batch([self.view(index, epoch) for index in indices])

    def view(self, index: int, epoch: int) -> View:
        number = 1 + (epoch + index) % self.views if self.views else PLAIN
        return View(self.paths[index], self.sha256s[index], int(number))

    def all_views(self) -> list[View]:
        """Every view of every image, those of one image in a row, in the order of their numbers."""
        numbers = range(1, self.views + 1) if self.views else (PLAIN,)
        return [View(*image, number) for image in zip(self.paths, self.sha256s) for number in numbers]


    def some(self, chosen: np.ndarray) -> "Examples":
        """Those that are chosen, bool `(images,)`."""
        places = np.flatnonzero(chosen)
        return replace(self, paths=[self.paths[place] for place in places],
                       sha256s=[self.sha256s[place] for place in places], labels=self.labels[places])


def joined(train: Examples, val: Examples) -> Examples:
    """The images of two splits, each in as many views as the first has."""
    return Examples(train.activations, train.paths + val.paths, train.sha256s + val.sha256s,
                    np.concatenate([train.labels, val.labels]), train.views)


@dataclass(frozen=True)
class Vectors:
    """The same images once the frozen top has made vectors of their activations; they fit into memory.

    Attributes:
        features: float32 `(images, views, units)`.
        labels: int `(images,)`.
    """

    features: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The features of every view, float32 `(images × views, units)`, and their labels, int `(images × views,)`."""
        views = self.features.shape[1]
        return self.features.reshape(-1, self.features.shape[-1]), self.labels.repeat(views)

    def batch(self, indices: np.ndarray, epoch: int) -> np.ndarray:
        """float32 `(len(indices), units)`: each image in another view from epoch to epoch."""
        return self.features[indices, (epoch + indices) % self.features.shape[1]]


def balanced_weights(labels: np.ndarray) -> np.ndarray:
    """Weights that give every class the same total, with a mean of 1, as scikit-learn's "balanced".

    Args:
        labels: int `(images,)`.

    Returns:
        float32 `(images,)`.
    """
    counts = np.bincount(labels)
    return (len(labels) / (np.count_nonzero(counts) * counts[labels])).astype(np.float32)


@dataclass(frozen=True)
class Dataset:
    """All splits, with the names of the classes in the order of the labels."""

    class_names: list[str]
    splits: dict[str, Examples]
    part: FrozenPart
    weights: Path

    def models(self, precision: str = "float32") -> tuple[keras.Model, keras.Model]:
        """The frozen part and the top, with the weights that `extract` found, in a Keras dtype policy."""
        with backend.precision(precision):
            return backbones.split(self.part.network(self.weights), self.part.cut)

    def levels(self) -> Activations:
        """The pooled output of every level in place of the activations at the cut."""
        return next(iter(self.splits.values())).activations.at(backbones.LEVELS)

    def fill(self, names: tuple[str, ...] = ("train", "val")) -> None:
        """Compute the activations that are on no disk yet (a fresh clone has the index, not the cache)."""
        self.splits[names[0]].activations.fill([view for name in names for view in self.splits[name].all_views()])


def read_levels(dataset: Dataset, views: list[View]) -> np.ndarray:
    """The levels of images, computed if they are on no disk yet.

    Args:
        dataset: see `open_dataset`.
        views: from `pipeline.probing.levels.views_of`.

    Returns:
        float32 `(images, 2, units)`, plain and mirrored.
    """
    activations = dataset.levels()
    activations.fill(views)
    batches = [activations.batch(views[start : start + BATCH_SIZE]) for start in range(0, len(views), BATCH_SIZE)]
    return np.concatenate(batches).reshape(len(views) // 2, 2, -1).astype(np.float32)


def open_dataset(part: dict, weights: Path, table, images: Path, cache: Path, cache_gigabytes: float) -> Dataset:
    """Open what stage `extract` wrote.

    Args:
        part: the fields of a `FrozenPart`.
        weights, images, cache, cache_gigabytes: see `Activations`.
        table: a data frame with the columns path, label, split, sha256 and views.
    """
    part = FrozenPart(**part)
    activations = Activations(part, weights, images, cache, cache_gigabytes)
    class_names = sorted(table["label"].unique())
    splits = {
        name: Examples(
            activations,
            rows["path"].tolist(),
            rows["sha256"].tolist(),
            np.array([class_names.index(label) for label in rows["label"]], dtype=np.int64),
            int(rows["views"].max()),
        )
        for name, rows in table.groupby("split")
    }
    return Dataset(class_names, splits, part, weights)


def vectors(top: keras.Model, examples: Examples) -> Vectors:
    """Every view of every example through the top, which is thereby needed once and not in each epoch."""
    views = examples.all_views()
    features = np.empty((len(views), top.output.shape[-1]), np.float32)

    def read(start: int) -> tuple[int, np.ndarray]:
        return start, examples.activations.batch(full(views[start : start + BATCH_SIZE], BATCH_SIZE))

    with InThreads(read, range(0, len(views), BATCH_SIZE), threads=1) as batches:
        for start, batch in batches:
            rows = top.predict_on_batch(backend.shared(top, batch.astype(np.float32)))
            features[start : start + BATCH_SIZE] = rows[: len(views) - start]
    return Vectors(features.reshape(len(examples), -1, features.shape[1]), examples.labels)
