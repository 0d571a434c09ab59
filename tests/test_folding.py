import keras
import numpy as np
import pytest
from keras import layers

from pipeline.training import backbones, folding
from pipeline.training.backbones import BACKBONES

SMALL = {"InceptionV3": (75, 75), "Xception": (71, 71)}


def drawn(network, seed=1):
    """Random statistics and scales in every BatchNormalization: as built, they are all zeros and ones."""
    random = np.random.default_rng(seed)
    for layer in network._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])


def count(network, kind):
    return sum(isinstance(layer, kind) for layer in network._flatten_layers())


@pytest.mark.parametrize("name", [
    "InceptionV3", "MobileNetV2", "EfficientNetB0", "ResNet50", "Xception", "ConvNeXtTiny"])
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


@pytest.mark.parametrize("name", ["InceptionV3", "MobileNetV2", "ResNet50"])
def test_folded_to_train_it_learns_what_the_network_would(name):
    size = SMALL.get(name, (64, 64))
    top = backbones.split(backbones.build(name, size, 0.35 if BACKBONES[name].alphas else None), BACKBONES[name].cut)[1]
    drawn(top)
    backbones.freeze_batch_normalization(top)
    folded = folding.fold_batch_normalization(top, trainable=True)
    assert count(folded, layers.BatchNormalization) == 0 < count(top, layers.BatchNormalization)
    random = np.random.default_rng(1)
    inputs, targets = random.uniform(size=(4, *top.input.shape[1:])), random.normal(size=(4, top.output.shape[-1]))
    before, changes = top.get_weights(), []
    for model in (top, folded):
        top.set_weights(before)
        model.compile(keras.optimizers.SGD(1e-2), "mse")
        model.train_on_batch(inputs, targets)
        changes.append([new - old for new, old in zip(top.get_weights(), before)])
    assert any(np.any(change) for change in changes[0])
    assert all(np.allclose(a, b, atol=1e-2 * np.abs(a).max() + 1e-8) for a, b in zip(*changes))
    assert np.allclose(np.asarray(folded(inputs)), np.asarray(top(inputs)), rtol=1e-3, atol=1e-4)


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


def test_a_depthwise_convolution_that_trains_in_bfloat16_is_rounded_once():
    """Its sums are float32's, to half of bfloat16's last place of eight bits; rounded kernels would be off by more."""
    def folded(policy):
        inputs = keras.Input((6, 6, 16), dtype=policy.removeprefix("mixed_"))
        convolved = layers.DepthwiseConv2D(3, use_bias=False, dtype=policy, name="depthwise")(inputs)
        network = keras.Model(inputs, layers.BatchNormalization(trainable=False, dtype=policy)(convolved))
        drawn(network)
        network.get_layer("depthwise").set_weights([np.random.default_rng(2).integers(-8, 9, (3, 3, 16, 1))])
        return folding.fold_batch_normalization(network, trainable=True)

    images = np.random.default_rng(1).integers(-8, 9, (2, 6, 6, 16)).astype(np.float32)
    expected = np.asarray(folded("float32")(images))
    found = keras.ops.convert_to_numpy(keras.ops.cast(folded("mixed_bfloat16")(images), "float32"))
    assert (np.abs(found - expected) <= np.abs(expected) * 2.0**-8).all()
