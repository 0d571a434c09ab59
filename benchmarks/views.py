"""What it costs in accuracy to keep K views of each training image instead of drawing a new one in every epoch.

    python -m benchmarks.views [--views 4] [--epochs 10] [--seeds 3] [--images 500]

MobileNetV2 1.0 at 224 on photographs of cats and dogs: four tenths train, one val, five test, which no stage sees.
Live augmentation is as many views as epochs, so that no epoch of a stage sees a view again. Both arms of a seed share
its weights, order and first K views, hence the pairs. A seed sets the views, the head's first weights and the order.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import machine, stages
from benchmarks.scratch import Project

TURNS = ("train", "test", "train", "test", "val", "test", "train", "test", "train", "test")


def rights(project: Project, images: Path, views: int) -> np.ndarray:
    """bool `(test images,)`: which of them the model trained on so many views answers right."""
    project.change({"extract.views": views})
    for stage in stages.STAGES:
        stages.run_stage(project, stage, f"K = {views}, {stage}")
    answers = stages.answers(project, images, "test")
    return np.array([file.split("/")[0] == label for file, label in answers.items()])


def measure(project: Project, images: Path, views: int, epochs: int, seeds: int) -> np.ndarray:
    """Difference kept - live of each test image and seed, -1, 0 or 1, `(seeds, images)`; prints a row per seed."""
    rows = []
    for seed in range(1, seeds + 1):
        project.change({f"{stage}.seed": seed for stage in stages.STAGES})
        live = rights(project, images, epochs)          # first: its views hold those of the other arm, computed once
        kept = rights(project, images, views)
        rows.append(kept.astype(int) - live)
        print(f"| {seed} | {kept.mean():.1%} | {live.mean():.1%} | {100 * rows[-1].mean():+.2f} |", flush=True)
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=10, help="of each of the two stages")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=500, help="of each class")
    arguments = parser.parse_args()
    print(machine.facts())
    print(f"\n| seed | K = {arguments.views} | live | difference, points |\n|---|---:|---:|---:|", flush=True)
    changes = {**stages.RECIPE, **stages.MOBILENET}
    changes |= {"transfer.epochs": arguments.epochs, "finetune.epochs": arguments.epochs}
    with TemporaryDirectory() as name:
        images = Path(name, "images")
        stages.lay_out(stages.DATA / "cats_dogs", images, arguments.images, TURNS)
        project = stages.new_project(Path(name, "project"), images, **changes)
        differences = measure(project, images, arguments.views, arguments.epochs, arguments.seeds)
    by_image = differences.mean(axis=0)         # the seeds of one image are no independent trials, the images are
    error = 1.96 * by_image.std(ddof=1) / np.sqrt(len(by_image))
    print(f"| mean | | | {100 * by_image.mean():+.2f} ± {100 * error:.2f} (95 %, {len(by_image)} test images; "
          "at least -0.5 wanted) |")


if __name__ == "__main__":
    main()
