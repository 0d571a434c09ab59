"""The real stages from `extract` to `finetune`, on a split that other programs can read too."""

import hashlib
import shutil
from pathlib import Path

import pandas as pd

from benchmarks.scratch import Project
from benchmarks.timeline import Timeline, follow
from graft.model.classifier import Classifier
from tasks import artifacts

STAGES = ("extract", "transfer", "choose", "finetune")


def lay_out(source: Path, folder: Path, per_class: int, turns: tuple[str, ...]) -> None:
    """Copy SOURCE/CLASS/* to FOLDER/SPLIT/CLASS/*; image n of a class goes to split `turns[n % len(turns)]`."""
    for class_folder in sorted(path for path in source.iterdir() if path.is_dir()):
        for number, image in enumerate(sorted(class_folder.iterdir())[:per_class]):
            target = folder / turns[number % len(turns)] / class_folder.name / image.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, target)


def new_project(folder: Path, images: Path, **changes) -> Project:
    """A copy of the project whose splits.csv describes the folders that `lay_out` made."""
    project = Project(folder, **{"data.images": str(images), **changes})
    files = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(images.glob("*/*/*"))}
    rows = [{"path": path.relative_to(images).as_posix(), "label": path.parent.name, "split": path.parts[-3],
             "sha256": sha256, "group": sha256} for path, sha256 in files.items()]
    artifacts.write_table(folder / artifacts.SPLITS, pd.DataFrame(rows), artifacts.SPLIT_COLUMNS)
    return project


def run_stage(project: Project, stage: str, label: str | None = None) -> Timeline:
    if stage == "extract":
        project.run("python", "-m", "tasks.code")       # writes the precision that extract reads
    return follow(["python", "-m", f"tasks.{stage}"], label or stage, project.folder, project.environment())


def answers(project: Project, images: Path, split: str) -> dict[str, str]:
    """Export the model and classify a split with it: CLASS/NAME of each image -> predicted class."""
    run_stage(project, "export")
    classifier = Classifier(project.folder / artifacts.BUNDLE)
    paths = sorted((images / split).glob("*/*"))
    return {f"{path.parent.name}/{path.name}": answer.label
            for path, answer in zip(paths, classifier.predict_many(paths))}


def are_right(answers: dict[str, str]) -> list[bool]:
    """Whether each answer, CLASS/NAME -> predicted class, is right."""
    return [file.split("/")[0] == label for file, label in answers.items()]
