"""The whole line on real photographs: seconds per stage and test accuracy with its interval, a row per run.

    python -m benchmarks.photographs DATA WEIGHTS [RUN …]

DATA is a folder with cats_dogs/ and clothing/ (a folder per class in each), WEIGHTS one with Keras's ImageNet weights.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.scratch import Project

STAGES = ("validate", "split", "extract", "transfer", "finetune", "export", "evaluate")
PHOTOGRAPHS = {        # what params.yaml says to change for one's own images, and the recipe's augmentation
    "extract.augmentation.rotation_degrees": 30, "extract.augmentation.shift": 0.2, "extract.augmentation.shear": 0.2,
    "extract.augmentation.zoom": 0.2, "extract.augmentation.horizontal_flip": True,
    "split.test_share": 0.3,        # an interval worth reading
    "finetune.optimizer": "sgd", "finetune.learning_rate": 1e-4, "finetune.epochs": 10,
}
MOBILENET = {
    "extract.backbone.name": "MobileNetV2", "extract.backbone.alpha": 1.0, "extract.backbone.image_size": [224, 224],
    "extract.backbone.cut": "block_12_add",
    "weights": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
}
INCEPTION = {
    "extract.backbone.name": "InceptionV3", "extract.backbone.alpha": None, "extract.backbone.image_size": [299, 299],
    "extract.backbone.cut": "mixed8", "transfer.hidden_units": 1024, "extract.views": 2,
    "weights": "inception_v3_notop_partial.h5",
}
RUNS = {
    "cats_dogs-MobileNetV2": ("cats_dogs", MOBILENET),
    "cats_dogs-InceptionV3": ("cats_dogs", INCEPTION),
    "clothing-MobileNetV2": ("clothing", MOBILENET),
}


def run(name: str, data: Path, weights: Path, folder: Path) -> dict:
    """Run every stage of one configuration; returns its seconds and its accuracy."""
    images, changes = RUNS[name]
    changes = {**PHOTOGRAPHS, **changes}
    changes["extract.backbone.weights"] = str(weights / changes.pop("weights"))
    project = Project(folder, **changes, **{"data.images": str(data / images)})
    seconds = {}
    for stage in STAGES:
        began = time.monotonic()
        project.run("dvc", "repro", "--single-item", stage)
        seconds[stage] = time.monotonic() - began
    metrics = json.loads((folder / "outputs/evaluate/metrics.json").read_text())
    return {"seconds": seconds, "accuracy": metrics["accuracy"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("runs", nargs="*", default=list(RUNS))
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| run | " + " | ".join(STAGES) + " | all, s | test accuracy |\n|---|" + "---:|" * (len(STAGES) + 1) + "---|")
    for name in arguments.runs:
        with TemporaryDirectory() as folder:
            result = run(name, arguments.data.resolve(), arguments.weights.resolve(), Path(folder))
        seconds, accuracy = result["seconds"], result["accuracy"]
        cells = [f"{seconds[stage]:.0f}" for stage in STAGES] + [f"{sum(seconds.values()):.0f}"]
        said = "{value:.1%} ({low:.1%} to {high:.1%}), n = {images}".format(**accuracy)
        print(f"| {name} | " + " | ".join(cells) + f" | {said} |", flush=True)


if __name__ == "__main__":
    main()
