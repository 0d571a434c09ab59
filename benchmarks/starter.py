"""What the starter backbone is worth beside random and ImageNet weights of the same network.

    python -m benchmarks.starter [WEIGHTS]

A linear head on frozen pooled features, trained on one half of the images and scored on the other, mean of 5 seeds;
for random weights each seed draws another network, too. The photographs come from GRAFT_REAL_DATA (default
../shared/data), the ImageNet weights from GRAFT_REAL_WEIGHTS (default ../shared/weights); what is missing is left out.
"""

import os
import sys
from pathlib import Path

import numpy as np

from pipeline.training import weights
from starter.probe import linear_accuracy, pooled_features, read_digits, read_folder, trained, untrained

SEEDS = range(5)
IMAGENET = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def main(starter: Path) -> None:
    data = Path(os.environ.get("GRAFT_REAL_DATA", "../shared/data"))
    imagenet = Path(os.environ.get("GRAFT_REAL_WEIGHTS", "../shared/weights")) / IMAGENET
    sets = {"digits": read_digits()}
    sets |= {name: read_folder(data / name) for name in ("clothing", "cats_dogs") if (data / name).is_dir()}
    print("linear head on frozen features, accuracy in %, mean ± standard deviation of 5 seeds")
    print("| images | classes | random | starter | ImageNet | starter over random |\n" + "|---" * 6 + "|", flush=True)
    for name, (images, labels) in sets.items():
        random = [linear_accuracy(pooled_features(untrained(images, seed), images), labels, seed) for seed in SEEDS]
        formula = accuracies(starter, images, labels)
        natural = accuracies(imagenet, images, labels) if imagenet.is_file() else None
        gain = 100 * (np.mean(formula) - np.mean(random))
        cells = [f"{len(images)} {name}", str(max(labels) + 1), *map(shown, (random, formula, natural)), f"{gain:+.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def accuracies(file: Path, images: np.ndarray, labels: np.ndarray) -> list[float]:
    features = pooled_features(trained(file), images)
    return [linear_accuracy(features, labels, seed) for seed in SEEDS]


def shown(scores: list[float] | None) -> str:
    return f"{100 * np.mean(scores):.1f} ± {100 * np.std(scores):.1f}" if scores else "-"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else weights.STARTER)
