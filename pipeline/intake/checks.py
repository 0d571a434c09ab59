"""What the images are expected to be like: the expectations, their thresholds, and which of them stop the run."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from pipeline.intake.expectations import WARNING, Expectation, Validation, validate_table
from pipeline.intake.image_tables import class_table, file_table, with_relations
from pipeline.intake.scan import Scan
from pipeline.intake.shortcuts import measure_shortcuts

ROUNDING = 1e-9         # tolerance of comparisons of shares


def check(scan: Scan, images: pd.DataFrame, thresholds: Mapping[str, Any]) -> list[Validation]:
    """Validate what was read: the files, the classes, the images, and shortcuts from their form to their label.

    Args:
        scan: what was read of each file.
        images: the table of images.csv.
        thresholds: limit -> its value, such as `max_imbalance` -> 20.0. Shares are 0 to 1. `near_copies` is "ask" or
            "different".

    Returns:
        One validation per table, each with an outcome per expectation.
    """
    files = file_table(scan)
    return [
        validate_table("files", files, _of_files(len(files), thresholds), "path"),
        validate_table("classes", class_table(images, scan.class_names), _of_classes(thresholds), "label"),
        validate_table("images", with_relations(images), _of_images(thresholds), "path"),
        _check_shortcuts(measure_shortcuts(images), thresholds),
    ]


def _check_shortcuts(shortcuts: pd.DataFrame, thresholds: Mapping[str, float]) -> Validation:
    """The observed value is the skill of each form, not how many forms have too much of it."""
    validation = validate_table("form of the files", shortcuts, _of_shortcuts(thresholds), "form")
    skills = ", ".join(f"{form} {skill:.2f}" for form, skill in zip(shortcuts["form"], shortcuts["skill"]))
    return replace(validation, outcomes=[replace(each, observed=skills) for each in validation.outcomes])


def _mostly(share: float) -> float:
    """The share that must meet an expectation if `share` need not: in floating point, 1 - 0.18 is more than 0.82."""
    return max(0.0, 1 - share - ROUNDING)


def _between(column: str, **limits) -> tuple[str, dict]:
    return "ExpectColumnValuesToBeBetween", {"column": column, **limits}


def _of_files(files: int, limit: Mapping[str, float]) -> list[Expectation]:
    share = limit["max_unreadable_share"]
    enough = math.ceil(files * (1 - share) - ROUNDING)
    return [
        Expectation("readable", "ExpectColumnValuesToBeNull", {"column": "reason", "mostly": _mostly(share)},
                    f"at least {enough} of the {files} files are readable, all but {share:.1%}",
                    "max_unreadable_share"),
    ]


def _of_classes(limit: Mapping[str, float]) -> list[Expectation]:
    return [
        Expectation("two classes", "ExpectTableRowCountToBeBetween", {"min_value": 2},
                    "there are at least two classes"),
        Expectation("images per class", *_between("images", min_value=limit["min_images_per_class"]),
                    f"every class has at least {limit['min_images_per_class']} readable images",
                    "min_images_per_class"),
        Expectation("class balance", *_between("imbalance", max_value=limit["max_imbalance"]),
                    f"the largest class has at most {limit['max_imbalance']:g} times the images of any other",
                    "max_imbalance"),
        Expectation("class names", *_between("alike", max_value=1),
                    "no two class names differ only in case, spaces, - or _", severity=WARNING),
    ]


def _of_images(limit: Mapping[str, Any]) -> list[Expectation]:
    duplicates = limit["max_copies_share"]
    near_copies = Expectation(
        "near-duplicates", *_between("is_doubtful", max_value=0),
        "near-duplicates have the same label. If they show the same, correct the labels; if they are different "
        "pictures, set near_copies: different", "near_copies")
    return [
        *([near_copies] if limit["near_copies"] == "ask" else []),
        Expectation("label conflicts", *_between("conflict_number", max_value=limit["max_label_conflicts"]),
                    f"at most {limit['max_label_conflicts']} pictures have exact copies with another label",
                    "max_label_conflicts"),
        Expectation("duplicates", *_between("copy_number", max_value=0, mostly=_mostly(duplicates)),
                    f"at most {duplicates:.0%} of the images duplicate another", "max_copies_share", WARNING),
        Expectation("size", *_between("short_side_px", min_value=limit["min_side_px"]),
                    f"every image is at least {limit['min_side_px']} pixels on its shorter side",
                    "min_side_px", WARNING),
        Expectation("aspect ratio", *_between("aspect_ratio", max_value=limit["max_aspect_ratio"]),
                    f"the longer side of every image is at most {limit['max_aspect_ratio']:g} times its shorter side",
                    "max_aspect_ratio", WARNING),
        Expectation("blank images", *_between("contrast", min_value=limit["min_contrast"]),
                    f"every image has a contrast of at least {limit['min_contrast']:g} (0 to 128)",
                    "min_contrast", WARNING),
    ]


def _of_shortcuts(limit: Mapping[str, float]) -> list[Expectation]:
    return [
        Expectation("shortcuts", *_between("skill", max_value=limit["max_form_skill"]),
                    f"the form of a file predicts its label with a skill of at most {limit['max_form_skill']:g} "
                    "(0 is chance, 1 is certain)",
                    "max_form_skill", WARNING),
    ]
