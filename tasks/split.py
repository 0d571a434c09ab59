"""Stage `split`: assign each image to train, val or test. No image is copied: splits.csv names the split of each."""

from pydantic import Field

from graft.errors import LINES, GraftError, printable, reported
from tasks.params import PARAMS, params, read_params


@params
class SplitParams:
    """How the images are split."""

    val_share: float = Field(ge=0.01, le=0.45)
    test_share: float = Field(ge=0.01, le=0.45)
    salt: str
    max_leaks: int = Field(ge=0)


def main() -> None:
    """Run the stage. Raises `GraftError` for leakage, and for classes that a split lacks."""
    split = read_params("split", SplitParams)
    shares = (split.val_share, split.test_share)

    from pipeline.intake.related import find_related
    from pipeline.intake.split_findings import collect, explain_leaks, explain_missing, summarize
    from pipeline.intake.splitting import count_by_class, find_leaks, split_images
    from tasks import artifacts

    images = artifacts.read_table(artifacts.IMAGES, artifacts.IMAGE_COLUMNS)
    assigned = split_images(images, *shares, split.salt)
    counts, leaks = count_by_class(assigned), find_leaks(images)
    findings = collect(assigned, counts, leaks, *shares)
    artifacts.write_json(artifacts.SPLIT_FINDINGS, findings)
    if problems := [*explain_leaks(leaks, split.max_leaks, f"{PARAMS}: split."), *explain_missing(assigned, counts)]:
        raise GraftError("the images cannot be split:\n" + "\n".join(problems)
                         + f"\nFor all findings, see {artifacts.SPLIT_FINDINGS}")
    used = assigned.assign(group=find_related(images))[assigned["split"].ne("")]
    artifacts.write_table(artifacts.SPLITS, used, artifacts.SPLIT_COLUMNS)
    print(printable(f"{summarize(findings)}\nfindings: {artifacts.SPLIT_FINDINGS}", LINES))


if __name__ == "__main__":
    with reported():
        main()
