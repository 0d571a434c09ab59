"""Where a network can be cut in two, found from its graph."""

import math
from collections import Counter
from itertools import groupby

import keras
from keras import layers
from keras.src.utils.naming import to_snake_case

from pipeline.training.folding import CONVOLUTIONS

MOST_ENDS = 20


def cuts(network: keras.Model) -> dict[str, keras.Operation]:
    """The layers that every path from images to features passes through: name -> layer, from first to last.

    An operation that joins branches without being a layer, such as ConvNeXt's `+`, counts as one. Keras numbers some
    layers itself (`add_3`) and keeps counting from one model to the next. The names here are those in a process that
    has built no other model.
    """
    nodes = {id(node.operation): node for depth in network._nodes_by_depth.values() for node in depth}
    consumers = Counter(id(tensor) for node in nodes.values() for tensor in node.input_tensors)
    found, open_ends = {}, Counter()        # open_ends: tensor -> how many operations have yet to read it
    for operation, name in zip(network.operations, _names(network.operations)):
        open_ends.subtract(id(tensor) for tensor in nodes[id(operation)].input_tensors)
        outputs = [id(tensor) for tensor in nodes[id(operation)].output_tensors]    # in this network, not another
        open_ends.update({output: consumers[output] for output in outputs})
        is_last = operation is network.operations[-1]
        is_layer = isinstance(operation, layers.Layer) and not isinstance(operation, layers.InputLayer)
        is_alone = is_last or [key for key, count in open_ends.items() if count] == outputs
        if is_alone and (is_layer or _joins(operation)):
            found[name] = operation
    return found


def block_ends(network: keras.Model) -> list[str]:
    """The cuts that a person would choose, as names in `cuts`, from first to last: where a block of layers ends.

    A block ends where branches meet, and wherever the activations are no larger than those of the convolutions before
    and after; each block of a transformer is one layer. The last end is the network's output.

    Returns:
        At most about `MOST_ENDS` names. Of more blocks, these are the first and the last at each size of the maps, and
        some between them at equal distances.
    """
    candidates = cuts(network)
    ends = [name for chain in _chains(network, candidates) for name in _smallest(chain)]
    if ends[-1:] != list(candidates)[-1:]:
        ends.append(list(candidates)[-1])
    if len(ends) <= MOST_ENDS:
        return ends
    by_size = [list(group) for _, group in groupby(ends, key=lambda name: candidates[name].output.shape[1:3])]
    return [name for group in by_size for name in _spread(group, round(MOST_ENDS * len(group) / len(ends)))]


def _chains(network: keras.Model, candidates: dict[str, keras.Operation]) -> list[list[tuple[str, int]]]:
    """The cuts in chains that begin where branches meet: one for each convolution, with the size of its activations.

    What follows a convolution up to the next one, such as its activation and its pooling, belongs to it; the name is
    that of the last of these layers. The network's input comes first, without a name.
    """
    chains = [[("", math.prod(network.input.shape[1:]))]]
    for name, operation in candidates.items():
        end = (name, math.prod(operation.output.shape[1:]))
        if _joins(operation):
            chains.append([end])
        elif isinstance(operation, CONVOLUTIONS) or getattr(operation, "_layers", None):     # one of layers
            chains[-1].append(end)
        else:
            chains[-1][-1] = (chains[-1][-1][0] and name, end[1])
    return chains


def _smallest(chain: list[tuple[str, int]]) -> list[str]:
    """The names whose activations are no larger than those before and after."""
    sizes = [math.inf, *(size for _, size in chain), math.inf]
    return [name for (name, size), before, after in zip(chain, sizes, sizes[2:]) if name and size <= min(before, after)]


def _spread(names: list[str], count: int) -> list[str]:
    """The first, the last, and others at equal distances: `count` of them, but at least two."""
    step = max(1, (len(names) - 1) / max(1, count - 1))
    return [names[round(place * step)] for place in range(int((len(names) - 1) / step + 1.5))]


def _joins(operation: keras.Operation) -> bool:
    """Whether branches meet here. A product does not count: it scales the channels within a block."""
    return isinstance(operation.input, list) and len(operation.input) > 1 and not isinstance(operation, layers.Multiply)


def _names(operations) -> list[str]:
    """Layer names, with the layers that Keras numbers itself counted from the start of this network."""
    counts, names = Counter(), []
    for operation in operations:
        stem, _, number = operation.name.rpartition("_")
        kind = to_snake_case(type(operation).__name__)
        if kind in (operation.name, stem if number.isdigit() else None):
            names.append(f"{kind}_{counts[kind]}" if counts[kind] else kind)
            counts[kind] += 1
        else:
            names.append(operation.name)
    return names
