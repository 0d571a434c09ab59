"""Explain why paths in a label table name no file: compare them with the files that no row names.

A path may lack an extension or a folder, have a folder of the machine on which the table was written, or differ in
case. A path that fits several files equally well is reported as ambiguous: no file is chosen for it.
"""

import unicodedata
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from posixpath import splitext

SHOWN = 10      # causes that are reported, the most frequent first
COMPARED = 10   # files of one name with which a path is compared
FITTING = 3     # files that are shown for an ambiguous path

Place = tuple[str, str]     # where a path is in the table, such as "line 2", and the path


@dataclass(frozen=True)
class Change:
    """The difference between a path in a table and the file that it means.

    Attributes:
        folder, suffix: what the path begins and ends with, and the file does not.
        true_folder, true_suffix: what the file begins and ends with, and the path does not.
        differs_in_case: whether the rest of the two is the same only in another case.
    """

    folder: str
    true_folder: str
    suffix: str
    true_suffix: str
    differs_in_case: bool

    def worded(self, s: str) -> str:
        """The difference as a predicate. Its verbs end with `s`: "" for several paths, "s" for one."""
        case = [f"differ{s} in upper and lower case"] if self.differs_in_case else []
        return " and ".join([*_difference("begin" + s, self.folder, self.true_folder, s),
                             *_difference("end" + s, self.suffix, self.true_suffix, s), *case])


def explain(missing: list[Place], unnamed: list[str], rows: int) -> tuple[list[str], list[Place]]:
    """Group the paths that name no file by what is wrong with them.

    Args:
        missing: the paths that name no file.
        unnamed: the files that no row names, relative to the same folder.
        rows: how many rows the table has.

    Returns:
        A line per cause, the most frequent first, with an example; and the paths for which there is no explanation.
    """
    index = _by_name(unnamed)
    causes, unexplained = defaultdict(list), []
    for where, path in missing:
        if fitting := _best(path, index):
            causes[_change(path, fitting[0]) if len(fitting) == 1 else None].append((where, path, fitting))
        else:
            unexplained.append((where, path))
    ordered = sorted(causes.items(), key=lambda cause: -len(cause[1]))
    lines = [_line(cause, members, rows) for cause, members in ordered[:SHOWN]]
    more = [f"… and {len(ordered) - SHOWN} more differences of this kind"] if len(ordered) > SHOWN else []
    return lines + more, unexplained


def _line(change: Change | None, members: list[tuple[str, str, list[str]]], rows: int) -> str:
    where, path, fitting = members[0]
    s = "" if len(members) > 1 else "s"
    cause = change.worded(s) if change else f"fit{s} several files equally well"
    files = " or ".join(f"'{file}'" for file in fitting[:FITTING]) + (" …" if len(fitting) > FITTING else "")
    count = f"all {rows} paths" if len(members) == rows > 1 else f"{len(members)} path{'' if s else 's'}"
    return f"{count} {cause}: {where} is '{path}', the file is {files}"


def _difference(begin: str, wrong: str, right: str, s: str) -> list[str]:
    if wrong:
        return [f"{begin} with '{wrong}' instead of '{right}'" if right else f"{begin} with a superfluous '{wrong}'"]
    return [f"lack{s} '{right}'"] if right else []


def _by_name(files: list[str]) -> dict[str, list[str]]:
    """Plain file name, with and without its extension -> the files, in the order of `_ending`."""
    index = defaultdict(list)
    for file in sorted(files, key=_ending):
        for key in {_plain(name) for name in _names(file)}:
            index[key].append(file)
    return index


def _best(path: str, index: dict[str, list[str]]) -> list[str]:
    """The files that fit a path: one, if it fits at least as well as every other one in every respect."""
    fitting = sorted({file for name in _names(path) for file in _nearest(path, index.get(_plain(name), []))})
    if len(fitting) < 2:
        return fitting
    ranks = {file: _rank(path, file) for file in fitting}
    best = tuple(map(max, zip(*ranks.values())))
    return [file for file in fitting if ranks[file] == best] or fitting


def _nearest(path: str, files: list[str]) -> list[str]:
    """The files of a name, or of many those whose folders end as the path's do; see `_by_name`."""
    start = max(0, bisect_left(files, _ending(path), key=_ending) - COMPARED // 2) if len(files) > COMPARED else 0
    return files[start:start + COMPARED]


def _ending(path: str) -> list[str]:
    return [_plain(folder) for folder in reversed(path.split("/")[:-1])]


def _rank(path: str, file: str) -> tuple[int, bool, bool]:
    """How well a file fits: folders in common, same extension, same case."""
    change = _change(path, file)
    in_common = file.count("/") - change.true_folder.count("/")
    return in_common, change.suffix == change.true_suffix, not change.differs_in_case


def _change(path: str, file: str) -> Change:
    (*folders, name), (*true_folders, true_name) = path.split("/"), file.split("/")
    alike = 0
    while alike < min(len(folders), len(true_folders)) and \
            _plain(folders[-1 - alike]) == _plain(true_folders[-1 - alike]):
        alike += 1
    kept, true_kept = folders[len(folders) - alike:], true_folders[len(true_folders) - alike:]
    stem, true_stem = _same_part(name, true_name)
    return Change(_joined(folders[:len(folders) - alike]), _joined(true_folders[:len(true_folders) - alike]),
                  name[len(stem):], true_name[len(true_stem):], [*kept, stem] != [*true_kept, true_stem])


def _same_part(name: str, true_name: str) -> tuple[str, str]:
    """The two names, each with or without its extension, so that they are the same but for their case."""
    return next((one, other) for one in _names(name) for other in _names(true_name) if _plain(one) == _plain(other))


def _names(path: str) -> tuple[str, str]:
    """The file's name with and without its extension."""
    name = path.rpartition("/")[2]
    return name, splitext(name)[0]


def _joined(folders: list[str]) -> str:
    return "".join(f"{folder}/" for folder in folders)


@cache
def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
