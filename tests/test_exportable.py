"""Networks of each kind go through ONNX; the oracle is Keras with the network as it was."""

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers
from networks import network, size

from pipeline.training import blocks, heads, onnx_file
from pipeline.training.backbones import split
from pipeline.training.exportable import exportable

FAMILIES = ["MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "ResNet50", "DenseNet121", "ConvNeXtTiny"]


def first_blocks(name: str) -> keras.Model:
    """The network up to the end of its fourth block, cut in two after the second: all its kinds of layers are there."""
    ends = [blocks.cuts(network(name))[end].output for end in blocks.block_ends(network(name))[:4]]
    frozen, top = split(keras.Model(network(name).input, ends[3]), blocks.block_ends(network(name))[1])
    return heads.whole_model(frozen, top, heads.build_head(top.output.shape[-1], 3, 8, 0.2))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_file_says_what_keras_says(name, tmp_path, capfd):
    model = first_blocks(name)
    onnx_file.write_onnx(model, tmp_path / "model.onnx")
    images = np.random.default_rng(1).integers(0, 256, (2, *size(name), 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [each.name for each in session.get_inputs()] == ["images"]       # no constant has become an input
    expected = model.predict_on_batch(images)
    for output, found in zip(("logits", "features"), session.run(["logits", "features"], {"images": images})):
        assert np.allclose(found, expected[output], atol=1e-5 * np.abs(expected[output]).max())
    assert "Traceback" not in "".join(capfd.readouterr())
    kinds = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert kinds.count("Transpose") < len(kinds) / 10        # the optimization went through


def test_a_model_that_can_be_exported_is_left_alone():
    assert exportable(network("MobileNetV2")) is network("MobileNetV2")


@pytest.mark.parametrize("build", [
    lambda: layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[4.0, 1.0, 0.25, 0.0]),
    lambda: layers.Conv2D(4, 3, groups=4, strides=2, padding="same", activation="relu", bias_initializer="ones"),
    lambda: layers.Activation("gelu"),
    lambda: layers.Activation("hard_swish"),
    lambda: lambda inputs: inputs + 3.0,
])
def test_what_is_replaced_computes_the_same(build):
    inputs = keras.Input((6, 6, 4))
    inner = keras.Model(inputs, build()(inputs))
    model = keras.Model(inputs, inner(inputs))
    values = np.random.default_rng(1).normal(scale=3, size=(2, 6, 6, 4)).astype(np.float32)
    assert exportable(model) is not model
    assert np.allclose(np.asarray(exportable(model)(values)), np.asarray(model(values)), rtol=1e-5, atol=1e-5)
