"""What it costs to be sure: how many answers are right if the least certain ones are left to a person."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.evaluation.intervals import proportion
from pipeline.evaluation.metrics import share
from pipeline.evaluation.plots import BLUE, GREY, square
from pipeline.evaluation.predictions import Answers

LEAST_KEPT = 10         # answers from which a share is more than luck
TARGETS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999)       # shares of right answers that people ask for


def order_by_certainty(answers: Answers) -> np.ndarray:
    """Indices of the images, the surest answer first; the answers "unknown" come last."""
    return np.lexsort((-answers.confidences, answers.is_unknown))


def cuts(answers: Answers) -> np.ndarray:
    """How many of the surest answers can be kept, int `(cuts,)`, ascending: equal ones are kept or left together."""
    order = order_by_certainty(answers)
    pairs = np.stack([answers.confidences, answers.is_unknown], axis=1)[order]
    return np.flatnonzero(np.append(np.diff(pairs, axis=0).any(axis=1), True)) + 1


def costs(answers: Answers, confidence: float) -> list[dict]:
    """For each target above the accuracy: the probability from which answers reach it, and what is left to a person.

    The probability was found on the same images, so that others will reach the target about as often as not.

    Args:
        confidence: of the intervals, 0 to 1.

    Returns:
        A row for each target, the highest of those that keep the same answers, and the lowest of those that keep none:
        `target`; `least`, the probability; `kept`, the share of images answered; and `right`, the share of right
        answers among these, a metric (see `metrics.share`). The last three are None where no probability is enough.
    """
    order, kept = order_by_certainty(answers), cuts(answers)
    is_right = answers.is_right[order]
    precision = is_right.cumsum()[kept - 1] / kept
    rows = {}
    for target in (each for each in TARGETS if each > answers.is_right.mean()):
        count = int(kept[(precision >= target) & (kept >= LEAST_KEPT)].max(initial=0))
        row = {"target": target, "least": None, "kept": None, "right": None}
        if count:
            row |= {"least": float(answers.confidences[order[count - 1]]), "kept": count / len(order),
                    "right": share(is_right[:count], confidence)}
        rows[row["kept"]] = row if count else rows.get(None, row)
    return list(rows.values())


def draw_coverage(answers: Answers, confidence: float) -> Figure:
    """Draw the share of right answers over the share of images that are answered, with its interval."""
    order, kept = order_by_certainty(answers), cuts(answers)
    precision = answers.is_right[order].cumsum()[kept - 1] / kept
    low, high = np.array([proportion(value, count, confidence) for value, count in zip(precision, kept)]).T
    figure, axes = square("share of images answered, the surest first", "share of right answers")
    axes.fill_between(kept / len(order), low, high, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(kept / len(order), precision, color=BLUE)
    known = 1 - answers.is_unknown.mean()
    if known < 1:
        axes.axvline(known, color=GREY, linewidth=0.8, linestyle=":")
        axes.text(known, 1.01, "“unknown” →", transform=axes.get_xaxis_transform(), color=GREY, fontsize=8, ha="right")
    axes.set_ylim(max(0.0, min(precision[kept > len(order) / 10].min(), low[-1]) - 0.05), 1.005)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    return figure
