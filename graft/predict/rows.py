"""From sources to rows: what `graft predict`, `graft serve` and batch prediction say of each image.

A row is a plain dictionary, one JSON object:

    {"source": …, "label": …, "probability": …, "is_unknown": …, "unknown_score": …, "probabilities": {class: …}}
    {"source": …, "error": reason}      where the image cannot be had or read
"""

from collections.abc import Callable
from functools import partial

from graft.images import UnreadableImage
from graft.machine.threads import InThreads
from graft.model.classifier import Classifier, Prediction
from graft.predict.sources import read_source


def rows(
    classifier: Classifier, sources: list[str], top: int | None = None, read: Callable = read_source,
    readers: int | None = None,
) -> InThreads:
    """Predict every source: an iterator over their rows (see `row`) in this order, to be opened by `with`.

    Args:
        read: turns a source into a path or bytes; it is called in many threads.
        readers: how many threads; as many as there are cores unless given.
    """
    outcomes = classifier.predict_many(sources, lambda source: classifier.read(read(source)), readers)
    return outcomes.then(lambda outcomes: map(partial(row, top=top), sources, outcomes))


def row(source: str, outcome: Prediction | UnreadableImage, top: int | None = None) -> dict:
    """One row; `probabilities` holds the `top` most probable classes, or all of them."""
    if isinstance(outcome, UnreadableImage):
        return {"source": source, "error": str(outcome)}
    return {
        "source": source, "label": outcome.label, "probability": outcome.probability,
        "is_unknown": outcome.is_unknown, "unknown_score": outcome.unknown_score,
        "probabilities": dict(list(outcome.probabilities.items())[:top]),
    }
