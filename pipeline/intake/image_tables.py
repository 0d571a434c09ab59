"""What was read, as tables: a row per file, per image, and per class."""

import pandas as pd

from pipeline.intake.conflicts import find_conflicting, find_open, find_settled
from pipeline.intake.duplicates import find_groups
from pipeline.intake.gaps import NEEDED
from pipeline.intake.scan import Scan


def file_table(scan: Scan) -> pd.DataFrame:
    """One row per file that should be an image: `path`, and the `reason` it is unreadable, or missing."""
    reasons = dict.fromkeys(file.path for file in scan.fingerprints)
    reasons |= {file.path: reason for file, reason in scan.unreadable.items()}
    return pd.DataFrame(reasons.items(), columns=["path", "reason"], dtype=object)


def image_table(scan: Scan, near_copies: str) -> pd.DataFrame:
    """One row per readable image, sorted by path, with the columns of images.csv (`tasks.artifacts.IMAGE_COLUMNS`),
    and `is_settled`, whether the user has decided to use it.

    Args:
        scan: what was read of each file.
        near_copies: "different" if the user says that near-duplicates are different pictures. They still form a group
            that stays in one split, unless more than half of a class are near-duplicates, as with a fixed camera, or
            the class has too few groups to be in every split: each of its pictures is then a group of its own.
    """
    files, fingerprints = list(scan.fingerprints), list(scan.fingerprints.values())
    table = pd.DataFrame({
        "path": [file.path for file in files],
        "label": [file.label for file in files],
        "group": [file.group for file in files],
        "given_split": [file.split for file in files],
    }, dtype=str)
    for name in ("sha256", "width_px", "height_px", "mode", "format", "size_bytes", "contrast", "perceptual_hash"):
        table[name] = [getattr(fingerprint, name) for fingerprint in fingerprints]
    table["duplicate_group"] = find_groups(fingerprints)
    table["is_settled"] = table["sha256"].isin(scan.settled)
    if near_copies == "different":
        groups, pictures = (table.groupby("label")[name].transform("nunique") for name in ("duplicate_group", "sha256"))
        are_few = (groups < NEEDED) | (groups < pictures / 2)
        table["duplicate_group"] = table["sha256"].where(are_few, table["duplicate_group"])
    return table


def with_relations(images: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that only the checks need.

    Args:
        images: see `image_table`.

    Returns:
        `images` with `short_side_px`; `aspect_ratio`, the longer side over the shorter; `copy_number`, from 0 within
        each duplicate group, but always 0 if the user has decided on all of it; `conflict_number`, which numbers the
        pictures with conflicting labels from 1, and is 0 for other images; and `is_doubtful`, 1 for near-duplicates
        with different labels on which the user has not decided.
    """
    sides = images[["width_px", "height_px"]]
    numbers = images.loc[find_conflicting(images), "sha256"].astype("category").cat.codes + 1
    return images.assign(
        short_side_px=sides.min(axis=1),
        aspect_ratio=sides.max(axis=1) / sides.min(axis=1),
        copy_number=images.groupby("duplicate_group").cumcount().where(~find_settled(images), 0),
        conflict_number=numbers.reindex(images.index, fill_value=0),
        is_doubtful=find_open(images).astype(int),
    )


def class_table(images: pd.DataFrame, class_names: set[str]) -> pd.DataFrame:
    """One row per class, including those without an image, sorted by name.

    Args:
        images: see `image_table`.
        class_names: all classes, see `Listing`.

    Returns:
        `label`; `images`, a count; `imbalance`, the images of the largest class over those of this one; and `alike`,
        how many classes have this name apart from case, spaces, - and _.
    """
    names = pd.Series(sorted(class_names | set(images["label"])), dtype=str)
    counts = images["label"].value_counts().reindex(names, fill_value=0).to_numpy()
    plain = names.str.casefold().str.replace(r"[\s_-]+", "", regex=True)
    return pd.DataFrame({
        "label": names,
        "images": counts,
        "imbalance": counts.max(initial=0) / counts.clip(min=1),
        "alike": plain.map(plain.value_counts()),
    })
