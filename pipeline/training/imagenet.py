"""Make a bundle of a Keras network with its ImageNet weights and its own 1,000 classes.

    python -m pipeline.training.imagenet NETWORK FOLDER
"""

import sys
from collections import Counter
from pathlib import Path

import keras
import numpy as np
from keras import applications

from graft.errors import GraftError, did_you_mean, reported
from graft.model import bundle
from pipeline.training import backbones, onnx_file


def write_bundle(name: str, folder: Path) -> None:
    """Write the bundle of a network.

    Args:
        name: a key of `backbones.BACKBONES` that has ImageNet weights.
        folder: an existing folder, into which the bundle's files are written.

    Raises:
        GraftError: if there is no such network, or its weights or class names cannot be loaded.
    """
    known = [each for each, entry in backbones.BACKBONES.items() if entry.published == "imagenet"]
    if name not in known:
        raise GraftError(f"imagenet:{name}: expected one of {', '.join(known)}.{did_you_mean(name, known)}")
    image_size = backbones.BACKBONES[name].image_size
    try:
        network, names = build(name, image_size), class_names()
    except Exception as error:      # many kinds from the network library, and Keras's own bare Exception
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise GraftError(f"imagenet:{name}: its weights or class names are not in $KERAS_HOME/models (by default "
                         f"~/.keras/models), and Keras cannot download them: {reason}") from error
    onnx_file.write_onnx(network, folder / bundle.MODEL)
    bundle.write_description(folder, bundle.Description(
        class_names=names, image_size=list(image_size),
        backbone={"name": name, "weights": "imagenet", "licence": backbones.BACKBONES[name].licence, "cut": None},
    ))


def build(name: str, image_size: tuple[int, int]) -> keras.Model:
    """Build the network with its ImageNet weights.

    Args:
        name: a key of `backbones.BACKBONES`.
        image_size: `(height, width)` in pixels.

    Returns:
        A model from uint8 `(batch, height, width, 3)` RGB to `logits`, float32 `(batch, 1000)`, and `features`.
    """
    images = keras.Input((*image_size, 3), dtype="uint8", name="pixels")
    network = _network(name, weights=None, input_tensor=backbones.preprocess(name, images))
    network.set_weights(_network(name, weights="imagenet").get_weights())
    return with_features(network)


def with_features(network: keras.Model) -> keras.Model:
    """The network with two outputs by name: its own, `logits`, and what its last layer with weights reads, `features`.

    That layer is a convolution of a map of one pixel in MobileNet and MobileNetV3, and dense in the others.
    """
    classifier = next(layer for layer in reversed(network.layers) if layer.weights)
    features = classifier.input
    if len(features.shape) > 2:
        features = keras.layers.Flatten()(features)
    return keras.Model(network.input, {"logits": network.output, "features": features}, name="classifier")


def _network(name: str, **options) -> keras.Model:
    width = {"alpha": 1.0} if backbones.BACKBONES[name].alphas else {}
    return getattr(applications, name)(classifier_activation=None, **width, **options)


def class_names() -> list[str]:
    """ImageNet's class names in the order of the logits; two names occur twice and get their WordNet number."""
    entries = [best[:2] for (best,) in applications.imagenet_utils.decode_predictions(np.eye(1000), top=1)]
    counts = Counter(name for _, name in entries)
    return [(name if counts[name] == 1 else f"{name} ({number})").replace("_", " ") for number, name in entries]


if __name__ == "__main__":
    with reported():
        write_bundle(sys.argv[1], Path(sys.argv[2]))
