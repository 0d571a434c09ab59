"""Write a Keras model as an ONNX file whose bytes depend only on the model."""

from pathlib import Path

import keras
import onnx
from onnx import TensorProto, helper

from pipeline.training.onnx_layers import TO_CHANNELS, Graph, translate

OPSET, IR_VERSION = 17, 8       # the least that have every node: old runtimes read them, too


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write a model in float32 with the input `images` and the outputs `logits` and `features`.

    Args:
        model: from `heads.whole_model` or `heads.probe`, or another one from uint8 `(batch, height, width, 3)` to a
            dict of `logits` and `features`.
    """
    graph = Graph()
    images = graph.add("Transpose", graph.add("Cast", "images", to=TensorProto.FLOAT), perm=TO_CHANNELS)
    values = translate(graph, model, images)
    for name in ("logits", "features"):
        graph.nodes.append(helper.make_node("Identity", [values[name]], [name], name))
    described = helper.make_graph(
        graph.nodes, "classifier",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *model.inputs[0].shape[1:]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", model.output[name].shape[-1]])
         for name in ("logits", "features")], graph.constants)
    written = helper.make_model(described, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(written)
    path.write_bytes(written.SerializeToString(deterministic=True))
