import keras
import numpy as np
import pytest
from keras import layers

from graft.training import backbones, folding
from graft.training.backbones import BACKBONES

SMALL = {"InceptionV3": (75, 75), "Xception": (71, 71)}


def drawn(network, seed=1):
    """Random statistics and scales in every BatchNormalization: as built, they are all zeros and ones."""
    random = np.random.default_rng(seed)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])


def count(network, kind):
    return sum(isinstance(layer, kind) for layer in network.layers)


@pytest.mark.parametrize("name", ["InceptionV3", "MobileNetV2", "EfficientNetB0", "ResNet50", "Xception"])
def test_the_folded_network_is_the_same_function(name):
    size = SMALL.get(name, (64, 64))
    network = backbones.build(name, size, 0.35 if BACKBONES[name].alphas else None)
    drawn(network)
    frozen, _ = backbones.split(network, BACKBONES[name].cut)
    images = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    before = [weight.copy() for weight in network.get_weights()]
    folded = folding.fold_batch_normalization(frozen)
    expected = np.asarray(frozen(images))
    assert np.allclose(np.asarray(folded(images)), expected, atol=2e-4 * np.abs(expected).max())
    assert count(folded, layers.BatchNormalization) == 0
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights()))     # nothing of it was touched


def test_what_something_else_reads_too_is_not_folded():
    inputs = keras.Input((4, 4, 3))
    convolved = layers.Conv2D(3, 1, use_bias=False)(inputs)
    network = keras.Model(inputs, layers.Add()([convolved, layers.BatchNormalization()(convolved)]))
    drawn(network)
    folded = folding.fold_batch_normalization(network)
    images = np.random.default_rng(1).normal(size=(2, 4, 4, 3))
    assert count(folded, layers.BatchNormalization) == 1
    assert np.allclose(np.asarray(folded(images)), np.asarray(network(images)), atol=1e-5)


def test_a_convolution_with_an_activation_is_not_folded():
    inputs = keras.Input((4, 4, 3))
    network = keras.Model(inputs, layers.BatchNormalization()(layers.Conv2D(3, 1, activation="relu")(inputs)))
    drawn(network)
    folded = folding.fold_batch_normalization(network)
    images = np.random.default_rng(1).normal(size=(2, 4, 4, 3))
    assert np.allclose(np.asarray(folded(images)), np.asarray(network(images)), atol=1e-5)
