"""The reference of a version: its answers to the test images, `predictions.csv`, which its training run published.

    path, label, predicted, unknown_score, is_unknown, `p:CLASS` for each class, and brightness, which the first lack
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graft.errors import GraftError
from graft.model import bundle
from graft.registry.retrieval import pull
from graft.watch.figures import BINS, Figures, bins_of

PREDICTIONS = "predictions.csv"
CLASS, BRIGHTNESS = "p:", "brightness"


@dataclass(frozen=True)
class Reference:
    """What is known of a version's answers to the test images.

    Attributes:
        model: the version, as NAME@NUMBER.
        figures: of all answers.
        right: int64 `(BINS,)`, how many of the answers counted in `figures.confidences` are right.
    """

    model: str
    figures: Figures
    right: np.ndarray


def fetch_reference(model: str, registry: str | None = None) -> Reference:
    """Fetch a version's reference.

    Args:
        model: an address such as `pets` (the champion) or `pets@3`; see `graft.registry.pull`.
        registry: the registry of an address that does not include one.

    Raises:
        GraftError: if there is no such version, or it carries no such table, or a damaged one.
    """
    pulled = pull(model, registry=registry, attachments=True)
    name, path = f"{pulled.name}@{pulled.version}", pulled.folder / "attachments" / PREDICTIONS
    if not path.is_file():
        raise GraftError(f"{name} carries no {PREDICTIONS}, its answers to the test images, so that there is nothing "
                         "to compare with: it was published by hand, or by an older release. The next training run "
                         "publishes one that has it.")
    return read_reference(path, name, bundle.read_description(pulled.folder))


def read_reference(path: Path, model: str, description: bundle.Description) -> Reference:
    """Read a version's reference from its table.

    Args:
        model: the version, as NAME@NUMBER.
        description: of its bundle.

    Raises:
        GraftError: if the table does not belong to the bundle or is damaged.
    """
    names = tuple(description.class_names)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        probabilities = np.array([[float(row[CLASS + name]) for name in names] for row in rows])
        scores = np.array([float(row["unknown_score"]) for row in rows])
        is_unknown = np.array([row["is_unknown"] == "True" for row in rows])
        labels = np.array([names.index(row["label"]) for row in rows])
        reference = make_reference(model, names, probabilities, scores, is_unknown, labels, description.unsure_up_to)
        if BRIGHTNESS in rows[0]:
            reference.figures.count_brightness(np.array([float(row[BRIGHTNESS]) for row in rows]).clip(0, 255))
        return reference
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise GraftError(f"{path}, the answers of {model} to the test images, cannot be used: "
                         f"{type(error).__name__}: {error}.") from error


def make_reference(model: str, class_names: tuple[str, ...], probabilities: np.ndarray, scores: np.ndarray,
                   is_unknown: np.ndarray, labels: np.ndarray, unsure_up_to: float | None = None) -> Reference:
    """Count labelled answers.

    Args:
        model: the version, as NAME@NUMBER.
        probabilities, scores, is_unknown: see `Figures.count`.
        labels: int `(images,)`, the true class of each.
        unsure_up_to: see `graft.model.bundle.Description`.

    Raises:
        ValueError: if there is no answer, or a number in it cannot be one.
    """
    if not len(probabilities) or not ((probabilities >= 0) & (probabilities <= 1)).all() or not (scores >= 0).all():
        raise ValueError("expected answers with probabilities between 0 and 1 and scores from 0")
    figures, right = Figures.none(class_names), np.zeros(BINS, np.int64)
    confidences = probabilities.max(axis=1)
    figures.count(probabilities, scores, is_unknown, confidences <= (-1 if unsure_up_to is None else unsure_up_to))
    is_right = ~is_unknown & (probabilities.argmax(axis=1) == labels)
    np.add.at(right, bins_of(confidences[is_right]), 1)
    return Reference(model, figures, right)
