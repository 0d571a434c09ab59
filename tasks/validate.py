"""Stage `validate`: read every file in the image folder, report problems, and stop if an expectation fails."""

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Literal

from pydantic import Field

from graft.errors import LINES, GraftError, printable, reported
from tasks.data import DataParams
from tasks.params import PARAMS, named, params, read_params

REVIEW = "python -m tasks.review"


@params
class ValidateParams:
    """How the image folder is read, and which images are accepted for training."""

    labels_from: Literal["path", "first", "last"]           # the part of Fruit/Apple/Pink-Lady that names the class
    split_folders: bool                                     # one level of the folders is train, val and test
    check_folders: bool                                     # refuse classes that look like splits or variants
    max_unreadable_share: float = Field(ge=0, le=1)
    min_images_per_class: int = Field(ge=3)
    max_imbalance: float = Field(ge=1)
    max_label_conflicts: int = Field(ge=0)
    near_copies: Literal["ask", "different"]               # what near-duplicates with different labels are
    max_copies_share: float = Field(ge=0, le=1)
    min_side_px: int = Field(ge=1)
    max_aspect_ratio: float = Field(ge=1)
    min_contrast: float = Field(ge=0, le=128)
    max_form_skill: float = Field(ge=0, le=1)


def main() -> None:
    """Run the stage and print a summary. Raises `GraftError` if an expectation fails that stops the run."""
    validate, images = read_params("validate", ValidateParams), read_params("data", DataParams).folder
    findings = validate_images(validate, images)

    from pipeline.intake.findings import explain_failures, summarize
    from tasks.artifacts import DATA_DOCS, DATA_REPORT

    print(printable(summarize(findings, vars(validate)), LINES))
    if failures := explain_failures(findings, vars(validate), where=f"{PARAMS}: validate."):
        raise GraftError(f"the images in '{images}' are not accepted:\n{failures}\nFix the images, or change the "
                         f"limits in {PARAMS}. For all findings, with pictures, see {DATA_REPORT}\n"
                         f"To decide picture by picture what is kept, dropped or relabelled: `{REVIEW}`")
    print(f"report: {DATA_REPORT}; Great Expectations' Data Docs: {DATA_DOCS}")


def validate_images(validate: ValidateParams, images: Path) -> dict:
    """Read and check the images; write images.csv, the reports and the findings, even if an expectation fails.

    Args:
        validate: the stage's parameters.
        images: the folder of the images.

    Returns:
        The findings, see `pipeline.intake.findings.collect`.

    Raises:
        GraftError: if the folder cannot be read as labelled images.
    """
    from pipeline.intake.scan import scan
    from pipeline.intake.scan_cache import ScanCache
    from tasks import artifacts

    listing, decisions = list_images(validate, images)
    for note in listing.notes:
        print(printable(f"note: {note}", LINES))
    cache = ScanCache(artifacts.CACHE / "intake", images)
    with ThreadPoolExecutor(1) as loading:      # Great Expectations, while other processes read the images
        loading.submit(import_module, "pipeline.intake.library")
        scanned = scan(images, listing, cache)

    from pipeline.intake.checks import check
    from pipeline.intake.data_docs import render_data_docs
    from pipeline.intake.deciding import apply
    from pipeline.intake.findings import collect
    from pipeline.intake.image_tables import image_table
    from pipeline.intake.report import render_report

    scanned, decided = apply(scanned, decisions, images)
    table = image_table(scanned, validate.near_copies)
    validations = check(scanned, table, vars(validate))
    findings = collect(scanned, table, [outcome for each in validations for outcome in each.outcomes],
                       decided)
    artifacts.write_table(artifacts.IMAGES, table, artifacts.IMAGE_COLUMNS)
    artifacts.write_json(artifacts.DATA_FINDINGS, findings)
    artifacts.write_text(artifacts.DATA_DOCS, render_data_docs(validations))
    artifacts.write_text(artifacts.DATA_REPORT, render_report(findings, scanned, cache, images.name))
    return findings


def list_images(validate: ValidateParams, images: Path) -> tuple:
    """List the image folder and the decisions on its images.

    Returns:
        A `pipeline.intake.listing.Listing`, and sha256 -> `pipeline.intake.decisions.Decision`.

    Raises:
        GraftError: if the folder cannot be read as labelled images, or the table of decisions has mistakes.
    """
    from pipeline.intake.decisions import read_decisions, table_of
    from pipeline.intake.listing import list_files

    with named("validate", images="data.images"):
        listing = list_files(images, validate.labels_from, validate.split_folders, validate.check_folders)
    return listing, read_decisions(table_of(images), listing.class_names)


def preflight() -> None:
    """Check the image folder before DVC hashes it, without opening an image.

    Raises:
        GraftError: if DVC cannot hash the folder, or it cannot be read as labelled images.
    """
    from pipeline.intake.obstacles import refuse_obstacles

    validate, images = read_params("validate", ValidateParams), read_params("data", DataParams).folder
    problems = []
    for check in (lambda: refuse_obstacles(images), lambda: list_images(validate, images)):
        try:
            with named("validate", images="data.images"):
                check()
        except GraftError as error:
            problems.append(str(error))
    if problems:
        raise GraftError("\n       ".join(problems))


if __name__ == "__main__":
    with reported():
        main()
