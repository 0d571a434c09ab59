"""How much arithmetic a network does, and where: the unit in which `choose` counts its cost."""

import math

import keras

from pipeline.training import blocks
from pipeline.training.backbones import IMAGES


def share_above(network: keras.Model, cut: str) -> float:
    """The share of a network's multiplications that the layers above a cut do, 0 to 1.

    Args:
        network: from `pipeline.training.backbones.build`.
        cut: the name of a layer; see `pipeline.training.backbones.split`.
    """
    if cut == IMAGES:
        return 1.0
    last_frozen = blocks.cuts(network)[cut]
    place = network.operations.index(last_frozen)
    counts = [_multiplications(operation) for operation in network.operations]
    return sum(counts[place + 1 :]) / sum(counts)


def multiplications(network: keras.Model) -> int:
    """How many multiplications of kernels one image takes."""
    return sum(_multiplications(operation) for operation in network.operations)


def _multiplications(operation: keras.Operation) -> int:
    """Those of one image: each weight of a kernel is used once at every place of the output."""
    weights = getattr(operation, "weights", [])
    kernels = [math.prod(weight.shape) for weight in weights if weight.name.endswith("kernel")]
    return math.prod(operation.output.shape[1:-1]) * sum(kernels) if kernels else 0
