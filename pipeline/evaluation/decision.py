"""May a new model replace the published one? The decision alone: pure arithmetic on two models' answers.

PROMOTE   it is better than the champion than chance explains, and no class pays for it
HOLD      nothing is proven either way, or a person must decide: the version is published, the champion stays
REJECT    it is below a floor, or worse than the champion than chance explains: it is not even published.
          Of a class, more must be wrong than chance explains: a class may have three test images
"""

from dataclasses import dataclass, field

import numpy as np

from pipeline.evaluation import intervals
from pipeline.evaluation.paired import chance_of, chance_of_so_few, difference_interval

PROMOTE, HOLD, REJECT = "PROMOTE", "HOLD", "REJECT"
CONFIDENCE = 0.95       # of the intervals that are shown; no decision hangs on them


@dataclass(frozen=True)
class Rules:
    """When a model is promoted; all are shares of images, 0 to 1.

    Attributes:
        min_accuracy, min_class_recall: floors of every model.
        significance: the largest accepted probability of promoting a model that is no better.
        max_class_recall_drop: how much of the champion's recall no class may lose.
    """

    min_accuracy: float
    min_class_recall: float
    significance: float
    max_class_recall_drop: float


@dataclass
class Decision:
    """A verdict, its reasons in words, and the figures it rests on."""

    verdict: str
    reasons: list[str]
    figures: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Champion:
    """The published model on the candidate's test images.

    Attributes:
        class_names: of the champion.
        predicted: str `(images,)`, its answers.
        has_learnt: bool `(images,)`: it was trained or tuned on this very image; None when that is not known.
    """

    class_names: list[str]
    predicted: np.ndarray
    has_learnt: np.ndarray | None


def decide(rules: Rules, class_names: list[str], labels: np.ndarray, predicted: np.ndarray,
           champion: Champion | None) -> Decision:
    """Decide on a candidate.

    Args:
        class_names: of the candidate.
        labels, predicted: str `(images,)`: the true classes of the test images and the candidate's answers.
        champion: None when no model was ever promoted: the floors alone decide.
    """
    below, perhaps_below = _below_floors(rules, labels, predicted)
    figures = {"candidate": share(predicted == labels)}
    if champion is None:
        reasons = [f"the first model: {_said(predicted == labels)}, and no class is below its floor"]
        verdict = REJECT if below else HOLD if perhaps_below else PROMOTE
        return Decision(verdict, below + perhaps_below or reasons, figures)
    seen = np.zeros(len(labels), dtype=bool) if champion.has_learnt is None else champion.has_learnt
    figures |= _compare(class_names, champion, labels[~seen], predicted[~seen], champion.predicted[~seen])
    figures["excluded"] = int(seen.sum())
    against, doubts = _objections(rules, figures)
    doubts = perhaps_below + doubts
    if champion.has_learnt is None:
        doubts.append("the champion's split is not published with it: it may have learnt some of these images")
    if below or against:
        return Decision(REJECT, below + against, figures)
    if doubts or figures["chance_of_better"] > rules.significance:
        return Decision(HOLD, doubts or [_unproven(rules, figures)], figures)
    return Decision(PROMOTE, [_better(rules, figures)], figures)


def share(flags: np.ndarray) -> dict:
    """A share with its interval: value, low, high, images; without images the value is None."""
    value = float(flags.mean()) if len(flags) else None
    low, high = intervals.proportion(value or 0.0, len(flags), CONFIDENCE)
    return {"value": value, "low": float(low), "high": float(high), "images": len(flags)}


def _below_floors(rules: Rules, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[str], list[str]]:
    """What is below a floor, and the classes that are it perhaps by chance."""
    is_right = predicted == labels
    found, perhaps = [], []
    if is_right.mean() < rules.min_accuracy:
        found.append(f"{_said(is_right)}, below the floor of {rules.min_accuracy:.1%} (params.yaml: gate.min_accuracy)")
    for name in np.unique(labels):
        recall = is_right[labels == name]
        if recall.mean() < rules.min_class_recall:
            said = (f"class {name}: {_said(recall)}, below the floor of {rules.min_class_recall:.1%} "
                    "(params.yaml: gate.min_class_recall)")
            is_proven = chance_of_so_few(int(recall.sum()), len(recall), rules.min_class_recall) <= rules.significance
            found.append(said) if is_proven else perhaps.append(f"{said}; it may be chance")
    return found, perhaps


def _compare(class_names: list[str], champion: Champion, labels, predicted, by_champion) -> dict:
    """All figures of both models on the same images. Images of a class that the champion does not know count as its
    mistakes: whoever asks it about them gets a wrong answer."""
    is_right, was_right = predicted == labels, by_champion == labels
    wins, losses = int((is_right & ~was_right).sum()), int((was_right & ~is_right).sum())
    low, high = difference_interval(wins, losses, len(labels), CONFIDENCE)
    known = np.isin(labels, champion.class_names)
    return {
        "images": len(labels), "candidate_on_same": share(is_right), "champion": share(was_right),
        "difference": {"value": (wins - losses) / max(len(labels), 1), "low": low, "high": high},
        "wins": wins, "losses": losses,
        "chance_of_better": chance_of(wins, losses),
        # classes that the champion does not know must not hide a loss in those that it does
        "chance_of_worse": chance_of(losses, int((is_right & ~was_right & known).sum())),
        "classes": [_class(name, is_right[labels == name], was_right[labels == name])
                    for name in class_names if name in champion.class_names],
        "classes_gained": sorted(set(class_names) - set(champion.class_names)),
        "classes_lost": sorted(set(champion.class_names) - set(class_names)),
    }


def _class(name: str, is_right: np.ndarray, was_right: np.ndarray) -> dict:
    wins, losses = int((is_right & ~was_right).sum()), int((was_right & ~is_right).sum())
    return {
        "class": name, "images": len(is_right), "candidate": share(is_right)["value"],
        "champion": share(was_right)["value"], "change": (wins - losses) / max(len(is_right), 1),
        "chance_of_worse": chance_of(losses, wins),
    }


def _objections(rules: Rules, figures: dict) -> tuple[list[str], list[str]]:
    """What speaks against the candidate: proven, and what may be chance or is for a person to decide."""
    against, doubts = [], []
    if not figures["images"]:
        doubts.append("there is no test image that the champion did not learn: nothing can be compared")
    if figures["chance_of_worse"] <= rules.significance:
        against.append(f"worse than the champion: {_versus(figures)}, chance alone does this with a probability of "
                       f"{figures['chance_of_worse']:.2g}")
    for each in figures["classes"]:
        if _drops(rules, each):
            said = (f"class {each['class']}: recall {each['champion']:.1%} to {each['candidate']:.1%} on "
                    f"{each['images']} images, a loss of more than {rules.max_class_recall_drop:.0%} "
                    "(params.yaml: gate.max_class_recall_drop)")
            # of a hundred classes chance alone makes some much worse: the more there are, the less is proven by one
            expected = each["chance_of_worse"] * sum(row["images"] > 0 for row in figures["classes"])
            if expected <= rules.significance:
                against.append(said)
            elif expected <= 1:
                doubts.append(f"{said}; it may be chance")
    if lost := figures["classes_lost"]:
        doubts.append(f"the champion knows classes that this model does not: {', '.join(lost)}")
    return against, doubts


def _drops(rules: Rules, row: dict) -> bool:
    return -row["change"] > rules.max_class_recall_drop


def _better(rules: Rules, figures: dict) -> str:
    lost = [row["class"] for row in figures["classes"] if _drops(rules, row)]
    said = f"{', '.join(lost)} lost" if lost else "no class loses"
    return (f"better than the champion: {_versus(figures)}, chance alone does this with a probability of "
            f"{figures['chance_of_better']:.2g}; {said} more than {rules.max_class_recall_drop:.0%}"
            + ", as chance alone does to some of so many classes" * bool(lost))


def _unproven(rules: Rules, figures: dict) -> str:
    return (f"not proven better than the champion: {_versus(figures)}; a model that is no better does as well with a "
            f"probability of {figures['chance_of_better']:.2g}, at most {rules.significance:g} is accepted")


def _versus(figures: dict) -> str:
    return (f"{figures['candidate_on_same']['value']:.1%} against {figures['champion']['value']:.1%} of the same "
            f"{figures['images']} images, {figures['wins']} won and {figures['losses']} lost")


def _said(is_right: np.ndarray) -> str:
    found = share(is_right)
    return f"{found['value']:.1%} right ({found['low']:.1%} to {found['high']:.1%}) of {found['images']} images"
