"""Set the project up for a folder of images: `python -m flows.start data/pets`.

It looks at the folder, writes the values that fit it to params.yaml, tracks the folder by DVC, and prints the next
command. Running it again changes nothing. `--model NAME` does so for another model, in models/NAME.
"""

import argparse
import os
import shlex
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from flows import model_folder, preflight
from flows.dvc import Dvc
from flows.waiting import Waiting
from graft.errors import GraftError, reported
from pipeline.image_folder import S3Path, image_folder
from pipeline.intake.layout import shorten
from pipeline.intake.obstacles import refuse_obstacles
from pipeline.intake.survey import Survey, survey
from tasks import choices
from tasks.params import PARAMS, named, read_params
from tasks.repository import project_folder
from tasks.validate import ValidateParams

CLASSES = 6             # named with their numbers of images
SAMPLE = Path("data/sample")


def start(folder: str, weights: str | None = None, model: str | None = None) -> None:
    """Set the project up for a folder of images, and print what was seen, chosen and done.

    Args:
        folder: the images, inside the project, or in S3.
        weights: see `tasks.choices.find_weights`; None keeps the weights of a project that is set up for the folder.
        model: the name of another model, in a folder of its own; None for the model of this folder.

    Raises:
        GraftError: if the folder cannot be used as it is. Nothing is changed then.
    """
    preflight.check_repository()
    here, images = Path.cwd(), _inside(folder)
    weights = str(Path(weights).absolute()) if weights and model and Path(weights).is_file() else weights
    with model_folder.created(model) if model else nullcontext():
        _set_up(images if isinstance(images, S3Path) else Path(os.path.relpath(images)), weights, model, here)


def _set_up(images: Path | S3Path, weights: str | None, model: str | None, here: Path) -> None:
    """`start` for the model of this folder; `here` is where the user is, to whom paths are shown from there."""
    seen = look(images)
    is_tracked = isinstance(images, Path)
    for line in describe(os.path.relpath(images.absolute(), here) if is_tracked else str(images), seen):
        print(line)
    values = None if choices.is_chosen(images) and weights is None else _choose(images, seen, weights, model)
    if is_tracked:
        _track(images, len(seen.listing.files))
    changed = choices.write_params(values) if values else []
    params = os.path.relpath(PARAMS.absolute(), here)
    print(f"wrote    {params}: {', '.join(changed)}" if changed else f"kept     {params}: it is set up for this folder")
    preflight.check()
    _print_next(images, here)


def _track(images: Path, files: int) -> None:
    print(f"tracking {files:,} files: DVC hashes them", flush=True)
    with Dvc() as dvc, Waiting("tracking", print):
        dvc.run("add", images.as_posix(), on_line=lambda line: None)


def _inside(folder: str) -> Path | S3Path:
    """The folder, with its whole path, or the prefix in S3.

    Raises:
        GraftError: if the folder is outside of the project, or belongs to a stage.
    """
    if isinstance(elsewhere := image_folder(folder), S3Path):
        return elsewhere
    project, path = project_folder(), Path(os.path.normpath(Path(folder).absolute()))
    for each in (path, path.resolve()):
        if each.is_relative_to(project) and each != project:
            if each.relative_to(project) == SAMPLE:
                raise GraftError(f"{SAMPLE} is made by the stage `sample`. For the demo, run `make demo`; for your own "
                                 "images, name their folder, such as data/pets.")
            return each
    target = f"data/{choices.model_name(path)}"
    raise GraftError(f"{folder} is not inside the project {project}, so DVC would not track it. Copy it: "
                     f"`cp -rL {shlex.quote(folder)} {target}`, then run `python -m flows.start {target}`.")


def look(images: Path | S3Path) -> Survey:
    """Survey the folder. Raises `GraftError` with everything that keeps it from being used."""
    validate = read_params("validate", ValidateParams)
    with named("validate", images="data.images"):
        if isinstance(images, Path) and images.is_dir():
            refuse_obstacles(images)
        return survey(images, validate.labels_from, validate.check_folders)


def describe(images: str, seen: Survey) -> list[str]:
    """What was seen in the folder, as lines for people."""
    listing = seen.listing
    found = Counter(file.label for file in listing.files)
    counts = {name: found[name] for name in sorted(listing.class_names)}
    named_classes = shorten([f"{name} {count}" for name, count in counts.items()], CLASSES)
    given = {split: sum(file.split == split for file in listing.files) for split in ("train", "val", "test")}
    groups = len({file.group for file in listing.files if file.group})
    lines = [f"saw      {len(listing.files):,} files in {len(counts)} classes in {images}: {named_classes}",
             f"         {seen.kind}, about {seen.size_px[0]} × {seen.size_px[1]} pixels, judged by {seen.read} of them"]
    if any(given.values()):
        lines.append("splits   given: " + ", ".join(f"{name} {count}" for name, count in given.items()))
    if groups:
        lines.append(f"groups   {groups}; images of one group stay in one split")
    lines += [f"ignored  {len(listing.stray)} files: {shorten(sorted(listing.stray))}"] * bool(listing.stray)
    lines += [f"note     {note}" for note in listing.notes]
    least = read_params("validate", ValidateParams).min_images_per_class
    if few := [f"{name} {count}" for name, count in counts.items() if count < least]:
        lines.append(f"warning  too few images: {shorten(few)}. Training needs {least} of each class: add some, or "
                     "lower validate.min_images_per_class")
    return lines


def _choose(images: Path, seen: Survey, wanted: str | None, model: str | None) -> dict[str, object]:
    """The values for this folder, key of params.yaml -> value; prints them."""
    weights = choices.find_weights(wanted)
    values = choices.choose(images, seen, weights)
    values["publish.name"] = model or values["publish.name"]
    preflight.check_name(values["publish.name"])
    size = values["extract.backbone.image_size"]
    print(f"chose    MobileNetV2 at {size[0]} pixels, with {weights.origin}")
    mirrors = "mirror images where they help" if values["extract.augmentation.horizontal_flip"] else "no mirror images"
    print(f"         {mirrors}; cut and learning rate by trial; name of the model: {values['publish.name']}")
    if weights.value == "starter" and wanted is None:
        print("advice   ImageNet's weights recognise more: get the file on another machine, and repeat this command "
              "with --weights FILE")
    return values


def _print_next(images: Path | S3Path, here: Path) -> None:
    """Print the commands that record this and that train, as the user at `here` can paste them."""
    tracked, changed = [Path(f"{images.absolute()}.dvc")] if isinstance(images, Path) else [], [PARAMS.absolute()]
    folder = os.path.relpath(Path.cwd(), here)
    if Path.cwd() != project_folder():
        changed = [Path.cwd(), project_folder() / model_folder.DEPLOYMENTS]
        if model_folder.schedule():
            print(f"schedule {os.path.relpath(changed[1], here)}: retraining of {folder}, at the time of the others")
    files = " ".join(shlex.quote(os.path.relpath(each, here)) for each in [*changed, *tracked])
    what = os.path.relpath(tracked[0], here) if tracked else f"{images}: DVC compares its listing in each run"
    print(f"tracked  {what}. To record this: `git add {files} && git commit`")
    print("\nnext:    " + f"cd {shlex.quote(folder)} && " * (folder != ".") + "python -m flows.training")


def main() -> None:
    """Set the project up for the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m flows.start", description="Set the project up for your images.")
    parser.add_argument("folder", help="a folder of class folders, or one with a labels.csv, such as data/pets, "
                                       "or s3://bucket/prefix")
    parser.add_argument("--weights", help="imagenet, starter, or a file or s3:// address of MobileNetV2's weights "
                                          "without its top (default: ImageNet's, otherwise the starter's)")
    parser.add_argument("--model", help="the name of another model in this project, in the folder models/NAME")
    arguments = parser.parse_args()
    start(**vars(arguments))


if __name__ == "__main__":
    with reported():
        main()
