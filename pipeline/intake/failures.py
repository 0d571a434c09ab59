"""Say of a failing expectation what is wrong, what is allowed, and what happens to the images at another limit."""

import math
from collections.abc import Callable, Mapping
from typing import Any

ROUNDING = 1e-9         # of shares: in floating point, 0.07 of 100 files is more than 7
ADVICE = {
    "readable": "With a higher limit, they are left out",
    "images per class": "Add images, or remove these classes. With a lower limit, they are trained on as they are",
    "class balance": "With a higher limit, all images are used",
    "near-duplicates": "If they show the same, correct the labels. If they are different pictures, set near_copies: "
                       "different; all are used then",
    "label conflicts": "Correct the labels, or remove the copies. With a higher limit, all these copies are left out",
}


def describe(findings: dict, expectation: dict, limits: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong and what is allowed, and what to do about it; the second may be empty.

    Args:
        findings: see `pipeline.intake.findings.collect`.
        expectation: one of its expectations, which fails.
        limits: name -> value, see `pipeline.intake.checks.check`.
    """
    name = expectation["name"]
    if name in _WRONG:
        return _WRONG[name](findings, expectation, limits), ADVICE.get(name, "")
    return f"{len(expectation['offending'])} of {findings['images']} images {_fault(name, limits)}", ""


def counted(number: int, one: str, more: str = "") -> str:
    """`1 picture`, `3 pictures`; `more` is the plural, where it is irregular."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def _unreadable(findings: dict, _: dict, limits: Mapping[str, Any]) -> str:
    share = limits["max_unreadable_share"]
    most = math.floor(findings["files"] * share + ROUNDING)
    return (f"{len(findings['unreadable'])} of {findings['files']} files cannot be read; at most {most} "
            f"({100 * share:g}%) are allowed")


def _few_classes(findings: dict, _: dict, limits: Mapping[str, Any]) -> str:
    return f"{counted(len(findings['classes']), 'class', 'classes')}; 2 or more are needed"


def _few_images(findings: dict, expectation: dict, limits: Mapping[str, Any]) -> str:
    return (f"{len(expectation['offending'])} of {len(findings['classes'])} classes with fewer than "
            f"{limits['min_images_per_class']} readable images")


def _imbalance(findings: dict, expectation: dict, limits: Mapping[str, Any]) -> str:
    name, images = max(findings["classes"].items(), key=lambda each: each[1])
    return (f"the largest class, {name}, has {images} images; at most {limits['max_imbalance']:g} times the images of "
            f"any other are allowed, and {counted(len(expectation['offending']), 'class', 'classes')} of the others "
            "have too few")


def _near_copies(findings: dict, _: dict, limits: Mapping[str, Any]) -> str:
    return f"{counted(len(findings['near_copies']), 'picture')} under different labels, in near-duplicates"


def _conflicts(findings: dict, _: dict, limits: Mapping[str, Any]) -> str:
    return (f"{counted(len(findings['conflicts']), 'picture')} under different labels, in exact copies; at most "
            f"{limits['max_label_conflicts']} are allowed")


def _names(_: dict, expectation: dict, limits: Mapping[str, Any]) -> str:
    return f"{len(expectation['offending'])} class names differ only in case, spaces, - or _"


def _shortcuts(_: dict, expectation: dict, limits: Mapping[str, Any]) -> str:
    return (f"the form of the files predicts the label, with a skill above {limits['max_form_skill']:g} (0 is chance, "
            f"1 is certain): {expectation['observed']}")


_WRONG: dict[str, Callable[[dict, dict, Mapping[str, Any]], str]] = {
    "readable": _unreadable, "two classes": _few_classes, "images per class": _few_images, "class balance": _imbalance,
    "near-duplicates": _near_copies, "label conflicts": _conflicts, "class names": _names, "shortcuts": _shortcuts,
}


def _fault(name: str, limits: Mapping[str, Any]) -> str:
    """What is wrong with the images that fail an expectation which only warns."""
    return {
        "duplicates": f"duplicate another; more than {100 * limits['max_copies_share']:g}% is unusual",
        "size": f"have fewer than {limits['min_side_px']} pixels on the shorter side",
        "aspect ratio": f"have a longer side of more than {limits['max_aspect_ratio']:g} times the shorter",
        "blank images": f"have a contrast below {limits['min_contrast']:g} (0 to 128) and may be blank",
    }[name]
