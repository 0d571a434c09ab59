"""Save a model's weights on a disk that may be full."""

import math
from pathlib import Path

import keras

from graft.machine.files import unfinished

NUMBER_BYTES = 4
NAMES_BYTES = 2_000_000     # more than HDF5 takes for the names of a large network's layers


def save_weights(model: keras.Model, path: Path) -> None:
    """Write a model's weights, and its optimizer's state, in Keras's format.

    The room for them is tried first: on a full disk, HDF5 ends the process with a segmentation fault.

    Raises:
        OSError: if the disk does not take them.
    """
    optimizer = getattr(model, "optimizer", None)       # a model that was never compiled lacks even the attribute
    variables = [*model.variables, *(optimizer.variables if optimizer else ())]
    size_bytes = NUMBER_BYTES * sum(math.prod(each.shape) for each in variables) + NAMES_BYTES
    try:
        with unfinished(path.parent) as file:
            file.write_bytes(bytes(size_bytes))
    except OSError as error:
        error.filename = str(path)
        raise
    model.save_weights(path)
