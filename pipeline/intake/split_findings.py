"""The findings of `split` as plain data, and how they read: a summary for the terminal, and error messages."""

import pandas as pd

from pipeline.intake.splitting import find_salt

LEAKS_SHOWN, MEMBERS_SHOWN = 10, 4


def collect(split: pd.DataFrame, counts: pd.DataFrame, leaks: list[dict], val_share: float, test_share: float) -> dict:
    """Collect what is worth knowing about a split.

    Args:
        split: see `splitting.split_images`.
        counts: see `splitting.count_by_class`.
        leaks: see `splitting.find_leaks`.
        val_share, test_share: what was asked for, 0 to 1.

    Returns:
        `classes`, class -> split -> images; `shares` and `asked_shares`, split -> 0 to 1; `largest_class_deviation`,
        the class whose shares differ most from those of all images; `left_out`, path -> reason; and `leaks`.
    """
    asked = {"train": 1 - val_share - test_share, "val": val_share, "test": test_share}
    shares = counts.sum() / max(1, int(counts.to_numpy().sum()))
    deviations = (counts.div(counts.sum(axis=1).clip(lower=1), axis=0) - shares).abs().stack()
    label, name = deviations.idxmax()
    left_out = split[split["left_out"].ne("")]
    return {
        "classes": {label: {name: int(number) for name, number in row.items()} for label, row in counts.iterrows()},
        "shares": {name: round(float(share), 4) for name, share in shares.items()},
        "asked_shares": {name: round(share, 4) for name, share in asked.items()},
        "largest_class_deviation": {"class": label, "split": name, "share": round(float(deviations.max()), 4)},
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
    if findings["left_out"]:
        lines.append(f"{len(findings['left_out'])} images left out, as duplicates of an image in another split or with "
                     "conflicting labels")
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
    plural = "s" * (len(leaks) != 1)
    return [f"{len(leaks)} leak{plural} between the given splits; expected at most {max_leaks} "
            f"[{where}max_leaks: {max_leaks}]. Remove these images from one of the two splits:", *lines, *more]


def explain_missing(counts: pd.DataFrame, images: pd.DataFrame, val_share: float, test_share: float, salt: str,
                    where: str = "") -> list[str]:
    """Name the classes without an image in some split, and what helps.

    Args:
        counts: see `splitting.count_by_class`.
        images, val_share, test_share, salt: see `splitting.split_images`.
        where: the place where the shares and the salt are set, put before their names.

    Returns:
        The lines of a message; none if nothing is wrong.
    """
    missing = counts[(counts == 0).any(axis=1)]
    if missing.empty:
        return []
    lines = [f"  class '{label}' has " + ", ".join(f"{number} in {name}" for name, number in row.items())
             + "; expected at least 1 in each" for label, row in missing.iterrows()]
    other = find_salt(images, val_share, test_share, salt)
    advice = (f"With `salt: {other}`, every class has images in every split." if other
              else "Add images to these classes, or raise val_share and test_share.")
    return [f"too few images for {where}val_share: {val_share}, test_share: {test_share}, salt: {salt}. {advice}",
            *lines]
