"""All stages on real photographs: seconds per stage and test accuracy with its interval, one row per run.

    python -m benchmarks.photographs DATA WEIGHTS [--runs cats_dogs-MobileNetV2 cats_dogs-InceptionV3 …]

DATA holds cats_dogs/ and clothing/, each with a folder per class; WEIGHTS holds Keras's ImageNet weights.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import inputs
from benchmarks.command import begin
from benchmarks.markdown import print_head, print_row
from benchmarks.scratch import Project
from benchmarks.timeline import seconds_of
from graft.errors import reported

STAGES = ("validate", "split", "extract", "transfer", "choose", "finetune", "export", "evaluate")
PHOTOGRAPHS = {        # what the head of params.yaml advises for one's own photographs
    "split.test_share": 0.3,        # for a narrower interval
    "extract.backbone.cut": "auto",
}
RUNS = {               # images, network, further parameters
    "cats_dogs-MobileNetV2": ("cats_dogs", inputs.mobilenet, {}),
    "cats_dogs-InceptionV3": ("cats_dogs", inputs.inception, {"extract.views": 2}),
    "clothing-MobileNetV2": ("clothing", inputs.mobilenet, {}),
}


def run(name: str, data: Path, weights: Path, folder: Path) -> tuple[dict[str, float], dict]:
    """Run every stage. Returns the seconds of each and the accuracy of `evaluate`."""
    images, network, changes = RUNS[name]
    changes = {"data.images": str(data / images), **network(weights), **PHOTOGRAPHS, **changes}
    project = Project(folder, **changes)
    project.run("dvc", "repro", "--single-item", "code")
    seconds = {stage: seconds_of(lambda stage=stage: project.run("dvc", "repro", "--single-item", stage))
               for stage in STAGES}
    return seconds, json.loads((folder / "outputs/evaluate/metrics.json").read_text())["accuracy"]


def main() -> None:
    options = begin(__doc__, "data", "weights", runs=tuple(RUNS))
    print_head("run", *STAGES, "all, s", "test accuracy")
    for name in options.runs:
        with TemporaryDirectory() as folder:
            seconds, accuracy = run(name, options.data.resolve(), options.weights.resolve(), Path(folder))
        cells = [f"{each:.0f}" for each in (*seconds.values(), sum(seconds.values()))]
        print_row(name, *cells, "{value:.1%} ({low:.1%} to {high:.1%}), n = {images}".format(**accuracy))


if __name__ == "__main__":
    with reported():
        main()
