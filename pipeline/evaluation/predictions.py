"""A model's answers to labelled images: the table from which every number of a report is computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from graft.errors import GraftError
from graft.machine.progress import shown
from graft.model.classifier import Classifier, Prediction
from pipeline.evaluation.calibration import losses
from pipeline.image_folder import readers_of

PREFIX = "p:"       # of the columns that hold the probability of a class


@dataclass(frozen=True)
class Answers:
    """A table of predictions as arrays.

    Attributes:
        class_names: in the order of the probabilities' columns.
        paths: str `(images,)`, relative to the folder of the images.
        labels: int `(images,)`, the true class.
        predicted: int `(images,)`, the most probable class.
        probabilities: float64 `(images, classes)`, calibrated, 0 to 1.
        unknown_scores: float64 `(images,)`, higher for an image less like the training images.
        is_unknown: bool `(images,)`, whether the answer is "unknown".
    """

    class_names: list[str]
    paths: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    unknown_scores: np.ndarray
    is_unknown: np.ndarray

    @property
    def is_right(self) -> np.ndarray:
        """bool `(images,)`: whether the predicted class is the true one."""
        return self.predicted == self.labels

    @property
    def confidences(self) -> np.ndarray:
        """float64 `(images,)`: the probability of the predicted class."""
        return self.probabilities[np.arange(len(self.predicted)), self.predicted]

    @property
    def losses(self) -> np.ndarray:
        """float64 `(images,)`: the negative log-probability of the true class."""
        return losses(self.probabilities, self.labels)


def predict_table(classifier: Classifier, table: pd.DataFrame, images: Path) -> pd.DataFrame:
    """Predict the images of a table, as any user of the bundle would.

    Args:
        classifier: the bundle.
        table: with the columns path and label.
        images: the folder that the paths are relative to.

    Returns:
        path, label, predicted, unknown_score, is_unknown, brightness, and `p:CLASS` for each class in its order.

    Raises:
        GraftError: naming every image that cannot be read.
    """
    paths = [images / path for path in table["path"]]
    with classifier.predict_many(paths, readers=readers_of(images)) as answers:
        answers = list(shown(answers, len(paths), "predicting", "image"))
    unreadable = [f"{path}: {answer}" for path, answer in zip(paths, answers) if not isinstance(answer, Prediction)]
    if unreadable:
        raise GraftError("images that were readable before cannot be read now:\n       " + "\n       ".join(unreadable)
                         + "\n       Restore them, or validate the images again.")
    columns = {
        "path": table["path"], "label": table["label"], "predicted": [answer.label for answer in answers],
        "unknown_score": [answer.unknown_score for answer in answers],
        "is_unknown": [answer.is_unknown for answer in answers],
        "brightness": [answer.brightness for answer in answers],
    }
    for name in classifier.class_names:
        columns[PREFIX + name] = [answer.probabilities[name] for answer in answers]
    return pd.DataFrame(columns).reset_index(drop=True)


def columns(class_names: Iterable[str]) -> dict:
    """The columns of `predict_table`: name -> type."""
    fixed = {"path": str, "label": str, "predicted": str, "unknown_score": float, "is_unknown": bool,
             "brightness": float}
    return fixed | {PREFIX + name: float for name in class_names}


def class_names(columns: Iterable[str]) -> list[str]:
    """The classes that a table of predictions has columns for, in their order."""
    return [name.removeprefix(PREFIX) for name in columns if name.startswith(PREFIX)]


def to_answers(table: pd.DataFrame) -> Answers:
    """Convert a table of predictions to arrays. Raises `GraftError` for labels that the model does not know."""
    names = class_names(table.columns)
    if unknown := sorted(set(table["label"]) - set(names)):
        raise GraftError(f"the model knows the classes {', '.join(names)}, but images are labelled "
                         f"{', '.join(unknown)}. It was trained on other data: train it again on these images.")
    number = {name: index for index, name in enumerate(names)}
    return Answers(
        class_names=names, paths=table["path"].to_numpy(str),
        labels=table["label"].map(number).to_numpy(int), predicted=table["predicted"].map(number).to_numpy(int),
        probabilities=table[[PREFIX + name for name in names]].to_numpy(float),
        unknown_scores=table["unknown_score"].to_numpy(float), is_unknown=table["is_unknown"].to_numpy(bool),
    )
