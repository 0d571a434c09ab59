"""Stage `evaluate`: the starter beside random weights, scored by a linear head on features of the handwritten digits.

`benchmarks/starter.py` adds photographs and ImageNet weights, which are not part of this repository.
"""

import json
from pathlib import Path

import numpy as np

from graft.errors import reported
from starter.probe import random_scores, read_digits, scores

WEIGHTS, METRICS = Path("pipeline/training/starter.weights.h5"), Path("starter/digits.json")


def main() -> None:
    digits = read_digits()
    found = {"starter": scores(WEIGHTS, *digits), "random": random_scores(*digits)}
    metrics = {name: round(float(np.mean(each)), 4) for name, each in found.items()}
    METRICS.write_text(json.dumps(metrics, indent=2) + "\n")


if __name__ == "__main__":
    with reported():
        main()
