"""Describe a model that is not published yet as a version is described, so that the two can be compared."""

import csv
import json
from collections import defaultdict
from pathlib import Path

from graft.errors import GraftError
from graft.model.bundle import DESCRIPTION, read_description
from graft.registry.manifest import Manifest
from graft.registry.publication import bundle_files, describe_bundle


def find_bundles(folder: Path) -> list[Path]:
    """The bundles in a folder: itself, or those directly in it."""
    found = [folder / DESCRIPTION, *sorted(folder.glob(f"*/{DESCRIPTION}"))]
    return [path.parent for path in found if path.is_file()]


def read_candidate(folder: Path) -> Manifest:
    """A manifest of an unpublished model; its number is 0, its name the folder's path.

    Args:
        folder: a bundle, or a folder that contains one. What lies there in other folders under the names that
            attachments have is read as facts: metrics.json, gate.json and splits.csv.

    Raises:
        GraftError: if there is not exactly one bundle, or a file cannot be read.
    """
    bundles = find_bundles(folder)
    if len(bundles) != 1:
        found = ", ".join(map(str, bundles)) or "none"
        raise GraftError(f"{folder}: expected one folder with {DESCRIPTION}, found {found}. "
                         "Name the model's own folder.")
    description = read_description(bundles[0])
    facts = {"backbone": description.backbone}
    for path in [*folder.glob("*/metrics.json"), *folder.glob("*/gate.json"), *folder.glob("*/splits.csv")]:
        facts |= _facts(path)
    return describe_bundle(str(folder), description, bundle_files(bundles[0]), {}, facts)


def _facts(path: Path) -> dict:
    try:
        text = path.read_text(encoding="utf-8")
        return {"data": {"images": _count(text)}} if path.suffix == ".csv" else {path.stem: json.loads(text)}
    except (OSError, ValueError, KeyError) as error:
        raise GraftError(f"{path} cannot be read: {error}. Train anew, or remove it.") from None


def _count(text: str) -> dict[str, dict[str, int]]:
    """Label -> split -> number of images."""
    counts: dict = defaultdict(lambda: defaultdict(int))
    for row in csv.DictReader(text.splitlines()):
        counts[row["label"]][row["split"]] += 1
    return {label: dict(counts[label]) for label in sorted(counts)}
