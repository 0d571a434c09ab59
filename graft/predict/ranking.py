"""Rank images without a label by how much a model would learn from a person's label.

Each image is worth its uncertainty times its distance to the nearest image that has a label or stands before it: greedy
k-center (Sener and Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach"), weighted.
So copies of an image, and images that all look alike, do not follow each other. `benchmarks/select.py` compares it with
a random choice.
"""

from collections.abc import Callable, Iterable

import numpy as np

from graft.images import UnreadableImage
from graft.machine.progress import shown
from graft.model.classifier import Classifier, Prediction
from graft.predict.decoders import Decoders
from graft.predict.rows import row
from graft.predict.sources import read_source


def describe(classifier: Classifier, sources: list[str], decoders: Decoders,
             read: Callable[[str], str | bytes] = read_source, readers: int | None = None,
             ) -> tuple[list[Prediction | UnreadableImage], np.ndarray]:
    """Predict every source. For the arguments, see `graft.predict.rows.rows`.

    Returns:
        The answers in the order of the sources, and the features of the readable ones, float32 `(readable, units)`.
    """
    with classifier.predict_many(sources, lambda each: decoders.read(read(each), classifier.image_size), readers,
                                 classifier.describe_batch) as described:
        found = list(shown(described, len(sources), "reading images", "image"))
    answers = [each if isinstance(each, UnreadableImage) else each[0] for each in found]
    features = [each[1] for each in found if not isinstance(each, UnreadableImage)]
    return answers, np.stack(features) if features else np.zeros((0, 1), np.float32)


def choose(classifier: Classifier, sources: list[str], count: int, decoders: Decoders) -> tuple[list[dict], list[dict]]:
    """The rows of `count` sources, the most useful first, and those of all that cannot be read; see `rows`."""
    answers, features = describe(classifier, sources, decoders)
    read = [(source, each) for source, each in zip(sources, answers) if not isinstance(each, UnreadableImage)]
    order = rank(features, [uncertainty(each) for _, each in read], classifier.class_means, count)
    unreadable = [row(source, each) for source, each in zip(sources, answers) if isinstance(each, UnreadableImage)]
    return [row(*read[each]) for each in order], unreadable


def uncertainty(answer: Prediction) -> float:
    """How little an answer is to be relied on, 0 to 1: 1 if it is "unknown".

    Otherwise 1 less the lead of the most probable class over the second (Scheffer et al. 2001, "Active Hidden Markov
    Models for Information Extraction").
    """
    first, second = list(answer.probabilities.values())[:2]
    return 1.0 if answer.is_unknown else 1.0 - first + second


def rank(features: np.ndarray, uncertainties: Iterable[float], labelled: np.ndarray, count: int) -> np.ndarray:
    """Choose the images that are most worth a label.

    Args:
        features: float `(images, units)`, the model's pooled features.
        uncertainties: of each image, see `uncertainty`.
        labelled: float `(others, units)`, the features of what has a label, such as `Classifier.class_means`.
        count: how many to choose; all, if there are fewer.

    Returns:
        int `(count,)`, the images' indices, the best first; of equals, the first.
    """
    features, weights = to_length_1(features), np.fromiter(uncertainties, float)
    distances, chosen = distances_to_nearest(features, to_length_1(labelled)), []
    left = np.ones(len(features), bool)
    for _ in range(min(count, len(features))):
        chosen.append(int(np.where(left, weights * distances, -1).argmax()))
        left[chosen[-1]] = False
        distances = np.minimum(distances, distances_to_nearest(features, features[chosen[-1:]]))
    return np.array(chosen, int)


def to_length_1(features: np.ndarray) -> np.ndarray:
    """Features scaled to length 1, float64 `(images, units)`; what is 0 stays 0."""
    features = features.astype(np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def distances_to_nearest(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """From each image to the nearest of the others, 0 to 2; 2 if there are none. All features have the length 1."""
    if not len(others) or not len(features):
        return np.full(len(features), 2.0)
    return np.sqrt(np.maximum(2 - 2 * (features @ others.T), 0)).min(axis=1)
