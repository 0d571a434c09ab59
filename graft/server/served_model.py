"""The model that a server serves, which is replaced when its address names another version."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graft.model.classifier import Classifier
from graft.predict.find import find_model


@dataclass(frozen=True)
class Loaded:
    """A version that is ready to predict. Its name is NAME@NUMBER, or that of its folder."""

    name: str
    classifier: Classifier


class ServedModel:
    """The served version of a model.

    Attributes:
        now: the version that is being served.
    """

    def __init__(self, model: str, registry: str | None = None, format: str = "onnx"):
        """Load the model; for the arguments, see `graft.load`. Raises `GraftError` if it cannot be loaded."""
        self._model, self._registry, self._format = model, registry, format
        self.now = _load(*find_model(model, registry), format)

    def refresh(self) -> bool:
        """Load another version if the address names one by now, and return whether it does.

        The present version is served until the new one is ready, and if this fails.

        Raises:
            GraftError: if the registry cannot be used or the version cannot be loaded.
        """
        name, folder = find_model(self._model, self._registry)
        if folder == self.now.classifier.folder:
            return False
        self.now = _load(name, folder, self._format)
        return True


def _load(name: str, folder: Path, format: str) -> Loaded:
    classifier = Classifier(folder, format=format)
    classifier.predict(np.zeros((*classifier.image_size, 3), np.uint8))     # now: the first run is slow
    return Loaded(name, classifier)
