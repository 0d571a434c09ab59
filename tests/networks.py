"""Every backbone with random weights, small and built once for all tests of a process: to look at, not to change."""

from functools import cache

import keras
import pytest

from pipeline.training.backbones import BACKBONES, build

SIDES_PX = {"InceptionV3": 96, "InceptionResNetV2": 96, "Xception": 96, "DINOv2Small": 56, "DINOv2Base": 56}


def size(name: str) -> tuple[int, int]:
    """A small image size, in pixels, at which no map of the network is empty."""
    return (SIDES_PX.get(name, 64),) * 2


@cache
def network(name: str) -> keras.Model:
    """A backbone of the least width, for images of `size`."""
    if name.startswith("DINOv2"):
        pytest.importorskip("keras_hub", reason="KerasHub is not installed: run `make setup`")
    keras.utils.set_random_seed(1)
    return build(name, size(name), min(BACKBONES[name].alphas, default=None))
