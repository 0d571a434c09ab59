"""Two ways to train, side by side on the same photographs: how many test images each answers right.

MobileNetV2 1.0 at 224 on photographs of cats and dogs: four tenths train, one val, five test, which no stage sees. Both
ways of a seed share its weights, order and views, hence the pairs. A seed sets the views, the head's first weights
and the order.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import machine, stages
from benchmarks.scratch import Project

TURNS = ("train", "test", "train", "test", "val", "test", "train", "test", "train", "test")


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10, help="of each of the two stages")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=500, help="of each class")
    return parser


def compare(ours: tuple[str, dict], theirs: tuple[str, dict], options: argparse.Namespace) -> None:
    """Print a row per seed, and the mean difference with its interval.

    Args:
        ours, theirs: a name, and the parameters to change. `theirs` goes first: what it computes and `ours` needs as
            well is computed once.
        options: of `arguments`.
    """
    print(machine.facts())
    print(f"\n| seed | {ours[0]} | {theirs[0]} | difference, points |\n|---|---:|---:|---:|", flush=True)
    epochs = {"transfer.epochs": options.epochs, "finetune.epochs": options.epochs}
    with TemporaryDirectory() as name:
        images = Path(name, "images")
        stages.lay_out(stages.DATA / "cats_dogs", images, options.images, TURNS)
        project = stages.new_project(Path(name, "project"), images, **stages.RECIPE, **stages.MOBILENET, **epochs)
        rows = [_row(project, images, seed, ours, theirs) for seed in range(1, options.seeds + 1)]
    by_image = np.mean(rows, axis=0)            # the seeds of one image are no independent trials, the images are
    error = 1.96 * by_image.std(ddof=1) / np.sqrt(len(by_image))
    print(f"| mean | | | {100 * by_image.mean():+.2f} ± {100 * error:.2f} (95 %, {len(by_image)} test images) |")


def _row(project: Project, images: Path, seed: int, ours: tuple[str, dict], theirs: tuple[str, dict]) -> np.ndarray:
    """Difference ours - theirs of each test image, -1, 0 or 1."""
    project.change({f"{stage}.seed": seed for stage in stages.STAGES})
    their, our = (rights(project, images, *way) for way in (theirs, ours))
    print(f"| {seed} | {our.mean():.1%} | {their.mean():.1%} | {100 * (our.mean() - their.mean()):+.2f} |", flush=True)
    return our.astype(int) - their


def rights(project: Project, images: Path, name: str, changes: dict) -> np.ndarray:
    """bool `(test images,)`: which of them the model answers right."""
    project.change(changes)
    for stage in stages.STAGES:
        stages.run_stage(project, stage, f"{name}, {stage}")
    return np.array(stages.rights(stages.answers(project, images, "test")))
