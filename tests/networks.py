"""Every backbone with random weights, small and built once for all tests of a process: to look at, not to change."""

from functools import cache

import keras

from pipeline.training.backbones import BACKBONES, build

LEAST_PX = {"InceptionV3": 96, "InceptionResNetV2": 96, "Xception": 96}


def size(name: str) -> tuple[int, int]:
    """A small image size, in pixels, at which no map of the network is empty."""
    return (LEAST_PX.get(name, 64),) * 2


@cache
def network(name: str) -> keras.Model:
    """A backbone of the least width, for images of `size`."""
    keras.utils.set_random_seed(1)
    return build(name, size(name), min(BACKBONES[name].alphas, default=None))
