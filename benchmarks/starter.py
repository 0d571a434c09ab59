"""The starter backbone beside random and ImageNet weights of the same network.

    python -m benchmarks.starter [WEIGHTS]

A linear head on frozen pooled features trains on one half of the images and is scored on the other: mean of 5 seeds,
each with its own random weights. Photographs and ImageNet weights: see `benchmarks.inputs`; missing ones are left out.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks import inputs
from benchmarks.markdown import print_head, print_row
from graft.errors import reported
from pipeline.training import weights
from starter.probe import random_scores, read_digits, read_folder, scores

IMAGENET = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def main(starter: Path) -> None:
    imagenet = inputs.WEIGHTS / IMAGENET
    sets = {"digits": read_digits()}
    sets |= {folder.name: read_folder(folder) for folder in (inputs.CLOTHING, inputs.CATS_DOGS) if folder.is_dir()}
    print("linear head on frozen features, accuracy in %, mean ± standard deviation of 5 seeds\n")
    print_head("images", "classes", "random", "starter", "ImageNet", "starter over random")
    for name, (images, labels) in sets.items():
        random, formula = random_scores(images, labels), scores(starter, images, labels)
        natural = scores(imagenet, images, labels) if imagenet.is_file() else None
        gain = 100 * (np.mean(formula) - np.mean(random))
        print_row(f"{len(images)} {name}", max(labels) + 1, *map(summary, (random, formula, natural)), f"{gain:+.1f}")


def summary(found: list[float] | None) -> str:
    return f"{100 * np.mean(found):.1f} ± {100 * np.std(found):.1f}" if found else "-"


if __name__ == "__main__":
    with reported():
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else weights.STARTER)
