"""Set the project up for a folder of images: `python -m flows.start data/pets`.

It looks at the folder, writes the values that fit it to params.yaml, tracks the folder by DVC, and prints the next
command. Running it again changes nothing.
"""

import argparse
import shlex
from pathlib import Path

from flows import preflight
from flows.dvc import Dvc
from flows.waiting import Waiting
from graft.errors import GraftError, reported
from pipeline.intake.layout import shorten
from pipeline.intake.obstacles import refuse_obstacles
from pipeline.intake.survey import Survey, survey
from tasks import choices
from tasks.params import PARAMS, named, read_params
from tasks.validate import ValidateParams

CLASSES = 6             # named with their numbers of images
SAMPLE = Path("data/sample")


def start(folder: str, weights: str | None = None) -> None:
    """Set the project up for a folder of images, and print what was seen, chosen and done.

    Args:
        folder: the images, inside the project.
        weights: see `tasks.choices.find_weights`; None keeps the weights of a project that is set up for the folder.

    Raises:
        GraftError: if the folder cannot be used as it is. Nothing is changed then.
    """
    preflight.check_repository()
    images = _inside(folder)
    seen = look(images)
    for line in describe(images, seen):
        print(line)
    values = None if choices.is_chosen(images) and weights is None else _choose(images, seen, weights)
    print(f"tracking {len(seen.listing.files):,} files: DVC hashes them", flush=True)
    with Dvc() as dvc, Waiting("tracking", print):
        dvc.run("add", images.as_posix(), on_line=lambda line: None)
    changed = choices.write_params(values) if values else []
    print(f"wrote    {PARAMS}: {', '.join(changed)}" if changed else f"kept     {PARAMS}: it has the right values")
    preflight.check()
    _print_next(images)


def _inside(folder: str) -> Path:
    """The folder, relative to the project. Raises `GraftError` if it is not inside it, or belongs to a stage."""
    here, path = Path.cwd(), Path(folder).absolute()
    for each in (path, path.resolve()):
        if each.is_relative_to(here) and each != here:
            images = each.relative_to(here)
            if images == SAMPLE:
                raise GraftError(f"{images} is made by the stage `sample`. For the demo, run `make demo`; for your own "
                                 "images, name their folder, such as data/pets.")
            return images
    target = f"data/{choices.model_name(path)}"
    raise GraftError(f"{folder} is not inside the project {here}, so DVC would not track it. Copy it: "
                     f"`cp -rL {shlex.quote(folder)} {target}`, then run `python -m flows.start {target}`.")


def look(images: Path) -> Survey:
    """Survey the folder. Raises `GraftError` with everything that keeps it from being used."""
    validate = read_params("validate", ValidateParams)
    with named("validate", images="data.images"):
        if images.is_dir():
            refuse_obstacles(images)
        return survey(images, validate.labels_from, validate.check_folders)


def describe(images: Path, seen: Survey) -> list[str]:
    """What was seen, as lines for people."""
    listing = seen.listing
    counts = {name: sum(file.label == name for file in listing.files) for name in sorted(listing.class_names)}
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


def _choose(images: Path, seen: Survey, wanted: str | None) -> dict[str, object]:
    """The values for this folder, key of params.yaml -> value; prints them."""
    weights = choices.find_weights(wanted)
    values = choices.choose(images, seen, weights)
    size = values["extract.backbone.image_size"]
    print(f"chose    MobileNetV2 at {size[0]} pixels, with {weights.origin}")
    mirrors = "mirror images where they help" if values["extract.augmentation.horizontal_flip"] else "no mirror images"
    print(f"         {mirrors}; cut and learning rate by trial; name of the model: {values['publish.name']}")
    if weights.value == "starter" and wanted is None:
        print("advice   ImageNet's weights recognise more: get the file on another machine, and repeat this command "
              "with --weights FILE")
    return values


def _print_next(images: Path) -> None:
    print(f"tracked  {images}.dvc. To record this: `git add {PARAMS} {shlex.quote(f'{images}.dvc')} && git commit`")
    print("\nnext:    python -m flows.training")


def main() -> None:
    """Set the project up for the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m flows.start", description="Set the project up for your images.")
    parser.add_argument("folder", help="a folder of class folders, or one with a labels.csv, such as data/pets")
    parser.add_argument("--weights", help="imagenet, starter, or a file or s3:// address of MobileNetV2's weights "
                                          "without its top (default: ImageNet's, otherwise the starter's)")
    arguments = parser.parse_args()
    start(arguments.folder, arguments.weights)


if __name__ == "__main__":
    with reported():
        main()
