"""Collected pictures in the queue of a review: what each is, and what becomes of it in the data set."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pipeline.intake.adding import Adding, class_fault
from pipeline.intake.decisions import DROP, LABEL, Decision


@dataclass
class Inbox:
    """The pictures that were collected.

    Attributes:
        place: where, as the user wrote it.
        folder: where they were fetched to.
        files: sha256 -> the file's name there.
        adding: puts them into the data set.
    """

    place: str
    folder: Path
    files: Mapping[str, str]
    adding: Adding

    def path_of(self, sha256: str, decision: str) -> str:
        """Where a picture is in the image folder after a decision; "" if it is not."""
        label = decision.removeprefix(LABEL)
        return self.adding.path_of(label, self.files[sha256]) if decision.startswith(LABEL) else ""

    def around(self, rows: Mapping[str, Decision | None], before: Mapping[str, Decision]) -> AbstractContextManager:
        """While the table of decisions is written, put the pictures where they belong; see `Adding.placed`."""
        wanted = {self.folder / self.files[key]: each.label if each else "" for key, each in rows.items()
                  if key in self.files}
        return self.adding.placed(wanted, {before[key].label for key in rows if key in before} - {""})


def fault(decision: str, class_names: Collection[str]) -> str:
    """Why this is no decision on a collected picture, in words; "" if it is one. The class may be a new one."""
    label = decision.removeprefix(LABEL)
    if decision in ("", DROP) or decision.startswith(LABEL) and label in class_names:
        return ""
    if not decision.startswith(LABEL):
        return "a collected picture gets a class or is dropped"
    return f"“{label}” cannot be a class: {reason}" if (reason := class_fault(label, class_names)) else ""


def of_copies(decision: str) -> str:
    """The decision on the near-copies of a picture: once that has a class, they add nothing."""
    return DROP if decision else ""
