"""Stage `evaluate`: the starter beside random weights, by a linear head on the features of the handwritten digits.

`benchmarks/starter.py` adds photographs and ImageNet weights, which do not belong to this repository.
"""

import json
from pathlib import Path

import numpy as np

from graft.errors import reported
from starter.probe import linear_accuracy, pooled_features, read_digits, trained, untrained

WEIGHTS, METRICS = Path("pipeline/training/starter.weights.h5"), Path("starter/digits.json")
SEEDS = range(5)


def main() -> None:
    images, labels = read_digits()
    starter = pooled_features(trained(WEIGHTS), images)
    metrics = {
        "starter": np.mean([linear_accuracy(starter, labels, seed) for seed in SEEDS]),
        "random": np.mean([
            linear_accuracy(pooled_features(untrained(images, seed), images), labels, seed) for seed in SEEDS
        ]),
    }
    METRICS.write_text(json.dumps({name: round(float(value), 4) for name, value in metrics.items()}, indent=2) + "\n")


if __name__ == "__main__":
    with reported():
        main()
