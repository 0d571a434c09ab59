"""The gate's verdict as a page, with the images on which the two models disagree."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.evaluation import pictures
from pipeline.evaluation.decision import Champion
from pipeline.pages import render

SHOWN = 24          # images of each kind of disagreement
MEANINGS = {
    "min_accuracy": "the accuracy below which no model is published",
    "min_class_recall": "the share of a class’s images that every model must recognise",
    "significance": "the largest accepted probability of promoting a model that is no better",
    "max_class_recall_drop": "how much of its recall a class may lose against the champion",
}


def render_gate(report: dict, stamp: str, version: int | None, table: pd.DataFrame, predicted: np.ndarray,
                champion: Champion | None, images: Path) -> str:
    """The gate's report as HTML.

    Args:
        report: see `tasks.gate.judge`.
        stamp: a sentence that says when and at which commit this was decided.
        version: that the model already is, or None.
        table: the test images, with the columns path and label.
        predicted: the new model's answers, str `(images,)`.
        champion: the published model on the same images.
        images: the folder of the images.
    """
    values = {"champion": None, **report, "stamp": stamp, "version": version, "meanings": MEANINGS}
    if champion is not None:
        values |= _disagreements(table, predicted, champion, images)
    return render(Path(__file__).with_name("gate.html"), f"{report['model']}: {report['verdict']}", **values)


def _disagreements(table: pd.DataFrame, predicted: np.ndarray, champion: Champion, images: Path) -> dict:
    paths, labels = table["path"].to_numpy(str), table["label"].to_numpy(str)

    def shown(rows, who: str, answers) -> list[dict]:
        return [{"url": pictures.data_url(pictures.thumbnail(images / paths[row])), "path": paths[row],
                 "label": labels[row], "who": who, "predicted": answers[row]} for row in rows[:SHOWN]]

    counts = True if champion.has_learnt is None else ~champion.has_learnt
    is_right, was_right = predicted == labels, champion.predicted == labels
    won, lost = (counts & right & ~other for right, other in ((is_right, was_right), (was_right, is_right)))
    return {"won_images": shown(won.nonzero()[0], "the champion", champion.predicted),
            "lost_images": shown(lost.nonzero()[0], "the new model", predicted)}
