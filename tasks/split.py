"""Stage `split`: give each image to train, val or test. No image is copied: splits.csv says where each stands."""

from pydantic import Field

from graft.errors import GraftError, reported
from tasks.params import params, read_params


@params
class SplitParams:
    """How the images are parted."""

    val_share: float = Field(ge=0.01, le=0.45)
    test_share: float = Field(ge=0.01, le=0.45)
    salt: str
    max_leaks: int = Field(ge=0)


def main() -> None:
    params = read_params("split", SplitParams)

    from pipeline.intake.splitting import count_by_class, find_leaks, split_images
    from tasks.artifacts import (
        IMAGE_COLUMNS,
        IMAGES,
        SPLIT_COLUMNS,
        SPLIT_FINDINGS,
        SPLITS,
        read_table,
        write_json,
        write_table,
    )

    images = read_table(IMAGES, IMAGE_COLUMNS)
    split = split_images(images, params.val_share, params.test_share, params.salt)
    counts, leaks = count_by_class(split), find_leaks(images)
    findings = collect(split, counts, leaks, params)
    write_json(SPLIT_FINDINGS, findings)
    if problems := [*explain_leaks(leaks, params), *explain_missing(counts, images, params)]:
        raise GraftError("the images cannot be split:\n" + "\n".join(problems))
    write_table(SPLITS, split[split["split"].ne("")], SPLIT_COLUMNS)
    print(summarize(findings))


def collect(split, counts, leaks: list[dict], params: SplitParams) -> dict:
    """What is worth telling of a split, as plain data. `counts`: images of each class in each split."""
    asked = {"train": 1 - params.val_share - params.test_share, "val": params.val_share, "test": params.test_share}
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
    """A few lines for the screen."""
    shares, asked, deviation = findings["shares"], findings["asked_shares"], findings["largest_class_deviation"]
    totals = {name: sum(row[name] for row in findings["classes"].values()) for name in shares}
    lines = [", ".join(f"{name} {totals[name]} ({shares[name]:.1%}, asked {asked[name]:.0%})" for name in shares)]
    lines.append(f"the class furthest from these shares is '{deviation['class']}': {deviation['share']:.1%} of it more "
                 f"or fewer in {deviation['split']}")
    if findings["left_out"]:
        lines.append(f"{len(findings['left_out'])} images left out, copies of images in another split or under two "
                     "labels: outputs/split/findings.json")
    return "\n".join(lines)


def explain_leaks(leaks: list[dict], params: SplitParams) -> list[str]:
    """One line for each picture or group in two given splits, if there are more than allowed."""
    if len(leaks) <= params.max_leaks:
        return []
    lines = [f"  {leak['what']}: " + " = ".join(f"{image['path']} ({image['split']})" for image in leak["images"][:4])
             for leak in leaks[:10]]
    more = [f"  … and {len(leaks) - 10} more in outputs/split/findings.json"] if len(leaks) > 10 else []
    return [f"{len(leaks)} leaks between the given splits; expected at most {params.max_leaks} [params.yaml: "
            f"split.max_leaks: {params.max_leaks}]. Take them out of one of the two.", *lines, *more]


def explain_missing(counts, images, params: SplitParams) -> list[str]:
    """One line for each class without an image in some split, and what helps."""
    from pipeline.intake.splitting import find_salt

    missing = counts[(counts == 0).any(axis=1)]
    if missing.empty:
        return []
    lines = [f"  class '{label}' has " + ", ".join(f"{number} in {name}" for name, number in row.items())
             + "; expected at least 1 in each" for label, row in missing.iterrows()]
    salt = find_salt(images, params.val_share, params.test_share, params.salt)
    advice = (f"With `salt: {salt}` every class has some in each split." if salt
              else "Add images to these classes, or raise val_share and test_share.")
    return [f"too few images for params.yaml: split.val_share: {params.val_share}, split.test_share: "
            f"{params.test_share}, split.salt: {params.salt}. {advice}", *lines]


if __name__ == "__main__":
    with reported():
        main()
