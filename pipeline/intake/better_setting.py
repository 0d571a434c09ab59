"""Name the setting that mends copies under several labels at once: where folders below a class are no classes."""

from collections.abc import Mapping
from typing import Any

from pipeline.intake.files import split_of
from pipeline.intake.layout import shorten

MOST = 0.5      # share of the pictures whose labels must differ in the same part for a setting to be named


def better_setting(findings: dict, limits: Mapping[str, Any], where: str = "") -> str:
    """The setting under which most copies under several labels have one; empty if there is none.

    Args:
        findings: see `pipeline.intake.findings.collect`.
        limits: name -> value, as for `pipeline.intake.findings.explain_failures`.
        where: the place where the settings are, put before their names.
    """
    groups = [*findings["conflicts"], *findings["near_copies"]]
    labels = [{tuple(member["label"].split("/")) for member in group} for group in groups]
    if limits.get("labels_from", "path") != "path":
        return ""
    for part, setting in ((0, "labels_from: first"), (-1, "labels_from: last")):
        alike = [each for each in labels if min(map(len, each)) > 1 and len({label[part] for label in each}) == 1]
        if len(alike) > MOST * len(labels):
            others = sorted({name for each in alike for label in each for name in _other(label, part)})
            setting = "split_folders: true" if all(map(split_of, others)) else setting
            return (f"{len(alike)} of these {len(labels)} pictures are in folders that differ in {shorten(others)} "
                    f"only: if these are no classes, set {where}{setting} instead")
    return ""


def _other(label: tuple[str, ...], part: int) -> tuple[str, ...]:
    """The part of a class that remains without its first or last folder."""
    return label[1:] if part == 0 else label[:-1]
