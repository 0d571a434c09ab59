"""Decide whether a new model, the candidate, may replace the champion: pure arithmetic on the answers of both.

PROMOTE   the candidate is significantly better than the champion, and no class pays for it
HOLD      neither is significantly better, or a person must decide: the version is published, the champion stays
REJECT    the candidate is below a floor, or significantly worse than the champion: it is not even published

A measure is below a floor if its whole interval is: a class may have only three test images.
"""

from dataclasses import dataclass, field

import numpy as np

from pipeline.evaluation import intervals
from pipeline.evaluation.paired import chance_of, difference_interval

PROMOTE, HOLD, REJECT = "PROMOTE", "HOLD", "REJECT"
CONFIDENCE = 0.95       # of the intervals


@dataclass(frozen=True)
class Rules:
    """When a model is promoted; all are 0 to 1.

    Attributes:
        min_accuracy, min_class_recall: floors for every model.
        significance: the largest accepted probability of promoting a model that is no better.
        max_class_recall_drop: the largest accepted drop of a class's recall below the champion's.
    """

    min_accuracy: float
    min_class_recall: float
    significance: float
    max_class_recall_drop: float


@dataclass
class Decision:
    """A verdict, its reasons as sentences, and the figures behind it, which JSON can hold."""

    verdict: str
    reasons: list[str]
    figures: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Champion:
    """The published model on the candidate's test images.

    Attributes:
        class_names: of the champion.
        predicted: str `(images,)`, its answers.
        has_learnt: bool `(images,)`, whether it was trained or tuned on an image; None if that is unknown.
    """

    class_names: list[str]
    predicted: np.ndarray
    has_learnt: np.ndarray | None


def decide(rules: Rules, class_names: list[str], labels: np.ndarray, predicted: np.ndarray,
           champion: Champion | None) -> Decision:
    """Decide on a candidate.

    Args:
        rules: when to promote.
        class_names: of the candidate.
        labels, predicted: str `(images,)`, the true classes of the test images, and the candidate's answers.
        champion: None if no model was ever promoted: the floors alone decide.
    """
    below, undecided = _below_floors(rules, labels, predicted)
    figures = {"candidate": share(predicted == labels)}
    if champion is None:
        reasons = [f"the first model: {_rated('accuracy', predicted == labels)}, and no class is below its floor"]
        verdict = REJECT if below else HOLD if undecided else PROMOTE
        return Decision(verdict, below + undecided or reasons, figures)
    seen = np.zeros(len(labels), dtype=bool) if champion.has_learnt is None else champion.has_learnt
    figures |= _compare(class_names, champion, labels[~seen], predicted[~seen], champion.predicted[~seen])
    figures["excluded"] = int(seen.sum())
    against, doubts = _objections(rules, figures)
    doubts = undecided + doubts
    if champion.has_learnt is None:
        doubts.append("the champion was published without its split: it may have been trained on these test images")
    if below or against:
        return Decision(REJECT, below + against, figures)
    if doubts or figures["chance_of_better"] > rules.significance:
        return Decision(HOLD, doubts or [_unproven(rules, figures)], figures)
    return Decision(PROMOTE, [_better(rules, figures)], figures)


def share(flags: np.ndarray) -> dict:
    """The share of True with its interval.

    Args:
        flags: bool `(images,)`.

    Returns:
        `value`, `low`, `high`, each 0 to 1, and `images`; without images, the value is None.
    """
    value = float(flags.mean()) if len(flags) else None
    low, high = intervals.proportion(value or 0.0, len(flags), CONFIDENCE)
    return {"value": value, "low": float(low), "high": float(high), "images": len(flags)}


def _below_floors(rules: Rules, labels: np.ndarray, predicted: np.ndarray) -> tuple[list[str], list[str]]:
    """The floors that are missed, and those that so few images leave undecided, as the interval reaches them."""
    is_right = predicted == labels
    floors = [("", "accuracy", is_right, "min_accuracy")]
    floors += [(f"class {name}: ", "recall", is_right[labels == name], "min_class_recall")
               for name in np.unique(labels)]
    below, undecided = [], []
    for where, measure, flags, rule in floors:
        floor, rate = getattr(rules, rule), share(flags)
        if rate["value"] < floor:
            reason = f"{where}{_rated(measure, flags)}, below {rule} ({floor:.1%})"
            if rate["high"] < floor:
                below.append(reason)
            else:
                undecided.append(f"{reason}; this may be chance: {_missing_images(rate, floor)}")
    return below, undecided


def _missing_images(rate: dict, floor: float) -> str:
    """How many more test images it takes to prove that a measure is below its floor."""
    more = max(1, intervals.images_to_exclude(floor, rate["value"], CONFIDENCE) - rate["images"])
    return f"{more:,} further test image{'s' * (more > 1)} would decide, if the rate stays the same"


def _compare(class_names: list[str], champion: Champion, labels, predicted, by_champion) -> dict:
    """All figures of both models on the same images.

    Images of a class that the champion does not know count as its mistakes: its answer to them is always wrong.
    """
    is_right, was_right = predicted == labels, by_champion == labels
    wins, losses = int((is_right & ~was_right).sum()), int((was_right & ~is_right).sum())
    low, high = difference_interval(wins, losses, len(labels), CONFIDENCE)
    known = np.isin(labels, champion.class_names)
    return {
        "images": len(labels), "candidate_on_same": share(is_right), "champion": share(was_right),
        "difference": {"value": (wins - losses) / max(len(labels), 1), "low": low, "high": high},
        "wins": wins, "losses": losses,
        "chance_of_better": chance_of(wins, losses),
        # wins in classes that the champion does not know must not hide losses in the others
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
    """The significant objections to the candidate, and those that may be chance or that a person must decide on."""
    against, doubts = [], []
    if not figures["images"]:
        doubts.append("the models cannot be compared: the champion was trained on every test image")
    if figures["chance_of_worse"] <= rules.significance:
        against.append(f"worse than the champion: {_versus(figures)}; by chance alone, this has a probability of "
                       f"{figures['chance_of_worse']:.2g}")
    for each in figures["classes"]:
        if _drops(rules, each):
            reason = (f"class {each['class']}: recall fell from {each['champion']:.1%} to {each['candidate']:.1%} on "
                      f"{each['images']} images, by more than max_class_recall_drop ({_points(rules)})")
            # among a hundred classes, some get much worse by chance (Bonferroni correction)
            expected = each["chance_of_worse"] * sum(row["images"] > 0 for row in figures["classes"])
            if expected <= rules.significance:
                against.append(reason)
            elif expected <= 1:
                doubts.append(f"{reason}; this may be chance")
    if lost := figures["classes_lost"]:
        doubts.append(f"the new model lacks classes that the champion knows: {', '.join(lost)}")
    return against, doubts


def _drops(rules: Rules, row: dict) -> bool:
    return -row["change"] > rules.max_class_recall_drop


def _better(rules: Rules, figures: dict) -> str:
    dropped = [row["class"] for row in figures["classes"] if _drops(rules, row)]
    loss = f"lost more than {_points(rules)} of recall"
    losers = f"{', '.join(dropped)} {loss}, as some of many classes do by chance"
    return (f"better than the champion: {_versus(figures)}; by chance alone, this has a probability of "
            f"{figures['chance_of_better']:.2g}; {losers if dropped else f'no class {loss}'}")


def _points(rules: Rules) -> str:
    return f"{100 * rules.max_class_recall_drop:g} percentage points"


def _unproven(rules: Rules, figures: dict) -> str:
    return (f"not significantly better than the champion: {_versus(figures)}; by chance alone, this has a probability "
            f"of {figures['chance_of_better']:.2g}, above significance ({rules.significance:g})")


def _versus(figures: dict) -> str:
    return (f"accuracy {figures['candidate_on_same']['value']:.1%} against {figures['champion']['value']:.1%} on the "
            f"same {figures['images']} images, {figures['wins']} won and {figures['losses']} lost")


def _rated(metric: str, is_right: np.ndarray) -> str:
    rate = share(is_right)
    return f"{metric} {rate['value']:.1%} ({rate['low']:.1%} to {rate['high']:.1%}) on {rate['images']} images"
