"""The findings of `split` as plain data, and how they read: a summary for the terminal, and error messages."""

import pandas as pd

from pipeline.intake.failures import counted
from pipeline.intake.gaps import NEEDED
from pipeline.intake.layout import shorten
from pipeline.intake.splitting import CONFLICT, find_deciding
from pipeline.intake.variants import plain

LEAKS_SHOWN, MEMBERS_SHOWN, CLASSES_SHOWN = 10, 4, 10


def collect(split: pd.DataFrame, counts: pd.DataFrame, leaks: list[dict], val_share: float, test_share: float) -> dict:
    """Collect what is worth knowing about a split.

    Args:
        split: see `splitting.split_images`.
        counts: see `splitting.count_by_class`.
        leaks: see `splitting.find_leaks`.
        val_share, test_share: what was asked for, 0 to 1.

    Returns:
        `classes`, class -> split -> images; `shares` and `asked_shares`, split -> 0 to 1; `largest_class_deviation`,
        the class whose shares differ most from those of all images; `moved`, the paths of the images that are not where
        they were drawn, because their class had no image there; `completed`, split given by the user -> the classes
        that it lacked and got from train; `drawn`, split not given by the user -> how many images that were given train
        are in it; `lacking`, split -> the classes that it still lacks; `left_out`, path -> reason; and `leaks`.
    """
    asked = {"train": 1 - val_share - test_share, "val": val_share, "test": test_share}
    shares = counts.sum() / max(1, int(counts.to_numpy().sum()))
    deviations = (counts.div(counts.sum(axis=1).clip(lower=1), axis=0) - shares).abs().stack()
    label, name = deviations.idxmax()
    left_out, given = split[split["left_out"].ne("")], _given(split)
    completed = split[split["moved"] & split["split"].isin(given)]
    drawn = split["split"][split["given_split"].eq("train") & ~split["split"].isin(["train", "", *given])]
    return {
        "classes": {label: {name: int(number) for name, number in row.items()} for label, row in counts.iterrows()},
        "shares": {name: round(float(share), 4) for name, share in shares.items()},
        "asked_shares": {name: round(share, 4) for name, share in asked.items()},
        "largest_class_deviation": {"class": label, "split": name, "share": round(float(deviations.max()), 4)},
        "moved": sorted(split["path"][split["moved"]]),
        "completed": {name: sorted(set(completed["label"][completed["split"] == name])) for name in given},
        "drawn": drawn.value_counts().sort_index().to_dict(),
        "lacking": {name: list(counts.index[counts[name] == 0]) for name in counts},
        "left_out": dict(zip(left_out["path"], left_out["left_out"])),
        "leaks": leaks,
    }


def summarize(findings: dict) -> str:
    """The findings in a few lines for the terminal."""
    shares, asked, deviation = findings["shares"], findings["asked_shares"], findings["largest_class_deviation"]
    totals = {name: sum(row[name] for row in findings["classes"].values()) for name in shares}
    lines = [", ".join(f"{name} {totals[name]} ({shares[name]:.1%}, asked for {asked[name]:.0%})" for name in shares),
             f"class '{deviation['class']}' differs most from these shares, by "
             f"{100 * deviation['share']:.1f} percentage points in {deviation['split']}"]
    if findings["moved"]:
        lines.append(f"{len(findings['moved'])} images moved to a split that their class lacked")
    lines += [f"{counted(len(labels), 'class', 'classes')} that your {name} lacked got images of train: "
              f"{shorten(labels, CLASSES_SHOWN)}" for name, labels in findings["completed"].items() if labels]
    lines += [f"you have given no {name}: {counted(number, 'image')} of your train drawn into it"
              for name, number in findings["drawn"].items()]
    lines += [f"{counted(len(labels), 'class', 'classes')} without images in {name}: {shorten(labels, CLASSES_SHOWN)}"
              for name, labels in findings["lacking"].items() if labels]
    if findings["left_out"]:
        lines.append(f"{len(findings['left_out'])} images left out, as duplicates of an image in another split, or "
                     "because an exact copy has another label")
    return "\n".join(lines)


def explain_leaks(leaks: list[dict], max_leaks: int, where: str = "") -> list[str]:
    """Name the pictures and groups that are in two given splits, if there are more than allowed.

    Args:
        leaks: see `splitting.find_leaks`.
        max_leaks: how many are allowed.
        where: the place where that is set, put before its name, such as `params.yaml: split.`

    Returns:
        The lines of a message; none if nothing is wrong.
    """
    if len(leaks) <= max_leaks:
        return []
    lines = [f"  {leak['what']}: "
             + " = ".join(f"{image['path']} ({image['split']})" for image in leak["images"][:MEMBERS_SHOWN])
             for leak in leaks[:LEAKS_SHOWN]]
    more = [f"  … and {len(leaks) - LEAKS_SHOWN} more"] if len(leaks) > LEAKS_SHOWN else []
    return [f"{counted(len(leaks), 'leak')} between the given splits; at most {max_leaks} are allowed "
            f"[{where}max_leaks: {max_leaks}]. Remove these images from one of the two splits. With a higher limit, "
            "they stay in both, and the figures are too good:", *lines, *more]


def explain_missing(split: pd.DataFrame, counts: pd.DataFrame) -> list[str]:
    """Name the classes without an image in some split, the smallest first, and what helps.

    If the user has given val or test, only train must have all classes; the others must have images.

    Args:
        split: see `splitting.split_images`.
        counts: see `splitting.count_by_class`.

    Returns:
        The lines of a message; none if nothing is wrong.
    """
    given = _given(split)
    missing = counts[(counts[["train"] if given else list(counts)] == 0).any(axis=1)]
    if missing.empty:
        return [f"{name} has no images: beside the {' and '.join(given)} that you have given, no class has a group for "
                "it and another for train. Add images in other groups, or give some of the images that split."
                for name in counts if not counts[name].any()]
    groups = find_deciding(split).groupby("label")["key"].nunique().reindex(missing.index, fill_value=0)
    groups = groups.sort_values(kind="stable")
    conflicts = split["label"][split["left_out"].eq(CONFLICT)].value_counts()
    lines = [f"  class '{label}' has {counted(groups[label], 'group')}: "
             + ", ".join(f"{number} in {name}" for name, number in missing.loc[label].items())
             + (f"; {CONFLICT} for {conflicts[label]} images, which are left out" if label in conflicts else "")
             + _namesake(label, counts)
             for label in groups.index[:CLASSES_SHOWN]]
    more = [f"  … and {len(groups) - CLASSES_SHOWN} more classes"] if len(groups) > CLASSES_SHOWN else []
    where = "train; 1 or more are needed" if given else "train, val or test; 1 or more are needed in each"
    return [f"{counted(len(groups), 'class', 'classes')} without images in {where}:", *lines, *more,
            *_what_helps(groups, given)]


def _given(split: pd.DataFrame) -> list[str]:
    """Which of val and test the user has given."""
    return [name for name in ("val", "test") if split["given_split"].eq(name).any()]


def _namesake(label: str, counts: pd.DataFrame) -> str:
    """The class with training images that may be the same under another path."""
    name, trained = plain(label.split("/")[-1]), counts.index[counts["train"] > 0]
    same = [other for other in trained if other != label and plain(other.split("/")[-1]) == name]
    if counts.loc[label, "train"] or not same:
        return ""
    return f"; '{same[0]}' has the same name and {counts.loc[same[0], 'train']} in train: if it is one class, move it"


def _what_helps(groups: pd.Series, given: list[str]) -> list[str]:
    """Advice for classes with too few groups, and for those with enough."""
    if given:
        return [f"You have given {' and '.join(given)}, from which no image moves: put images of these classes into "
                "train, give their images no split, or remove the classes."]
    advice = []
    if (groups < NEEDED).any():
        advice.append(f"A class needs {NEEDED} groups or more, one for each split: an image with its duplicates is one "
                      "group, and so are the images to which you gave the same group. Add images, or remove the class. "
                      "If its near-duplicates are different pictures, validate them with near_copies: different.")
    if (groups >= NEEDED).any():
        advice.append("A group with images of several classes can be in one split only: divide such groups, or add "
                      "images in other groups.")
    return advice
