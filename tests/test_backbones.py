import keras
import numpy as np
import pytest
from networks import network, size
from photographs import real_weights

from graft.errors import GraftError
from pipeline.training import backbones, heads
from pipeline.training.backbones import BACKBONES, build, freeze_batch_normalization, split
from pipeline.training.random_weights import scale_random_weights


def images(size, count=2):
    return np.random.default_rng(1).integers(0, 256, (count, *size, 3), dtype=np.uint8)


# One of each family of maps: test_blocks.py proves for every backbone that its cut leaves no path around it.
@pytest.mark.parametrize("name", {spec.module: name for name, spec in reversed(BACKBONES.items())
                                  if spec.module != "dinov2"}.values())
def test_frozen_part_and_top_are_the_network_cut_in_two(name):
    frozen, top = split(network(name), BACKBONES[name].cut)
    batch = images(size(name))
    whole = np.asarray(network(name)(batch)).mean(axis=(1, 2))
    assert np.allclose(np.asarray(top(frozen(batch))), whole, atol=1e-5 * np.abs(whole).max())
    assert 0 < top.count_params() < network(name).count_params()


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "EfficientNetV2B0", "EfficientNetV2S", "ResNet50",
                                  "ResNet50V2", "DenseNet121", "VGG16", "ConvNeXtTiny"])
def test_scaling_is_that_of_keras(name):
    """The first convolution's input against that of Keras's own network, which scales in part, on the same pixels."""
    batch, module = images(size(name)), getattr(keras.applications, BACKBONES[name].module)
    theirs = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(*size(name), 3))
    expected = at_first_convolution(theirs, module.preprocess_input(batch.astype(np.float32)))
    assert np.allclose(at_first_convolution(network(name), batch), expected, atol=1e-4)


def at_first_convolution(model, batch):
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D | keras.Sequential))
    return np.asarray(keras.Model(model.input, first.input)(batch))


def test_efficientnet_scales_as_keras_does_with_imagenet_weights():
    """Keras divides by the root of the deviation *after* its normalisation; here that is done before it."""
    mean, deviation = np.array(backbones.EFFICIENTNET_MEAN), np.array(backbones.EFFICIENTNET_STDDEV)
    network = build("EfficientNetB0", (64, 64))
    normalization = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    batch = images((64, 64))
    before = np.asarray(keras.Model(network.input, normalization.input)(batch))
    assert np.allclose((before - mean) / deviation, (batch / 255 - mean) / deviation / np.sqrt(deviation), atol=1e-4)


@pytest.mark.parametrize(("arguments", "parts"), [
    (("InceptionV4", (299, 299)), ["expected one of MobileNet, ", "Did you mean 'InceptionV3'?"]),
    (("MobileNetV2", (16, 16), 0.4), ["alpha: expected one of 0.35", "received 0.4", "32 pixels a side"]),
    (("ResNet50", (224, 224), 1.0), ["alpha", "expected null"]),
])
def test_a_backbone_that_does_not_exist_is_refused(arguments, parts):
    with pytest.raises(GraftError) as caught:
        build(*arguments)
    assert all(part in str(caught.value) for part in parts)


def test_a_cut_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(GraftError, match=r"^cut: .*'block_12_ad'.*Did you mean 'block_12_add'\?(.|\n)*block_14_add"):
        split(build("MobileNetV2", (32, 32), 0.35), "block_12_ad")


def test_frozen_batch_normalization_keeps_its_statistics_to_the_bit():
    """`base(x, training=False)` would not: see the docstring. The control shows that training does move them."""
    def moved(freeze: bool) -> int:
        keras.utils.set_random_seed(1)
        _, top = split(build("MobileNetV2", (32, 32), 0.35), "block_14_add")
        model = heads.trainable_model(top, heads.build_head(1280, 3, 0, 0))
        if freeze:
            freeze_batch_normalization(model)
        kept = [np.array(v) for v in model.variables if "moving" in v.path]
        model.compile("sgd", "categorical_crossentropy")
        inputs = np.random.default_rng(1).normal(size=(8, *top.input.shape[1:]))
        model.train_on_batch(inputs, np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]])
        now = [np.array(v) for v in model.variables if "moving" in v.path]
        assert len(kept) >= 8
        return sum(not np.array_equal(a, b) for a, b in zip(kept, now))

    assert moved(freeze=True) == 0
    assert moved(freeze=False) > 0


def test_the_signal_of_random_weights_keeps_its_size():
    keras.utils.set_random_seed(1)
    network = build("MobileNetV2", (64, 64), 0.35)
    before = np.asarray(network(images((64, 64), 8))).std()
    scale_random_weights(network, images((64, 64), 8))
    after = np.asarray(network(images((64, 64), 8))).std()
    assert before < 1e-6
    assert 0.05 < after < 20


def test_real_weights_give_the_features_of_keras():
    """ImageNet weights loaded into our build give Keras's own features."""
    file = real_weights("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5")
    ours = build("MobileNetV2", (96, 96), 0.35)
    ours.load_weights(file)
    theirs = keras.applications.MobileNetV2(alpha=0.35, include_top=False, weights=str(file), input_shape=(96, 96, 3))
    batch = images((96, 96))
    expected = np.asarray(theirs(keras.applications.mobilenet_v2.preprocess_input(batch.astype(np.float32))))
    assert np.allclose(np.asarray(ours(batch)), expected, atol=5e-5)
