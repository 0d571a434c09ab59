"""What the figures mean for somebody who decides: may the model be used, for what not, what would help most."""

import numpy as np
import pandas as pd

from pipeline.evaluation.predictions import Answers

NAMED = 3               # classes in a sentence
FEW = 10                # test images below which a class is hardly measured
WIDE = 0.15             # width of the accuracy's interval above which more test images help first
GAIN = 0.01             # of accuracy by twice the images; less is not worth them
MANY_SUSPECTS = 0.3     # of the mistakes: labels that look wrong
GOOD = 0.99             # accuracy from which little is left to gain
CHANCE = 0.05           # probability below which a difference counts as more than chance


def give_verdict(answers: Answers, accuracy: dict, classes: pd.DataFrame, suspects: int, twice: dict | None,
                 says_unknown: bool = True) -> dict[str, str]:
    """Answer each of the three questions in a sentence.

    Args:
        answers: to the test images.
        accuracy, classes: see `pipeline.evaluation.metrics.measure`.
        suspects: how many labels of test images look wrong.
        twice: what twice the images would bring, see `tasks.choose.gains_of_more`; None if that is unknown.
        says_unknown: whether the model may answer "unknown".

    Returns:
        question -> answer.
    """
    return {
        "May it be used?": _may_be_used(answers, accuracy),
        "For what not?": _for_what_not(answers, classes, says_unknown),
        "What would help most?": _what_helps(answers, accuracy, classes, suspects, twice),
    }


def _may_be_used(answers: Answers, accuracy: dict) -> str:
    right, low, high = (round(100 * accuracy[key]) for key in ("value", "low", "high"))
    rate = f"of 100 new images like these, it would answer about {right} right (between {low} and {high})"
    counts = np.bincount(answers.labels, minlength=len(answers.class_names))
    if accuracy["low"] <= counts.max() / counts.sum():
        return (f"No: {rate}, and that is not proven to be better than always answering "
                f"“{answers.class_names[counts.argmax()]}”.")
    wrong = f"about {100 - right} wrong answers in 100 do" if right < 99 else "one wrong answer in 100 does"
    return f"Only where {wrong} no harm: {rate}."


def _for_what_not(answers: Answers, classes: pd.DataFrame, says_unknown: bool) -> str:
    unknown = "it answers “unknown” to many of these, not to all" if says_unknown else "it takes these for one of them"
    others = f"for images of anything but its {len(classes)} classes; {unknown}"
    weak = weakest(_below_others(answers, classes))
    if weak.empty:
        few = int((classes["images"] < FEW).sum())
        hardly = f", but {few} ha{'s' if few == 1 else 've'} fewer than {FEW} test images to tell by" if few else ""
        return f"Not {others}. Among the classes, none is proven to be weaker than the others{hardly}."
    hits = round(float((weak["recall"] * weak["images"]).sum()))
    return (f"Not where {_listed(weak['class'])} must be recognised: {hits} of these {weak['images'].sum()} test "
            f"images were, which is less often than the others, beyond chance. Nor {others}.")


def _below_others(answers: Answers, classes: pd.DataFrame) -> pd.DataFrame:
    """The classes with more mistakes than chance explains (Fisher's exact test with Bonferroni's correction)."""
    wrong = np.bincount(answers.labels, ~answers.is_right, len(classes))
    chance = [chance_of_as_many(int(some), int(wrong.sum()), images, len(answers.labels))
              for some, images in zip(wrong, classes["images"])]
    return classes[np.array(chance) * len(classes) <= CHANCE]


def chance_of_as_many(wrong: int, mistakes: int, images: int, answers: int) -> float:
    """The probability that a class has so many of all mistakes or more by chance: a hypergeometric upper tail.

    Args:
        wrong: the mistakes in the class, which has `images`.
        mistakes: those in all `answers`.
    """
    possible = np.arange(wrong, min(mistakes, images) + 1)
    return float(np.exp(_log_choose(mistakes, possible) + _log_choose(answers - mistakes, images - possible)
                        - _log_choose(answers, images)).sum())


def _log_choose(of: int, some):
    from scipy.special import gammaln  # scipy.stats takes a second to import

    return gammaln(of + 1) - gammaln(some + 1) - gammaln(of - some + 1)


def _what_helps(answers: Answers, accuracy: dict, classes: pd.DataFrame, suspects: int, twice: dict | None) -> str:
    mistakes = int((~answers.is_right).sum())
    if accuracy["high"] - accuracy["low"] > WIDE:
        return (f"More images, for the test split too: {len(answers.labels)} test images tell the accuracy only to "
                f"±{50 * (accuracy['high'] - accuracy['low']):.0f} points.")
    if suspects and suspects >= MANY_SUSPECTS * mistakes:
        return (f"Looking at the labels: {suspects} of the test images seem{'s' * (suspects == 1)} to have a wrong one "
                "(see Mistakes).")
    if twice and (gain := twice["all"]["value"] - twice["all"]["accuracy"]) >= GAIN:
        points, most = f"{100 * gain:.0f}", _listed([row["class"] for row in twice["classes"]])
        return (f"More images: twice as many would bring about {points} point{'s' * (points != '1')} of accuracy"
                f"{f', most for {most}' if most else ''}.")
    if accuracy["value"] < GOOD:
        return f"More images of {_listed(weakest(classes[classes['recall'] < 1])['class'])}, where it fails most often."
    return (f"Little: it made {mistakes or 'no'} mistake{'s' * (mistakes != 1)} in {len(answers.labels)} test images. "
            "More test images would tell more exactly how good it is.")


def weakest(classes: pd.DataFrame, at_most: int = NAMED) -> pd.DataFrame:
    """The classes with the lowest recall, the lowest first; of equal ones, the one with more images."""
    return classes.sort_values(["recall", "images"], ascending=[True, False], kind="stable")[:at_most]


def _listed(names) -> str:
    """`a, b and c`."""
    names = list(names)
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + names[-1:])
