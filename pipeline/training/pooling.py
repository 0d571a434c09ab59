"""From the output of a block to the features of an image."""

import keras
from keras import layers, ops


def pool(output: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    """Pool maps or tokens to float32 `(batch, units)`; see `units`.

    Args:
        output: float `(batch, rows, columns, channels)` or `(batch, tokens, channels)`, the first of the class.
        name: of the layer.
    """
    kind = layers.GlobalAveragePooling2D if len(output.shape) == 4 else TokenPooling
    return kind(name=name, dtype="float32")(output)


def units(output: keras.KerasTensor) -> int:
    """How many features `pool` makes of an output: one for each channel of maps, two for each channel of tokens."""
    return output.shape[-1] * (1 if len(output.shape) == 4 else 2)


class TokenPooling(layers.Layer):
    """The token of the class beside the mean of the patches' tokens: float `(batch, 2 * channels)`.

    Both are what the authors of DINOv2 fit a linear classifier to (dinov2/eval/linear.py of facebookresearch/dinov2).
    """

    def call(self, tokens):
        return ops.concatenate([tokens[:, 0], ops.mean(tokens[:, 1:], axis=1)], axis=-1)
