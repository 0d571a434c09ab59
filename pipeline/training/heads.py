"""The new classifier that is grafted onto a backbone, and the models made of both."""

import keras
from keras import layers

from pipeline.training import backbones, blocks


def build_head(units: int, classes: int, hidden_units: int, dropout: float) -> keras.Model:
    """Build a head from pooled features, float `(batch, units)`, to logits, float32 `(batch, classes)`.

    Args:
        units, classes: the sizes of its input and output.
        hidden_units: size of one hidden layer with ReLU; 0 for none.
        dropout: share of the last layer's inputs that training sets to zero, 0 to 1.
    """
    inputs = hidden = keras.Input((units,), name="features")
    if hidden_units:
        hidden = layers.Dense(hidden_units, activation="relu", name="hidden")(hidden)
    if dropout:
        hidden = layers.Dropout(dropout, name="dropout")(hidden)
    return keras.Model(inputs, layers.Dense(classes, dtype="float32", name="logits")(hidden), name="head")


def trainable_model(top: keras.Model, head: keras.Model) -> keras.Model:
    """Build the model from activations at the cut to logits: everything that trains, since the frozen part does not."""
    return keras.Model(top.input, head(top.output), name="trainable")


def probe(network: keras.Model, levels: list[str], head: keras.Model) -> keras.Model:
    """Build the model that is published if only the head was trained; see `whole_model`.

    Args:
        network: the backbone.
        levels: whose pooled outputs the head reads.
        head: see `build_head`.
    """
    images = keras.Input(network.input.shape[1:], dtype="uint8", name="images")
    read, features = (backbones.pooled(network, names).output for names in (levels, blocks.block_ends(network)[-1:]))
    read, features = keras.Model(network.input, [read, features], name="levels")(images)
    return keras.Model(images, {"logits": head(read), "features": features}, name="classifier")


def whole_model(frozen: keras.Model, top: keras.Model, head: keras.Model) -> keras.Model:
    """Build the model that is published, from uint8 `(batch, height, width, 3)` RGB images to logits and features.

    Returns:
        A model with the outputs `logits`, float32 `(batch, classes)`, and `features`, float32 `(batch, units)`.
    """
    images = keras.Input(frozen.input.shape[1:], dtype="uint8", name="images")
    features = top(frozen(images))
    return keras.Model(images, {"logits": head(features), "features": features}, name="classifier")
