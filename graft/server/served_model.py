"""The model that a server answers with: another one as soon as its address names another version."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graft.model.classifier import Classifier
from graft.predict.find import find_model


@dataclass(frozen=True)
class Loaded:
    """One version, ready to predict. `name` is NAME@NUMBER, or the folder's name."""

    name: str
    classifier: Classifier


class ServedModel:
    """`now` is what answers; `refresh` looks whether the address names something else by now."""

    def __init__(self, model: str, registry: str | None = None, format: str = "onnx"):
        """Raises `GraftError` when there is no such model."""
        self._model, self._registry, self._format = model, registry, format
        self.now = _load(*find_model(model, registry), format)

    def refresh(self) -> bool:
        """Whether another version was loaded. Until it is ready, and when this fails, the present one answers.

        Raises:
            GraftError: when the registry cannot be reached, or what it gives is no model.
        """
        name, folder = find_model(self._model, self._registry)
        if folder == self.now.classifier.folder:
            return False
        self.now = _load(name, folder, self._format)
        return True


def _load(name: str, folder: Path, format: str) -> Loaded:
    classifier = Classifier(folder, format=format)
    classifier.predict(np.zeros((*classifier.image_size, 3), np.uint8))     # the first run is slow: not a caller's
    return Loaded(name, classifier)
