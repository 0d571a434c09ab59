"""The stages `extract`, `transfer` and `finetune` as they really run, on a split that other programs can read."""

import hashlib
import os
import shutil
from pathlib import Path

import pandas as pd

from benchmarks.scratch import Project
from benchmarks.timeline import Timeline, follow
from graft.model.classifier import Classifier
from tasks import artifacts

DATA = Path(os.environ.get("GRAFT_REAL_DATA", "../shared/data")).resolve()
WEIGHTS = Path(os.environ.get("GRAFT_REAL_WEIGHTS", "../shared/weights")).resolve()
STAGES = ("extract", "transfer", "finetune")
RECIPE = {          # the parameters of the classic recipe; early stopping never comes before the last epoch
    "extract.augmentation.rotation_degrees": 30, "extract.augmentation.shift": 0.2, "extract.augmentation.shear": 0.2,
    "extract.augmentation.zoom": 0.2, "extract.augmentation.horizontal_flip": True,
    "extract.augmentation.stretch": 0.0, "extract.augmentation.brightness": 0.0, "extract.augmentation.contrast": 0.0,
    "transfer.hidden_units": 1024, "transfer.dropout": 0.0, "transfer.patience": 1000,
    "transfer.warmup_epochs": 0.0, "transfer.decay": "none", "finetune.warmup_epochs": 0.0, "finetune.decay": "none",
    "finetune.optimizer": "sgd", "finetune.learning_rate": 1e-4, "finetune.momentum": 0.9, "finetune.patience": 1000,
}
INCEPTION = {
    "extract.backbone.name": "InceptionV3", "extract.backbone.alpha": None, "extract.backbone.image_size": [299, 299],
    "extract.backbone.cut": "mixed8", "extract.backbone.weights": str(WEIGHTS / "inception_v3_notop_partial.h5"),
}
MOBILENET = {
    "extract.backbone.name": "MobileNetV2", "extract.backbone.alpha": 1.0, "extract.backbone.image_size": [224, 224],
    "extract.backbone.cut": "block_12_add",
    "extract.backbone.weights": str(WEIGHTS / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
}


def lay_out(source: Path, folder: Path, per_class: int, turns: tuple[str, ...]) -> None:
    """Copy SOURCE/CLASS/* to FOLDER/SPLIT/CLASS/*, the splits in turn as `turns` lists them."""
    for class_folder in sorted(path for path in source.iterdir() if path.is_dir()):
        for number, image in enumerate(sorted(class_folder.iterdir())[:per_class]):
            target = folder / turns[number % len(turns)] / class_folder.name / image.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, target)


def new_project(folder: Path, images: Path, **changes) -> Project:
    """A copy of the project whose splits.csv says what `lay_out` made."""
    project = Project(folder, **{"data.images": str(images), **changes})
    rows = [{"path": path.relative_to(images).as_posix(), "label": path.parent.name, "split": path.parts[-3],
             "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in sorted(images.glob("*/*/*"))]
    artifacts.write_table(folder / artifacts.SPLITS, pd.DataFrame(rows), artifacts.SPLIT_COLUMNS)
    return project


def run_stage(project: Project, stage: str, label: str | None = None) -> Timeline:
    return follow(["python", "-m", f"tasks.{stage}"], label or stage, project.folder, project.environment())


def answers(project: Project, images: Path, split: str) -> dict[str, str]:
    """What the exported bundle says of each image of a split: CLASS/NAME -> class."""
    run_stage(project, "export")
    classifier = Classifier(project.folder / artifacts.BUNDLE)
    paths = sorted((images / split).glob("*/*"))
    return {f"{path.parent.name}/{path.name}": said.label
            for path, said in zip(paths, classifier.predict_many(paths))}


def share_right(said: dict[str, str]) -> float:
    """Of answers CLASS/NAME -> class."""
    return sum(rights(said)) / len(said)


def rights(said: dict[str, str]) -> list[bool]:
    """Which of the answers CLASS/NAME -> class are right."""
    return [file.split("/")[0] == label for file, label in said.items()]
