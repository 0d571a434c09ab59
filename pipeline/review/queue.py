"""The queue of a review: what was found about the images, and what a person may decide about each finding."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.evaluation.predictions import Answers
from pipeline.evaluation.suspects import label_suspects
from pipeline.intake.deciding import sha256_of
from pipeline.intake.decisions import DROP, KEEP, LABEL

MOST = 200          # of the surest mistakes and of the outliers: both are lists without an end of their own
SHOWN = 9           # images of a finding that have a key of their own
REASON = 300        # characters


@dataclass(frozen=True)
class Kind:
    """A kind of finding: its `title`, whether it may stop a run, and whether `keep` and a label are answers to it.

    If it `is_collected`, it is about pictures that are not in the data set yet, and the label may be a new class.
    """

    title: str
    may_stop: bool = False
    may_keep: bool = True
    may_label: bool = True
    is_collected: bool = False


KINDS = {           # in the order in which they are asked
    "conflicts": Kind("the same bytes under different labels", may_stop=True, may_keep=False),
    "near_copies": Kind("near-duplicates with different labels", may_stop=True),
    "unreadable": Kind("files that cannot be read", may_stop=True, may_keep=False, may_label=False),
    "alike": Kind("collected pictures that look alike: a new class?", may_keep=False, is_collected=True),
    "collected": Kind("collected pictures, the most useful first", may_keep=False, is_collected=True),
    "known": Kind("collected copies of images in the data set", may_keep=False, is_collected=True),
    "suspects": Kind("labels that may be wrong"),
    "mistakes": Kind("the surest mistakes"),
    "outliers": Kind("unlike the training images"),
    "copies": Kind("the same picture more than once"),
}


@dataclass(frozen=True)
class Picture:
    """An image of a finding: its path, the digest of its bytes, its label, and what is to be known of it.

    `copies` are the digests of near-copies of a collected one, on which is decided with it.
    """

    path: str
    sha256: str
    label: str
    note: str = ""
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something that a person is to decide.

    Attributes:
        kind: one of `KINDS`.
        pictures: the images that it is about, side by side.
        proposal: sha256 -> the decision that is most likely right; empty if only a person can tell.
        labels: classes that are at hand, beside those of the pictures.
    """

    kind: str
    pictures: tuple[Picture, ...]
    proposal: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same for the same finding in every process."""
        return hashlib.sha256(f"{self.kind} {' '.join(sorted(self.sha256s))}".encode()).hexdigest()[:16]

    @property
    def sha256s(self) -> list[str]:
        """The images' digests, each once, in their order."""
        return list(dict.fromkeys(each.sha256 for each in self.pictures))

    @property
    def is_collected(self) -> bool:
        """Whether it is about pictures that are not in the data set yet."""
        return KINDS[self.kind].is_collected

    @property
    def title(self) -> str:
        """What was found, for people."""
        return f"{len(self.pictures)} pictures look alike: a new class?" if self.kind == "alike" else (
            KINDS[self.kind].title)

    @property
    def reason(self) -> str:
        """Why it was asked about, for the table of decisions."""
        shown = " = ".join(f"{each.path} ({each.label})" for each in self.pictures)
        note = f": {self.pictures[0].note}" if len(self.pictures) == 1 else ""
        text = f"{KINDS[self.kind].title}{note}: {shown}"
        return text if len(text) <= REASON else text[:REASON - 1] + "…"

    def is_settled(self, decided: Mapping[str, str]) -> bool:
        """Whether decisions, sha256 -> `keep`, `drop` or `label=X`, answer it."""
        return all(self._is_answer(decided.get(key, "")) for key in self.sha256s)

    def choices(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Key on the keyboard -> what it does in words, and the decision on each image."""
        kind, every, keys = KINDS[self.kind], self.sha256s, {}
        if kind.may_keep:
            keys["k"] = (self._says_keep(), dict.fromkeys(every, KEEP))
        for number, label in enumerate(self._labels()[:SHOWN], 1):
            keys[str(number)] = (f"{'all are' if len(every) > 1 else 'it is'} {label}", self.labelled(label))
        if len(every) > 1 and not kind.is_collected:
            for number, key in enumerate(every[:SHOWN], 1):
                keys[f"⇧{number}"] = (f"only picture {number}", dict.fromkeys(every, DROP) | {key: KEEP})
        keys["d"] = ("drop all" if len(every) > 1 else "drop", dict.fromkeys(every, DROP))
        if self.proposal and self.proposal not in [decisions for _, decisions in keys.values()]:
            keys["a"] = ("as proposed", dict(self.proposal))
        return keys

    def labelled(self, label: str) -> dict[str, str]:
        """The decision that gives all images one label; those that have it are kept."""
        own: dict[str, set[str]] = {}
        for each in self.pictures:
            own.setdefault(each.sha256, set()).add(each.label)
        return {key: KEEP if labels == {label} else LABEL + label for key, labels in own.items()}

    def _says_keep(self) -> str:
        if len(self.sha256s) == 1:
            return "keep one of these files" if len(self.pictures) > 1 else "keep"
        return "keep all: different pictures" if self.kind == "near_copies" else "keep all"

    def _labels(self) -> list[str]:
        if not KINDS[self.kind].may_label:
            return []
        labels = filter(None, dict.fromkeys([*self.labels, *(each.label for each in self.pictures)]))
        return [each for each in labels if set(self.labelled(each).values()) != {KEEP}]

    def _is_answer(self, decision: str) -> bool:
        kind = KINDS[self.kind]
        return bool(decision) and (decision != KEEP or kind.may_keep) and (
            not decision.startswith(LABEL) or kind.may_label)


def of_data(findings: dict, images: pd.DataFrame, folder: Path) -> list[Finding]:
    """The findings of `validate`.

    Args:
        findings: see `pipeline.intake.findings.collect`.
        images: the table of images.csv.
        folder: the images', in which unreadable files are read for their digests.
    """
    rows = images.set_index("path")

    def pictures(group: list[dict]) -> tuple[Picture, ...]:
        return tuple(_picture(each["path"], rows.loc[each["path"]]) for each in group)

    found = [Finding("conflicts", pictures(group)) for group in findings["conflicts"]]
    found += [Finding("near_copies", pictures(group)) for group in findings["near_copies"]]
    for path, reason in findings["unreadable"].items():
        if digest := sha256_of(folder / path):
            found.append(Finding("unreadable", (Picture(path, digest, "", reason),), {digest: DROP}))
    for group in findings["duplicates"]:
        found.append(Finding("copies", pictures(group), _best(rows.loc[[each["path"] for each in group]])))
    return found


def _picture(path: str, row: pd.Series) -> Picture:
    return Picture(path, row["sha256"], row["label"], f"{row['width_px']} × {row['height_px']} {row['format']}")


def _best(rows: pd.DataFrame) -> dict[str, str]:
    """Of copies, keep the one with the most pixels, and of those the one with the most bytes."""
    ordered = rows.assign(pixels=rows["width_px"] * rows["height_px"]).sort_values(
        ["pixels", "size_bytes", "sha256"], ascending=[False, False, True])
    return dict.fromkeys(ordered["sha256"], DROP) | {ordered["sha256"].iloc[0]: KEEP}


def of_answers(answers: Answers, images: pd.DataFrame) -> list[Finding]:
    """Wrong labels, sure mistakes and outliers among images that the model had not learnt from.

    Args:
        answers: of the model to them.
        images: the table of images.csv; answers to images that are gone or have another label by now do not count.
    """
    suspects = dict.fromkeys(label_suspects(answers).tolist())
    mistakes = [each for each in (-answers.confidences).argsort(kind="stable")
                if not answers.is_right[each] and each not in suspects][:MOST]
    outliers = [each for each in (-answers.unknown_scores).argsort(kind="stable") if answers.is_unknown[each]][:MOST]
    rows = {"suspects": suspects, "mistakes": mistakes, "outliers": outliers}
    known = images.set_index("path")
    return [_of_answer(kind, answers, row, known.at[path, "sha256"]) for kind in rows for row in rows[kind]
            if (path := answers.paths[row]) in known.index
            and known.at[path, "label"] == answers.class_names[answers.labels[row]]]


def _of_answer(kind: str, answers: Answers, row: int, sha256: str) -> Finding:
    label, predicted = (answers.class_names[each[row]] for each in (answers.labels, answers.predicted))
    note = (f"unknown score {answers.unknown_scores[row]:.3g}" if kind == "outliers" else
            f"taken for {predicted}, {answers.confidences[row]:.1%}")
    proposal = LABEL + predicted if kind == "suspects" else KEEP
    return Finding(kind, (Picture(answers.paths[row], sha256, label, note),), {sha256: proposal}, (predicted,))


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """One of each finding, in the order of `KINDS`."""
    order = list(KINDS)
    return sorted({each.id: each for each in findings}.values(), key=lambda each: order.index(each.kind))


def as_json(finding: Finding) -> dict:
    """A finding for the page; the decisions of a choice are in the order of `sha256s`, which keeps it small."""
    choices, every = finding.choices(), finding.sha256s
    proposed = next((key for key, (_, decisions) in choices.items() if decisions == finding.proposal), "")
    return {"id": finding.id, "kind": finding.kind, "title": finding.title,
            "pictures": [asdict(each) for each in finding.pictures],
            "choices": {key: {"says": says, "decisions": [decisions[each] for each in every]}
                        for key, (says, decisions) in choices.items()}, "proposed": proposed}
