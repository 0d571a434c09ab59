"""Networks of each family as ONNX nodes; the oracle is Keras."""

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers
from networks import network, size

from pipeline.training import blocks, heads, onnx_file, onnx_layers
from pipeline.training.backbones import BACKBONES, split
from pipeline.training.imagenet import with_features

FAMILIES = {spec.module: name for name, spec in reversed(BACKBONES.items())}.values()


def first_blocks(name: str) -> keras.Model:
    """The network up to the end of its fourth block, cut in two after the second, with a head of two layers."""
    ends = [blocks.cuts(network(name))[end].output for end in blocks.block_ends(network(name))[:4]]
    frozen, top = split(keras.Model(network(name).input, ends[3]), blocks.block_ends(network(name))[1])
    return heads.whole_model(frozen, top, heads.build_head(top.output.shape[-1], 3, 8, 0.2))


def require_same(model: keras.Model, path) -> None:
    """Write a model and compare its outputs for random images with Keras's."""
    onnx_file.write_onnx(model, path)
    images = np.random.default_rng(1).integers(0, 256, (2, *model.inputs[0].shape[1:]), dtype=np.uint8)
    expected = model.predict_on_batch(images)
    found = onnxruntime.InferenceSession(path).run(["logits", "features"], {"images": images})
    for output, values in zip(("logits", "features"), found):
        assert np.allclose(values, expected[output], atol=1e-5 * np.abs(expected[output]).max())


@pytest.mark.parametrize("name", FAMILIES)
def test_the_file_says_what_keras_says(name, tmp_path):
    require_same(first_blocks(name), tmp_path / "model.onnx")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_kind_of_layer_of_the_whole_network_has_nodes(name):
    graph = onnx_layers.Graph()
    outputs = onnx_layers.translate(graph, network(name), "images")
    assert outputs == graph.nodes[-1].output[0] and len(graph.nodes) > 20
    assert size(name) == network(name).input.shape[1:3]


def test_maps_of_the_classifier_of_imagenet_are_flattened_in_the_order_of_keras(tmp_path):
    inputs = keras.Input((8, 12, 3), dtype="uint8")
    maps = layers.Conv2D(5, 3, strides=2, padding="same", activation="relu")(layers.Rescaling(1 / 255)(inputs))
    require_same(with_features(keras.Model(inputs, layers.Dense(4)(layers.Flatten()(maps)))), tmp_path / "vgg.onnx")
    pooled = layers.Conv2D(4, 1)(layers.Dropout(0.1)(layers.GlobalAveragePooling2D(keepdims=True)(maps)))
    network = keras.Model(inputs, layers.Flatten()(pooled))
    require_same(with_features(network), tmp_path / "mobilenet.onnx")


def test_a_kind_of_layer_that_no_backbone_has_is_refused():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Permute((2, 1, 3), name="turn")(inputs))
    with pytest.raises(NotImplementedError, match="turn: there are no ONNX nodes for the kind Permute"):
        onnx_layers.translate(onnx_layers.Graph(), model, "images")
