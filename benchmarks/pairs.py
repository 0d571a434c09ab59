"""Two ways to train, compared on the same test images.

MobileNetV2 1.0 at 224 pixels on photographs of cats and dogs: four tenths for train, one for val, five for test, which
no stage sees. Both ways of a seed share weights, order and views, so their answers pair up; a seed sets the views, the
head's initial weights and the order. `--epochs` holds for each of the two stages, `--images` for each class.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import inputs, stages
from benchmarks.markdown import print_head, print_row
from benchmarks.scratch import Project

OPTIONS = {"epochs": 10, "seeds": 3, "images": 500}
TURNS = ("train", "test", "train", "test", "val", "test", "train", "test", "train", "test")


def compare(ours: tuple[str, dict], theirs: tuple[str, dict], options: argparse.Namespace) -> None:
    """Print a row per seed, and the mean difference with its interval.

    Args:
        ours, theirs: a name and the parameters to change. `theirs` trains first, so `ours` reuses what they share.
        options: values of OPTIONS.
    """
    print_head("seed", ours[0], theirs[0], "difference, points")
    epochs = {"transfer.epochs": options.epochs, "finetune.epochs": options.epochs}
    with TemporaryDirectory() as name:
        images = Path(name, "images")
        stages.lay_out(inputs.CATS_DOGS, images, options.images, TURNS)
        project = stages.new_project(Path(name, "project"), images, **inputs.RECIPE, **inputs.mobilenet(), **epochs)
        rows = [_row(project, images, seed, ours, theirs) for seed in range(1, options.seeds + 1)]
    by_image = np.mean(rows, axis=0)            # the images are independent trials, the seeds of one image are not
    error = 1.96 * by_image.std(ddof=1) / np.sqrt(len(by_image))
    print_row("mean", "", "", f"{100 * by_image.mean():+.2f} ± {100 * error:.2f} (95 %, {len(by_image)} test images)")


def _row(project: Project, images: Path, seed: int, ours: tuple[str, dict], theirs: tuple[str, dict]) -> np.ndarray:
    """The difference ours - theirs for each test image: -1, 0 or 1."""
    project.change({f"{stage}.seed": seed for stage in stages.STAGES if stage != "choose"})
    their, our = (are_right(project, images, *way) for way in (theirs, ours))
    print_row(seed, f"{our.mean():.1%}", f"{their.mean():.1%}", f"{100 * (our.mean() - their.mean()):+.2f}")
    return our.astype(int) - their


def are_right(project: Project, images: Path, name: str, changes: dict) -> np.ndarray:
    """bool `(test images,)`: whether the trained model's answer is right."""
    project.change(changes)
    for stage in stages.STAGES:
        stages.run_stage(project, stage, f"{name}, {stage}")
    return np.array(stages.are_right(stages.answers(project, images, "test")))
