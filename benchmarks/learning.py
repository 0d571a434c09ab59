"""Graft's training stages beside two recipes that pass every image through the network in each epoch.

    python -m benchmarks.learning [--epochs 2] [--sides classic careful recipe tuned graft]

InceptionV3 at 299 pixels. All sides train on the same photographs of cats and dogs: three fifths are train, one is val,
and the last is test, which no side sees before its final answers. Each runs in its own processes, start and imports
included. The answers to the test images are not part of the time; Graft's are those of the exported bundle.

Three sides are Graft: `graft` fits its head and trains nothing else, `tuned` then fine-tunes the blocks that the
recipe names, without trials, and `recipe` has the head, optimizer, rates and augmentation of the classic recipe, on two
views of each image. `--epochs` holds for each stage that trains in epochs. Photographs and weights: see
`benchmarks.inputs`.
"""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import inputs, learning_table, stages
from benchmarks.command import begin
from benchmarks.scratch import ROOT
from benchmarks.timeline import follow
from graft.errors import reported

SIDES = ("classic", "careful", "recipe", "tuned", "graft")
TURNS = ("train", "train", "train", "val", "test")


@dataclass
class Measured:
    """One side.

    Attributes:
        seconds: of each stage in order; "start" is the time before the first.
        epochs: stage -> seconds of each epoch except the first, which builds and compiles the model.
        answers: test image -> predicted class.
    """

    seconds: dict[str, float]
    epochs: dict[str, list[float]]
    answers: dict[str, str]

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def without_waits(self) -> float:
        """The total if every epoch were as fast as the fastest of its stage.

        At the end of some epochs TensorFlow waits up to 40 s for a sleeping thread of tf.data, with all cores idle
        (`IteratorResource` is destroyed while its `RootDataset` waits). Both recipes read through tf.data.
        """
        return self.total - sum(each - min(own) for own in self.epochs.values() for each in own)

    def epoch(self, stage: str) -> float:
        return statistics.median(self.epochs[stage]) if self.epochs[stage] else float("nan")


def measure(side: str, images: Path, folder: Path, epochs: int) -> Measured:
    changes = {
        "graft": {"finetune.epochs": 0},
        "tuned": {"finetune.epochs": epochs},
        "recipe": inputs.RECIPE | {"extract.views": 2, "transfer.epochs": epochs, "finetune.epochs": epochs},
    }
    if side in changes:
        return measure_graft(side, images, folder, inputs.inception() | changes[side])
    return measure_recipe(side, images, folder, epochs)


def measure_recipe(name: str, images: Path, folder: Path, epochs: int) -> Measured:
    answers, weights = folder / f"{name}.json", inputs.inception()["extract.backbone.weights"]
    command = ["python", "-m", f"benchmarks.{name}_recipe", images, weights, "--epochs", epochs, "--answers", answers]
    timeline = follow(command, name, ROOT)
    bounds = {stage: timeline.bounds(stage) for stage in ("transfer", "finetune")}
    seconds = {"start": bounds["transfer"][0]} | {stage: end - begin for stage, (begin, end) in bounds.items()}
    return Measured(seconds, {stage: timeline.epochs(stage) for stage in bounds}, json.loads(answers.read_text()))


def measure_graft(name: str, images: Path, folder: Path, changes: dict) -> Measured:
    project = stages.new_project(folder / name, images, **changes)
    timelines = {stage: stages.run_stage(project, stage) for stage in stages.STAGES}
    epochs = {stage: timelines[stage].epochs() for stage in ("transfer", "finetune")}
    return Measured({stage: timeline.seconds for stage, timeline in timelines.items()}, epochs,
                    stages.answers(project, images, "test"))


def warm_up(images: Path) -> None:
    """Read the files that all sides read, so the first side does not pay for a cold disk cache."""
    for path in images.glob("*/*/*"):
        path.read_bytes()
    follow(["python", "-c", "import benchmarks.classic_recipe, benchmarks.stages"], "warm-up", ROOT)


def main() -> None:
    options = begin(__doc__, epochs=2, sides=SIDES)
    with TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images"
        stages.lay_out(inputs.CATS_DOGS, images, 500, TURNS)
        warm_up(images)
        measured = {side: measure(side, images, folder, options.epochs) for side in options.sides}
    learning_table.print_sides(measured, options.epochs)
    if "graft" in measured:
        learning_table.print_figures(measured)


if __name__ == "__main__":
    with reported():
        main()
