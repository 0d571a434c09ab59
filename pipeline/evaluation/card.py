"""The model card: a Markdown page with the front matter that Hugging Face reads, made from stored figures alone.

Its format is that of https://huggingface.co/docs/hub/model-cards.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from graft.model.bundle import Description
from pipeline.evaluation.metrics import share
from pipeline.evaluation.pictures import surest_mistakes
from pipeline.evaluation.predictions import Answers
from pipeline.evaluation.report_tables import metric_rows
from pipeline.evaluation.verdict import weakest
from pipeline.pages import percent, render_markdown

WORST = 5           # classes with the lowest recall
MISTAKES = 5
SPLITS = ("train", "val", "test")
NOT_STATED = "not stated"


@dataclass(frozen=True)
class Sources:
    """What a card is made of.

    Attributes:
        name: under which the model is published.
        data: the name of its data set.
        words: what only people know: `intended_use`, `out_of_scope`, `licence` and `data_licence`; empty if unknown.
        description: of the bundle.
        answers: to the test images.
        metrics, classes: on the test images, see `pipeline.evaluation.metrics.measure`.
        splits: a table with the columns label and split, of every image.
        chosen: `kept`, the stage whose model it is, and the `reason`.
        confidence: of the intervals, 0 to 1.
        verdict: rows of `question` and `answer`, see `pipeline.evaluation.verdict.give_verdict`.
    """

    name: str
    data: str
    words: dict[str, str]
    description: Description
    answers: Answers
    metrics: dict
    classes: pd.DataFrame
    splits: pd.DataFrame
    chosen: dict
    confidence: float
    verdict: list[dict]


def write_card(sources: Sources) -> str:
    """Render the Markdown of the card. The same sources always give the same text."""
    counts = pd.crosstab(sources.splits["label"], sources.splits["split"]).reindex(columns=SPLITS, fill_value=0)
    worst = weakest(sources.classes[sources.classes["recall"] < 1], WORST)
    return render_markdown(
        Path(__file__).with_name("card.md"), front_matter=front_matter(sources), name=sources.name,
        description=sources.description, images=len(sources.answers.labels), confidence=sources.confidence,
        words=sources.words, not_stated=NOT_STATED, verdict=sources.verdict,
        chosen=sources.chosen, splits=SPLITS, counts=counts.to_dict("index"), metrics=sources.metrics,
        classes=sources.classes.to_dict("records"), metric_rows=metric_rows(sources.metrics),
        sure=_sure(sources), worst=worst.to_dict("records"), mistakes=_mistakes(sources.answers), metric=_metric,
        ranged=_ranged,
        weights_licence=(sources.description.backbone.get("licence") or {}).get("name", NOT_STATED),
    )


def front_matter(sources: Sources) -> str:
    """The YAML between the dashes at the beginning of the card."""
    licence = sources.words["licence"]
    metrics = [{"type": name, "name": name, "value": metric["value"],
                "args": {"low": metric["low"], "high": metric["high"], "confidence": sources.confidence,
                         "images": metric["images"]}}
               for name, metric in sources.metrics.items()]
    result = {"task": {"type": "image-classification"}, "metrics": metrics,
              "dataset": {"name": sources.data, "type": "imagefolder", "split": "test"}}
    content = {"library_name": "graft", "pipeline_tag": "image-classification", "tags": ["onnx"],
               "license": licence or "other", **({} if licence else {"license_name": "not-stated"}),
               "model-index": [{"name": sources.name, "results": [result]}]}
    yaml, text = YAML(), io.StringIO()
    yaml.allow_unicode, yaml.width = True, 4096
    yaml.dump(content, text)
    return text.getvalue()


def _mistakes(answers: Answers) -> list[dict]:
    names = answers.class_names
    return [{"path": str(answers.paths[index]), "label": names[answers.labels[index]],
             "predicted": names[answers.predicted[index]], "probability": float(answers.confidences[index])}
            for index in surest_mistakes(answers, MISTAKES)]


def _sure(sources: Sources) -> dict:
    """The precision of the answers that are not unsure, see `pipeline.evaluation.metrics.share`."""
    sure = sources.answers.confidences > (sources.description.unsure_up_to or 0)
    return share(sources.answers.is_right[sure], sources.confidence) if sure.any() else {"images": 0}


def _metric(metric: dict) -> str:
    return "{} ({} to {})".format(*(percent(metric[key]) for key in ("value", "low", "high")))


def _ranged(row: dict, name: str) -> str:
    return _metric({"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]})
