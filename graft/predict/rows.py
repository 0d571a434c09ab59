"""From sources to rows: the answers of `graft predict`, `graft serve` and batch prediction.

A row is a plain dictionary, one JSON object:

    {"source": …, "label": …, "probability": …, "is_unknown": …, "is_unsure": …, "unknown_score": …,
     "probabilities": {class: …}}
    {"source": …, "error": reason}      if the image cannot be fetched or read
"""

from collections.abc import Callable
from functools import partial

from graft.images import UnreadableImage
from graft.machine.threads import InThreads
from graft.model.classifier import Classifier, Prediction
from graft.predict.decoders import Decoders
from graft.predict.sources import read_source


def rows(
    classifier: Classifier, sources: list[str], top: int | None = None,
    read: Callable[[str], str | bytes] = read_source, readers: int | None = None, decoders: Decoders | None = None,
) -> InThreads:
    """Predict every source: an iterator over their rows in order, to be opened by `with`.

    Args:
        top: the number of most probable classes in each row; None for all.
        read: returns the path or the bytes of a source. It is called from several threads.
        readers: the number of threads that read; by default one per core.
        decoders: processes that decode, each image within a limit; by default the threads do, without one.
    """
    decode = partial(decoders.read, image_size=classifier.image_size) if decoders else classifier.read
    outcomes = classifier.predict_many(sources, lambda source: decode(read(source)), readers)
    return outcomes.then(lambda outcomes: map(partial(row, top=top), sources, outcomes))


def row(source: str, outcome: Prediction | UnreadableImage, top: int | None = None) -> dict:
    """One row; its `probabilities` are those of the `top` most probable classes, or of all if `top` is None."""
    if isinstance(outcome, UnreadableImage):
        return {"source": source, "error": str(outcome)}
    return {
        "source": source, "label": outcome.label, "probability": outcome.probability,
        "is_unknown": outcome.is_unknown, "is_unsure": outcome.is_unsure, "unknown_score": outcome.unknown_score,
        "probabilities": most_probable(outcome.probabilities, top),
    }


def answer_of(row: dict) -> Prediction:
    """The prediction that a row was made from; the row has the probabilities of all classes."""
    return Prediction(*(row[name] for name in ("label", "probabilities", "unknown_score", "is_unknown", "is_unsure")))


def most_probable(probabilities: dict[str, float], top: int | None) -> dict[str, float]:
    """The first `top` entries of probabilities that are sorted in descending order; all of them if `top` is None."""
    return dict(list(probabilities.items())[:top])
