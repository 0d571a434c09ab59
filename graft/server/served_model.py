"""The model that a server serves, which is replaced when its address names another version."""

from dataclasses import dataclass
from pathlib import Path

from graft.errors import GraftError
from graft.model.classifier import Classifier
from graft.model.trial import Trial, require_finite_answers
from graft.predict.find import IMAGENET, find_model
from graft.registry.address import parse
from graft.registry.reports import card_in, read_card


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
        self._trial, self._refused = Trial(), dict[Path, str]()
        self._cards = dict[str, str | None]()       # of the version that was asked for last

    def refresh(self) -> bool:
        """Load another version if the address names one by now, and return whether it does.

        The present version is served until the new one has answered in a process of its own (`graft.model.trial`), and
        if this fails. A version that failed is not tried again.

        Raises:
            GraftError: if the registry cannot be used, or the version cannot be loaded or fails its trial.
        """
        name, folder = find_model(self._model, self._registry)
        if folder == self.now.classifier.folder:
            return False
        self._require_sound(name, folder)
        self.now = _load(name, folder, self._format)
        return True

    def read_card(self) -> tuple[str, str | None]:
        """The name of the served version, and the text of its card; None if it was published without one.

        Raises:
            GraftError: if the registry, from which it is fetched when it is first asked for, cannot be used.
        """
        name, folder = self.now.name, self.now.classifier.folder
        if name not in self._cards:
            is_published = folder != Path(self._model) and not self._model.startswith(IMAGENET)
            where = parse(self._model, self._registry).registry if is_published else None
            self._cards = {name: read_card(name, where)[1] if is_published else card_in(folder)}
        return name, self._cards[name]

    def close(self) -> None:
        """End a trial that is under way."""
        self._trial.close()

    def _require_sound(self, name: str, folder: Path) -> None:
        if folder not in self._refused:
            try:
                return self._trial.require_sound(folder, self._format)
            except GraftError as error:
                self._refused[folder] = f"{name} is not put to work: {error}"
        raise GraftError(self._refused[folder])


def _load(name: str, folder: Path, format: str) -> Loaded:
    classifier = Classifier(folder, format=format)
    require_finite_answers(classifier)      # the first run is slow, too
    return Loaded(name, classifier)
