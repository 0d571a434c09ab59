"""A copy of the project on a small set, through the whole flow once: what the end-to-end tests start from."""

import shutil
from pathlib import Path

from benchmarks.scratch import Project
from tasks.sample import write_digits

TINY = {
    "data.images": "data/tiny", "publish.name": "tiny", "gate.min_accuracy": 0.0, "gate.min_class_recall": 0.0,
    "extract.backbone.image_size": [32, 32], "extract.views": 1, "transfer.hidden_units": 16, "transfer.epochs": 2,
    "finetune.epochs": 1, "evaluate.bootstrap_draws": 100,
}


def make_tiny_project(folder: Path) -> Project:
    """Three digits, 40 images each. What the flow printed stands in `flow`."""
    project = Project(folder, **TINY)
    write_digits(project.folder / "data/all", size_px=32)
    for digit in "147":
        folder = project.folder / "data/tiny" / digit
        folder.mkdir(parents=True)
        for image in sorted((project.folder / "data/all" / digit).iterdir())[:40]:
            shutil.copy(image, folder)
    project.flow = project.run("python", "-m", "flows.training")
    return project
