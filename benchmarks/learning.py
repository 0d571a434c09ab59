"""Graft's three stages of learning beside two recipes that pass every image through the network in every epoch.

    python -m benchmarks.learning [--epochs 2] [--views 2] [--images 500] [--sides seed careful graft]

InceptionV3 at 299, the same photographs of cats and dogs and the same split for all (four fifths train, one fifth
val), each side in processes of its own, start and imports counted. What scores val in the end is not: for Graft that is
`export` and the exported bundle in ONNX Runtime. The photographs come from GRAFT_REAL_DATA (default ../shared/data),
the weights from GRAFT_REAL_WEIGHTS (default ../shared/weights).
"""

import argparse
import json
import shutil
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import learning_table, machine, stages
from benchmarks.scratch import ROOT, Project
from benchmarks.timeline import Timeline, follow

SIDES = {"seed": "seed_recipe", "careful": "careful_recipe", "graft": "graft"}
TURNS = ("train", "train", "train", "train", "val")


@dataclass
class Measured:
    """One side.

    Attributes:
        seconds: of its stages in order, and of all that comes before the first ("start").
        epochs: stage -> seconds of each epoch but the first, which builds and compiles the model.
        answers: val image -> class.
        more: what is known of Graft alone.
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
        """The total if no epoch took longer than the fastest of its stage.

        At the end of some epochs, by chance, TensorFlow waits up to 40 s for a thread of tf.data that sleeps, and no
        core works (`IteratorResource` is destroyed, its `RootDataset` waits). Both recipes read through tf.data.
        """
        return self.total - sum(each - min(own) for own in self.epochs.values() for each in own)

    def epoch(self, stage: str) -> float:
        return statistics.median(self.epochs[stage]) if self.epochs[stage] else float("nan")


def measure_recipe(name: str, images: Path, folder: Path, epochs: int) -> Measured:
    answers = folder / f"{name}.json"
    weights = stages.INCEPTION["extract.backbone.weights"]
    command = ["python", "-m", f"benchmarks.{SIDES[name]}", images, weights, "--epochs", epochs, "--answers", answers]
    timeline = follow(command, name, ROOT)
    seconds = {"start": timeline.bounds("transfer")[0]}
    for stage in ("transfer", "finetune"):
        begin, end = timeline.bounds(stage)
        seconds[stage] = end - begin
    own = {stage: timeline.epochs(stage) for stage in ("transfer", "finetune")}
    return Measured(seconds, own, json.loads(answers.read_text()))


def measure_graft(images: Path, folder: Path, epochs: int, views: int) -> Measured:
    changes = {**stages.RECIPE, **stages.INCEPTION, "extract.views": views}
    changes |= {"transfer.epochs": epochs, "finetune.epochs": epochs}
    project = stages.new_project(folder / "graft", images, **changes)
    timelines = {stage: stages.run_stage(project, stage) for stage in stages.STAGES}
    answers = stages.answers(project, images, "val")
    more = json.loads(_last_line(_run(project, "python", "-m", "benchmarks.frozen_part")))
    more["start"] = _run(project, "python", "-c", "import pipeline.training, tensorflow").seconds
    more["images"] = {split: len(list((images / split).glob("*/*"))) for split in ("train", "val")}
    more["views"] = views
    more["uncached_epoch"] = uncached_epoch(project)
    seconds = {stage: timeline.seconds for stage, timeline in timelines.items()}
    own = {stage: timelines[stage].epochs() for stage in ("transfer", "finetune")}
    return Measured(seconds, own, answers, more)


def uncached_epoch(project: Project) -> float:
    """Seconds of finetune's second epoch where the budget allows no cache: the same code computes on the fly."""
    project.change({"extract.cache_gigabytes": 0.0, "finetune.epochs": 2})
    shutil.rmtree(project.folder / ".graft" / "activations")
    stages.run_stage(project, "extract", "extract, no cache")
    return statistics.median(stages.run_stage(project, "finetune", "finetune, no cache").epochs())


def _run(project: Project, *command: str) -> Timeline:
    return follow(list(command), "measurement", project.folder, project.environment())


def _last_line(timeline: Timeline) -> str:
    return timeline.lines[-1][1]


def warm_up(images: Path) -> None:
    """Read what all sides read from disk once, so that the first one does not pay for it."""
    for path in images.glob("*/*/*"):
        path.read_bytes()
    follow(["python", "-c", "import benchmarks.seed_recipe, benchmarks.stages"], "warm-up", ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=2, help="of each of the two stages")
    parser.add_argument("--views", type=int, default=2, help="augmented views that Graft keeps of each training image")
    parser.add_argument("--images", type=int, default=500, help="of each class")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    arguments = parser.parse_args()
    print(machine.facts(), flush=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images"
        stages.lay_out(stages.DATA / "cats_dogs", images, arguments.images, TURNS)
        warm_up(images)
        measured = {side: measure_graft(images, folder, arguments.epochs, arguments.views) if side == "graft"
                    else measure_recipe(side, images, folder, arguments.epochs) for side in arguments.sides}
    print(learning_table.sides(measured, arguments.epochs, arguments.views))
    if "graft" in measured:
        print(learning_table.figures(measured, arguments.epochs))
        print(learning_table.limits(measured["graft"]))


if __name__ == "__main__":
    main()
