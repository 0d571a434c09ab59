"""From sources to rows: what `graft predict`, `graft serve` and batch prediction say of each image.

A row is a plain dictionary, one JSON object:

    {"source": …, "label": …, "probability": …, "is_unknown": …, "unknown_score": …, "probabilities": {class: …}}
    {"source": …, "error": reason}      where the image cannot be had or read
"""

from collections.abc import Callable, Iterator

from graft.images import UnreadableImage
from graft.model.classifier import Classifier, Prediction
from graft.predict.sources import read_source


def rows(
    classifier: Classifier, sources: list[str], top: int | None = None, read: Callable = read_source,
    readers: int | None = None,
) -> Iterator[dict]:
    """Predict every source, in order; `read` turns one into a path or bytes, in so many threads. See `row`."""
    outcomes = classifier.predict_many(sources, lambda source: classifier.read(read(source)), readers)
    for source, outcome in zip(sources, outcomes):
        yield row(source, outcome, top)


def row(source: str, outcome: Prediction | UnreadableImage, top: int | None = None) -> dict:
    """One row; `probabilities` holds the `top` most probable classes, or all of them."""
    if isinstance(outcome, UnreadableImage):
        return {"source": source, "error": str(outcome)}
    return {
        "source": source, "label": outcome.label, "probability": outcome.probability,
        "is_unknown": outcome.is_unknown, "unknown_score": outcome.unknown_score,
        "probabilities": dict(list(outcome.probabilities.items())[:top]),
    }
