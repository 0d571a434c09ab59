"""Graft's three training stages beside two recipes that pass every image through the network in each epoch.

    python -m benchmarks.learning [--epochs 2] [--views 2] [--images 500] [--sides classic careful graft]

InceptionV3 at 299 pixels. All sides train on the same photographs of cats and dogs with the same split, four fifths for
train and one for val, each in its own processes, start and imports included. The final scoring of val is not included:
for Graft it is `export` and the exported bundle in ONNX Runtime. `--epochs` holds for each of the two stages, `--views`
is the number of augmented views that Graft keeps of each training image, `--images` holds for each class. Photographs
and weights: see `benchmarks.inputs`.
"""

import json
import shutil
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import inputs, learning_table, stages
from benchmarks.command import begin
from benchmarks.scratch import ROOT, Project
from benchmarks.timeline import follow
from graft.errors import reported

SIDES = ("classic", "careful", "graft")
TURNS = ("train", "train", "train", "train", "val")


@dataclass
class Measured:
    """One side.

    Attributes:
        seconds: of each stage in order; "start" is the time before the first.
        epochs: stage -> seconds of each epoch except the first, which builds and compiles the model.
        answers: val image -> predicted class.
        more: figures of Graft alone.
    """

    seconds: dict[str, float]
    epochs: dict[str, list[float]]
    answers: dict[str, str]
    more: dict = field(default_factory=dict)

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


def measure_recipe(name: str, images: Path, folder: Path, epochs: int) -> Measured:
    answers, weights = folder / f"{name}.json", inputs.inception()["extract.backbone.weights"]
    command = ["python", "-m", f"benchmarks.{name}_recipe", images, weights, "--epochs", epochs, "--answers", answers]
    timeline = follow(command, name, ROOT)
    bounds = {stage: timeline.bounds(stage) for stage in ("transfer", "finetune")}
    seconds = {"start": bounds["transfer"][0]} | {stage: end - begin for stage, (begin, end) in bounds.items()}
    return Measured(seconds, {stage: timeline.epochs(stage) for stage in bounds}, json.loads(answers.read_text()))


def measure_graft(images: Path, folder: Path, epochs: int, views: int) -> Measured:
    changes = {**inputs.RECIPE, **inputs.inception(), "extract.views": views}
    changes |= {"transfer.epochs": epochs, "finetune.epochs": epochs}
    project = stages.new_project(folder / "graft", images, **changes)
    timelines = {stage: stages.run_stage(project, stage) for stage in stages.STAGES}
    answers = stages.answers(project, images, "val")
    rates = follow(["python", "-m", "benchmarks.frozen_part"], "extract alone", project.folder, project.environment())
    more = json.loads(rates.lines[-1][1])
    more["uncached_epoch"] = uncached_epoch(project)
    seconds = {stage: timeline.seconds for stage, timeline in timelines.items()}
    own = {stage: timelines[stage].epochs() for stage in ("transfer", "finetune")}
    return Measured(seconds, own, answers, more)


def uncached_epoch(project: Project) -> float:
    """Seconds of finetune's second epoch with `cache_gigabytes: 0`: the same code computes activations as needed."""
    project.change({"extract.cache_gigabytes": 0.0, "finetune.epochs": 2})
    shutil.rmtree(project.folder / ".graft" / "activations")
    stages.run_stage(project, "extract", "extract, no cache")
    return statistics.median(stages.run_stage(project, "finetune", "finetune, no cache").epochs())


def warm_up(images: Path) -> None:
    """Read the files that all sides read, so the first side does not pay for a cold disk cache."""
    for path in images.glob("*/*/*"):
        path.read_bytes()
    follow(["python", "-c", "import benchmarks.classic_recipe, benchmarks.stages"], "warm-up", ROOT)


def main() -> None:
    options = begin(__doc__, epochs=2, views=2, images=500, sides=SIDES)
    with TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images"
        stages.lay_out(inputs.CATS_DOGS, images, options.images, TURNS)
        warm_up(images)
        measured = {side: measure_graft(images, folder, options.epochs, options.views) if side == "graft"
                    else measure_recipe(side, images, folder, options.epochs) for side in options.sides}
    learning_table.print_sides(measured, options.epochs, options.views)
    if "graft" in measured:
        learning_table.print_figures(measured, options.epochs)


if __name__ == "__main__":
    with reported():
        main()
