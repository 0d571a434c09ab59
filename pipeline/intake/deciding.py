"""Apply people's decisions to what was read of an image folder, before anything is checked."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from graft.errors import UnreadableImage
from graft.images import read_bytes
from pipeline.intake.decisions import DROP, Decision
from pipeline.intake.files import File
from pipeline.intake.fingerprint import Fingerprint
from pipeline.intake.scan import Scan

SPLIT_ORDER = ("test", "val", "train", "")      # of copies, the one in test stays: to learn from it would be a leak

Pictures = dict[File, Fingerprint]


def apply(scan: Scan, decisions: Mapping[str, Decision], images: Path) -> tuple[Scan, dict]:
    """Leave out what was dropped, give the other images the labels that were decided, and mark them as settled.

    A decision is about a picture: of files with the same bytes, one stays if they then have one label.

    Args:
        scan: what was read of each file.
        decisions: see `decisions.read_decisions`.
        images: the folder, in which unreadable files are looked up by their bytes.

    Returns:
        What is left, and the numbers of decisions that were applied: `keep`, `drop`, `label`, with `copies`, the files
        that were left out because they have the bytes of another one, and `gone`, the paths of decisions without an
        image.
    """
    broken = {file: sha256_of(images / file.path) for file in scan.unreadable} if decisions else {}
    dropped = {key for key, each in decisions.items() if each.decision == DROP}
    settled = decisions.keys() - dropped
    labelled = {_labelled(file, decisions.get(each.sha256)): each for file, each in scan.fingerprints.items()
                if each.sha256 not in dropped}
    surplus = _surplus(labelled, settled, {file.path: file.label for file in scan.fingerprints})
    left = replace(
        scan, fingerprints={file: each for file, each in labelled.items() if file not in surplus}, settled=settled,
        unreadable={file: why for file, why in scan.unreadable.items() if broken.get(file) not in dropped})
    found = {each.sha256 for each in scan.fingerprints.values()} | set(broken.values())
    return left, {**_counted(decisions, found), "copies": len(surplus)}


def _counted(decisions: Mapping[str, Decision], found: set[str]) -> dict:
    """How many decisions of each kind have an image, and the paths of those that had one and have none."""
    counts = Counter(each.decision.partition("=")[0] for key, each in decisions.items() if key in found)
    gone = sorted(each.path for key, each in decisions.items() if each.path and key not in found)
    return {**{name: counts[name] for name in ("keep", "drop", "label")}, "gone": gone}


def sha256_of(file: Path) -> str:
    """The digest of a file that may not be readable; empty if it is not."""
    try:
        return hashlib.sha256(read_bytes(file)).hexdigest()
    except UnreadableImage:
        return ""


def _labelled(file: File, decision: Decision | None) -> File:
    return replace(file, label=decision.label) if decision and decision.label else file


def _surplus(pictures: Pictures, settled: set[str], before: Mapping[str, str]) -> set[File]:
    """The files beyond one of each settled picture, unless they have different labels; `before` is path -> label."""
    def rank(file: File) -> tuple:
        return SPLIT_ORDER.index(file.split), before[file.path] != file.label, file.path

    copies = defaultdict(list)
    for file, each in pictures.items():
        if each.sha256 in settled:
            copies[each.sha256].append(file)
    alike = [files for files in copies.values() if len({file.label for file in files}) == 1]
    return {file for files in alike for file in sorted(files, key=rank)[1:]}
