"""Decisions of people on images: the table data/NAME.decisions.csv beside the folder data/NAME, in git.

A decision is about the bytes of an image, so it survives renaming and moving. It is applied to what was read of the
folder before anything is checked (see `deciding`); the images themselves are never touched.
"""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path

from graft.errors import GraftError, did_you_mean, printable
from graft.machine.files import lock, whole
from graft.predict.writers import cell
from pipeline.image_folder import S3Path
from pipeline.intake.layout import shorten

KEEP, DROP, LABEL = "keep", "drop", "label="
DATA = Path("data")
EXPECTED = "expected keep, drop or label=CLASS"
CLASSES_SHOWN = 12
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Decision:
    """What is to become of an image.

    Attributes:
        sha256: of the file's bytes.
        path: where the file was when it was decided on, for people; empty if it was never in the folder.
        decision: `keep`: it is fine as it is; `drop`: it is not used; `label=X`: its class is X.
        reason, by, at: why, who and when, for people.
        line: where it is in the table.
    """

    sha256: str
    path: str
    decision: str
    reason: str = ""
    by: str = ""
    at: str = ""
    line: int = field(default=0, compare=False)

    @property
    def label(self) -> str:
        """The class that it gives the image; empty if it gives none."""
        return self.decision.removeprefix(LABEL) if self.decision.startswith(LABEL) else ""


COLUMNS = [each.name for each in fields(Decision)][:-1]


def table_of(images: Path | S3Path) -> Path:
    """Where the decisions on the images in a folder are: beside it; those on images in S3 are in the folder data."""
    return (DATA if isinstance(images, S3Path) else images.parent) / f"{images.name}.decisions.csv"


def read_decisions(path: Path, class_names: Collection[str] | None = None) -> dict[str, Decision]:
    """Read and check the whole table.

    Args:
        path: the table; without one, nothing was decided.
        class_names: the classes that a label may be; None checks no label.

    Returns:
        sha256 -> the decision, in the order of the table.

    Raises:
        GraftError: with everything that is wrong.
    """
    rows, mistakes = _rows(path), []
    found: dict[str, Decision] = {}
    for row in rows:
        wrong = _mistakes(row, class_names)
        mistakes += [f"{path}: line {row.line}: {each}" for each in wrong]
        first = found.setdefault(row.sha256, row)
        if not wrong and first.decision != row.decision:
            mistakes.append(f"{path}: line {row.line}: '{row.decision}' for the image that has '{first.decision}' on "
                            f"line {first.line} ({printable(first.path)}). Remove one of the two lines")
    if mistakes:
        raise GraftError("\n       ".join(mistakes))
    return found


def _rows(path: Path) -> list[Decision]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        columns = next(reader, COLUMNS)
        _require_columns(path, columns)
        rows = [(reader.line_num, values) for values in reader if any(values)]
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise GraftError(f"{path}: line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8. Save it as CSV in "
                         "UTF-8.") from None
    except csv.Error as error:
        raise GraftError(f"{path}: line {reader.line_num}: {error}. Expected CSV with commas.") from None
    return [_decision(dict(zip(columns, values)), line) for line, values in rows]


def _require_columns(path: Path, columns: list[str]) -> None:
    if sorted(columns) != sorted(COLUMNS):
        unknown = [f"'{printable(name)}' is unknown" for name in columns if name not in COLUMNS]
        missing = [f"{name} is missing" for name in COLUMNS if name not in columns]
        twice = [f"{name} occurs twice" for name in COLUMNS if columns.count(name) > 1]
        raise GraftError(f"{path}: line 1: column {', '.join([*unknown, *missing, *twice])}. Expected "
                         f"{','.join(COLUMNS)}")


def _decision(row: dict[str, str], line: int) -> Decision:
    values = {name: row.get(name, "").strip() for name in COLUMNS}
    values["decision"] = unicodedata.normalize("NFC", values["decision"])       # as the names of classes are
    return Decision(**values | {"sha256": values["sha256"].lower()}, line=line)


def _mistakes(row: Decision, class_names: Collection[str] | None) -> list[str]:
    wrong = []
    if not _SHA256.fullmatch(row.sha256):
        wrong.append(f"sha256 '{printable(row.sha256)}'; expected 64 hexadecimal digits")
    if row.decision not in (KEEP, DROP) and not row.label:
        wrong.append(f"decision '{printable(row.decision)}'; {EXPECTED}")
    elif row.label and class_names is not None and row.label not in class_names:
        known = shorten(sorted(class_names), CLASSES_SHOWN)
        wrong.append(f"'{printable(row.label)}' is no class ({printable(row.path)})."
                     f"{did_you_mean(row.label, class_names)} Expected one of {known}")
    return wrong


def change(path: Path, wanted: Mapping[str, Decision | None], expected: Mapping[str, str],
           around: Callable[[Mapping[str, Decision]], AbstractContextManager] | None = None) -> dict[str, str]:
    """Write, replace or take back decisions; they are on the disk when this returns.

    The table is written whole, and by one process at a time, so a kill loses nothing that was decided before.

    Args:
        path: the table, made if there is none.
        wanted: sha256 -> its decision; None takes it back.
        expected: sha256 -> the decision that the caller believes to be in the table, or empty.
        around: is given what was decided before, and what it returns is open while the table is written.

    Returns:
        sha256 -> the decision, or empty, for those that somebody else has changed meanwhile. If there are any, nothing
        is written.

    Raises:
        GraftError: if the table has mistakes.
    """
    with _held(path):
        decided = read_decisions(path)
        now = {key: decided[key].decision if key in decided else "" for key in wanted}
        if changed := {key: value for key, value in now.items() if value != expected.get(key, "")}:
            return changed
        kept = [each for key, each in decided.items() if key not in wanted]
        with around(decided) if around else nullcontext():
            _write(path, [*kept, *map(_harmless, filter(None, wanted.values()))])
    return {}


def _harmless(decision: Decision) -> Decision:
    """The same with texts that no spreadsheet takes for formulas."""
    return replace(decision, **{name: cell(getattr(decision, name)) for name in ("path", "reason", "by")})


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Let one process at a time change the table: each locks the file that has its name, until that is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "ab") as file:
            lock(file)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield
                return


def _write(path: Path, decisions: list[Decision]) -> None:
    with whole(path, durable=True) as unfinished, open(unfinished, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(astuple(each)[:-1] for each in decisions)
