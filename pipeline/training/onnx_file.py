"""Write a Keras model as an ONNX file whose bytes depend only on the model."""

from pathlib import Path

import keras
import onnx
from onnx import TensorProto, helper

from pipeline.training.onnx_layers import TO_CHANNELS, TO_ROWS, Graph, translate

OPSET, IR_VERSION = 17, 8       # the least that have every node: old runtimes read them, too


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write a model in float32 with the input `images` and the outputs `logits` and `features`.

    Args:
        model: from `heads.whole_model` or `heads.probe`, or another one from uint8 `(batch, height, width, 3)` to a
            dict of `logits` and `features`.
    """
    graph = Graph()
    values = translate(graph, model, _images(graph))
    path.write_bytes(_serialized(graph, model, {
        name: (values[name], TensorProto.FLOAT, model.output[name].shape[1:]) for name in ("logits", "features")}))


def frozen_onnx(model: keras.Model, limit: float) -> bytes:
    """A model without a head as ONNX, from `images` to float16 `activations` in Keras's order, within ± `limit`.

    Args:
        model: from uint8 `(batch, height, width, 3)` to maps, tokens or vectors.
    """
    graph = Graph()
    value, shape = translate(graph, model, _images(graph)), model.output.shape[1:]
    if len(shape) == 3:
        value = graph.add("Transpose", value, perm=TO_ROWS)
    value = graph.add("Cast", graph.add("Clip", value, -limit, limit), to=TensorProto.FLOAT16)
    return _serialized(graph, model, {"activations": (value, TensorProto.FLOAT16, shape)})


def _images(graph: Graph) -> str:
    return graph.add("Transpose", graph.add("Cast", "images", to=TensorProto.FLOAT), perm=TO_CHANNELS)


def _serialized(graph: Graph, model: keras.Model, outputs: dict[str, tuple]) -> bytes:
    """A graph that begins with `_images`; `outputs` are name -> value, type and the shape of a row."""
    for name, (value, _, _) in outputs.items():
        graph.nodes.append(helper.make_node("Identity", [value], [name], name))
    described = helper.make_graph(
        graph.nodes, "classifier",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *model.inputs[0].shape[1:]])],
        [helper.make_tensor_value_info(name, dtype, ["batch", *shape]) for name, (_, dtype, shape) in outputs.items()],
        graph.constants)
    written = helper.make_model(described, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(written)
    return written.SerializeToString(deterministic=True)
