"""What the intake found, as plain data: the report, the summary on the screen and the error message are made of it."""

import pandas as pd

from pipeline.intake.expectations import ERROR, Outcome
from pipeline.intake.scan import Scan

SHOWN = 5       # paths named on the screen for each finding; the report has all


def collect(scan: Scan, images: pd.DataFrame, outcomes: list[Outcome]) -> dict:
    """Everything that is worth telling, without a time or an absolute path in it."""
    return {
        "files": len(scan.fingerprints) + len(scan.unreadable),
        "images": len(images),
        "classes": {name: int((images["label"] == name).sum()) for name in sorted(scan.class_names)},
        "unreadable": {file.path: reason for file, reason in scan.unreadable.items()},
        "stray": dict(sorted(scan.stray.items())),
        **_duplicates(images),
        "expectations": [_as_dict(each) for each in outcomes],
    }


def _duplicates(images: pd.DataFrame) -> dict:
    """Groups of copies, those under two labels apart; each group a list of `{path, label, exact}`."""
    copies, conflicts = [], []
    repeated = images[images.duplicated("duplicate_group", keep=False)]
    for _, group in repeated.groupby("duplicate_group", sort=True):
        exact = group.duplicated("sha256", keep=False)
        members = [{"path": path, "label": label, "same_bytes": bool(same)}
                   for path, label, same in zip(group["path"], group["label"], exact)]
        (conflicts if group["label"].nunique() > 1 else copies).append(members)
    by_path = {"key": lambda members: members[0]["path"]}
    return {"duplicates": sorted(copies, **by_path), "conflicts": sorted(conflicts, **by_path)}


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


def summarize(findings: dict) -> str:
    """A few lines for the screen."""
    copies = sum(len(group) - 1 for group in findings["duplicates"] + findings["conflicts"])
    lines = [
        f"{findings['images']} images in {len(findings['classes'])} classes: "
        + ", ".join(f"{name} {count}" for name, count in list(findings["classes"].items())[:12])
        + (" …" if len(findings["classes"]) > 12 else ""),
        f"{len(findings['unreadable'])} unreadable, {len(findings['stray'])} other files left out, "
        f"{copies} further copies of other images, {len(findings['conflicts'])} pictures under two labels",
        *_named("unreadable", [f"{path}: {reason}" for path, reason in findings["unreadable"].items()]),
        *_named("copies", [" = ".join(member["path"] for member in group) for group in findings["duplicates"]]),
        *_named("two labels", [_told(group) for group in findings["conflicts"]]),
    ]
    for each in findings["expectations"]:
        if not each["success"] and not each["stops_the_run"]:
            lines += [f"warning: {_sentence(each)}", *_named("", each["offending"])]
    return "\n".join(lines)


def explain_failures(findings: dict, parameters: dict) -> str | None:
    """One message that names each failing expectation, its key and value in params.yaml, and the offending paths."""
    lines = []
    for each in findings["expectations"]:
        if not each["success"] and each["stops_the_run"]:
            key = each["parameter"]
            limit = f" [params.yaml: validate.{key}: {parameters[key]}]" if key else ""
            lines.append(f"{each['name']}: {_sentence(each)}{limit}")
            lines += _named("", _details(findings, each))
    return "\n".join(lines) or None


def _sentence(expectation: dict) -> str:
    observed = f"; found {expectation['observed']}" if expectation["observed"] else ""
    return f"expected that {expectation['says']}{observed}"


def _details(findings: dict, expectation: dict) -> list[str]:
    match expectation["name"]:
        case "readable":
            return [f"{path}: {reason}" for path, reason in findings["unreadable"].items()]
        case "label conflicts":
            return [_told(group) for group in findings["conflicts"]]
        case "images per class" | "class balance":
            return [f"{name}: {findings['classes'][name]} images" for name in expectation["offending"]]
        case _:
            return expectation["offending"]


def _told(group: list[dict]) -> str:
    return " = ".join(f"{member['path']} ({member['label']})" for member in group)


def _named(title: str, entries: list[str]) -> list[str]:
    """The first few, indented, and how many more there are."""
    prefix = f"  {title}: " if title else "  "
    more = [f"  … and {len(entries) - SHOWN} more in the report"] if len(entries) > SHOWN else []
    return [prefix + entry for entry in entries[:SHOWN]] + more
