"""The columns of a label table, and what other programs call them."""

import re

from graft.errors import GraftError, did_you_mean
from pipeline.intake.layout import shorten

COLUMNS = ("path", "label", "group", "split")
REQUIRED = ("path", "label")
OTHER_NAMES = {         # column -> its names in other tables, without spaces and punctuation
    "path": ("filepath", "imagepath", "imgpath", "relativepath", "filename", "imagename", "imgname", "file", "image",
             "img", "picture", "photo", "imagefile", "imagefilename", "images", "files", "paths", "filenames",
             "imageid", "fileid", "imgid", "id", "name", "uri", "url"),
    "label": ("labels", "class", "classname", "classlabel", "labelname", "category", "categoryname", "target",
              "species", "breed", "diagnosis", "classid", "labelid", "categoryid", "y"),
    "group": ("groups", "groupid", "patient", "patientid", "subject", "subjectid", "person", "case", "caseid"),
    "split": ("splits", "set", "subset", "partition", "dataset", "phase"),
}
UNREAD = "_"            # begins the names of columns that are not read
EXPECTED = "Expected path, label and optionally group and split"


def suggest_names(columns: list[str]) -> dict[str, str]:
    """Column -> the name it should have, for the columns that a table lacks under their own name.

    Args:
        columns: the table's, in lower case.
    """
    plain = {re.sub(r"[\W_]+", "", column): column for column in reversed(columns) if column not in COLUMNS}
    found = {}
    for name in COLUMNS:
        if name not in columns and (other := next((plain[each] for each in OTHER_NAMES[name] if each in plain), None)):
            found[other] = name
    return found


def require_columns(columns: list[str], suggested: dict[str, str]) -> None:
    """Raise `GraftError` if a required column is missing and has no known other name, or a column occurs twice."""
    if missing := [name for name in REQUIRED if name not in columns and name not in suggested.values()]:
        hints = "".join(did_you_mean(name, columns) for name in missing)
        found = ", ".join(map(repr, columns)) or "nothing"
        raise GraftError(f"column {' and '.join(missing)} is missing. {EXPECTED}, separated by commas; found {found}. "
                         f"The first line must name the columns.{hints}")
    if twice := [name for name in COLUMNS if columns.count(name) > 1]:
        raise GraftError(f"column {' and '.join(twice)} occurs more than once. Keep one.")


def explain_names(suggested: dict[str, str]) -> list[str]:
    """A line per required column that has another name."""
    return [f"column '{name}' is missing. Rename '{other}' to '{name}', if that is what it contains"
            for other, name in suggested.items() if name in REQUIRED]


def explain_unknown(columns: list[str], suggested: dict[str, str]) -> list[str]:
    """A line per column that is neither known nor meant to be left unread, which its name says by beginning with _.

    A column without a name is the numbers of the rows, which pandas writes.
    """
    unknown = [column for column in columns if column and column not in COLUMNS and not column.startswith(UNREAD)]
    lines = [f"column '{column}' is unknown. Rename it to '{suggested[column]}', if that is what it contains, or to "
             f"'{UNREAD}{column}' to leave it unread" for column in unknown
             if column in suggested and suggested[column] not in REQUIRED]
    others = [column for column in unknown if column not in suggested]
    if others:
        verb = "columns are" if len(others) > 1 else "column is"
        lines.append(f"{len(others)} {verb} unknown: {shorten(others)}. {EXPECTED}. What keeps images together, such "
                     f"as a person, is the group. To leave a column unread, let its name begin with {UNREAD}")
    return lines
