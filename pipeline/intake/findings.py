"""The findings of `validate` as plain data, and how they read: a summary for the terminal, and an error message."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.intake.better_setting import better_setting
from pipeline.intake.conflicts import find_conflicting, find_open
from pipeline.intake.expectations import ERROR, Outcome
from pipeline.intake.failures import counted, describe
from pipeline.intake.layout import shorten
from pipeline.intake.scan import Scan

SHOWN = 10      # entries that the terminal shows for each finding; the report lists all
CLASSES_SHOWN = 12
MEMBERS_SHOWN = 8       # of a group


def collect(scan: Scan, images: pd.DataFrame, outcomes: list[Outcome], decided: dict) -> dict:
    """Collect every finding, without a time or an absolute path, so that the same images give the same bytes.

    Args:
        scan: what was read of each file, with the user's decisions applied.
        images: the table of images.csv.
        outcomes: of the expectations.
        decided: how many decisions were applied, see `deciding.apply`.

    Returns:
        The number of `files` and `images`; `decisions`, as `decided`; `classes`, class -> images; `unreadable` and
        `stray`, path -> reason; `value_ranges` of files deeper than 8 bits, range -> images; `duplicates`, `conflicts`
        and `near_copies`, groups of `{path, label, same_bytes}` with one label, of exact copies with several labels,
        and of near-duplicates with several labels on which the user has not decided; and `expectations`, see
        `Expectation`.
    """
    return {
        "files": len(scan.fingerprints) + len(scan.unreadable),
        "images": len(images),
        "decisions": decided,
        "classes": {name: int((images["label"] == name).sum()) for name in sorted(scan.class_names)},
        "unreadable": {file.path: reason for file, reason in scan.unreadable.items()},
        "stray": dict(sorted(scan.stray.items())),
        "value_ranges": dict(sorted(_value_ranges(scan).items())),
        **_duplicates(images),
        "expectations": [_as_dict(each) for each in outcomes],
    }


def _value_ranges(scan: Scan) -> Counter:
    return Counter(each.value_range for each in scan.fingerprints.values() if each.value_range)


def _duplicates(images: pd.DataFrame) -> dict:
    """Groups of images of the same picture: duplicates with one label, and copies with several."""
    has_one_label = images.groupby("duplicate_group")["label"].transform("nunique") == 1
    return {
        "duplicates": _groups(images[has_one_label], "duplicate_group"),
        "conflicts": _groups(images[find_conflicting(images)], "sha256"),
        "near_copies": _groups(images[find_open(images)], "duplicate_group"),
    }


def _groups(images: pd.DataFrame, column: str) -> list[list[dict]]:
    """The images that share a value of the column: one of each label first, then the next of each, by path."""
    members = images.assign(same_bytes=images.duplicated("sha256", keep=False),
                            turn=images.groupby([column, "label"]).cumcount())
    members = members[images.duplicated(column, keep=False)].sort_values(["turn", "path"])
    rows = members.groupby(column)[["path", "label", "same_bytes"]]
    return sorted((group.to_dict("records") for _, group in rows), key=lambda group: group[0]["path"])


def _as_dict(outcome: Outcome) -> dict:
    expectation = outcome.expectation
    return {
        "name": expectation.name,
        "says": expectation.says,
        "parameter": expectation.parameter,
        "stops_the_run": expectation.severity == ERROR,
        "success": outcome.success,
        "observed": outcome.observed,
        "offending": outcome.offending,
    }


def summarize(findings: dict, limits: Mapping[str, Any]) -> str:
    """The findings in a few lines for the terminal; for the arguments, see `explain_failures`."""
    copies = [*findings["duplicates"], *findings["conflicts"], *findings["near_copies"]]
    lines = [
        f"{findings['images']} images in {len(findings['classes'])} classes: "
        + ", ".join(f"{name} {count}" for name, count in list(findings["classes"].items())[:CLASSES_SHOWN])
        + (" …" if len(findings["classes"]) > CLASSES_SHOWN else ""),
        f"unreadable files: {len(findings['unreadable'])}; ignored files: {len(findings['stray'])}; "
        f"duplicates of other images: {sum(len(group) - 1 for group in copies)}; pictures with conflicting labels: "
        f"{len(findings['conflicts'])}; near-duplicates with different labels: {len(findings['near_copies'])}",
        *_decided(findings["decisions"]),
        *_named("unreadable", [f"{path}: {reason}" for path, reason in findings["unreadable"].items()]),
        *_named("ignored", [f"{path}: {reason}" for path, reason in findings["stray"].items()]),
        *_named("range of values", [f"{name}: {count} images" for name, count in findings["value_ranges"].items()]),
        *_named("duplicates", [_joined([member["path"] for member in group]) for group in findings["duplicates"]]),
        *_named("conflicting labels", [_with_labels(group) for group in findings["conflicts"]]),
        *_named("near-duplicates with different labels", [_with_labels(group) for group in findings["near_copies"]]),
    ]
    for each in findings["expectations"]:
        if not each["success"] and not each["stops_the_run"]:
            lines += [f"warning: {describe(findings, each, limits)[0]}", *_named("", each["offending"])]
    return "\n".join(lines)


def _decided(decisions: dict) -> list[str]:
    """How many decisions were applied, and those without an image, which the user may remove."""
    applied = ", ".join(f"{decisions[name]} {name}" for name in ("keep", "drop", "label") if decisions[name])
    copies = f"; {counted(decisions['copies'], 'copy', 'copies')} of these left out" if decisions["copies"] else ""
    return [*[f"decisions applied: {applied or 'none'}{copies}"] * bool(applied or decisions["gone"]),
            *_named("decision without an image", decisions["gone"])]


def explain_failures(findings: dict, limits: Mapping[str, Any], where: str = "") -> str | None:
    """Describe each failing expectation that stops the run, with its limit and the offending paths.

    Args:
        findings: see `collect`.
        limits: name -> value, see `pipeline.intake.checks.check`.
        where: the place where the limits are set, put before their names, such as `params.yaml: validate.`

    Returns:
        The message; None if no such expectation fails.
    """
    lines = []
    for each in findings["expectations"]:
        if not each["success"] and each["stops_the_run"]:
            key, (wrong, advice) = each["parameter"], describe(findings, each, limits)
            limit = f" [{where}{key}: {limits[key]}]" if key else ""
            lines.append(f"{each['name']}: {wrong}{limit}" + (f". {advice}" if advice else ""))
            lines += _named("", _details(findings, each))
    return "\n".join([*lines, *filter(None, [better_setting(findings, limits, where)])]) if lines else None


def _details(findings: dict, expectation: dict) -> list[str]:
    match expectation["name"]:
        case "readable":
            return _by_reason(findings["unreadable"])
        case "label conflicts":
            return [_with_labels(group) for group in findings["conflicts"]]
        case "near-duplicates":
            return [_with_labels(group) for group in findings["near_copies"]]
        case "images per class" | "class balance":
            images = findings["classes"]
            smallest = sorted(expectation["offending"], key=images.get)
            return [f"{name}: {counted(images[name], 'image')}" for name in smallest]
        case _:
            return expectation["offending"]


def _by_reason(unreadable: dict[str, str]) -> list[str]:
    """A line per reason, the most frequent first, with the first few of its files."""
    files = defaultdict(list)
    for path, reason in unreadable.items():
        files[reason].append(path)
    ordered = sorted(files.items(), key=lambda each: -len(each[1]))
    return [f"{shorten(paths)}: {reason}" for reason, paths in ordered]


def _with_labels(group: list[dict]) -> str:
    return _joined([f"{member['path']} ({member['label']})" for member in group])


def _joined(members: list[str]) -> str:
    more = f" and {len(members) - MEMBERS_SHOWN} more" if len(members) > MEMBERS_SHOWN else ""
    return " = ".join(members[:MEMBERS_SHOWN]) + more


def _named(title: str, entries: list[str]) -> list[str]:
    """The first few entries, indented, and how many more there are."""
    prefix = f"  {title}: " if title else "  "
    more = [f"  … and {len(entries) - SHOWN} more in the report"] if len(entries) > SHOWN else []
    return [prefix + entry for entry in entries[:SHOWN]] + more
