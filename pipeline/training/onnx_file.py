"""Write a Keras model as an ONNX file whose bytes depend only on the model."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
import onnx

from pipeline.training.exportable import exportable


def write_onnx(model: keras.Model, path: Path) -> None:
    """Write a model in float32 with the input `images` and the outputs `logits` and `features`.

    tf2onnx names values by a counter and merges equal constants in the order of their memory addresses, so that two
    exports of one model differ. The export is therefore brought into a canonical form.

    Args:
        model: from `heads.whole_model`.
    """
    model = exportable(model)
    model.predict_on_batch(np.zeros((1, *model.inputs[0].shape[1:]), np.uint8))
    with TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)      # from tf2onnx, about a name in NumPy
            model.export(raw, format="onnx", verbose=False)
        exported = onnx.load(raw)
    canonical = canonicalise(exported, ["images"], ["logits", "features"])
    onnx.checker.check_model(canonical)
    path.write_bytes(canonical.SerializeToString(deterministic=True))


def canonicalise(model: onnx.ModelProto, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    """Rename every value and node by its position, sort the initializers, and drop metadata.

    Args:
        model: changed in place.
        inputs: new names of the graph's inputs, in their order.
        outputs: new names of the graph's outputs, which their own names begin with.

    Returns:
        `model`.
    """
    graph = model.graph
    _drop_idle_reshapes(model)
    names = dict(zip([each.name for each in graph.input], inputs))
    names |= {_output(graph, wanted): wanted for wanted in outputs}
    for place, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{place}"
        for slot, value in enumerate(node.output):
            if value:
                names.setdefault(value, f"value_{place}_{slot}")
    for node in graph.node:
        for value in node.input:
            if value:
                names.setdefault(value, f"constant_{len(names)}")
    used = {value for node in graph.node for value in node.input}
    kept = sorted((each for each in graph.initializer if each.name in used), key=lambda each: names[each.name])
    del graph.initializer[:], graph.value_info[:], model.metadata_props[:]
    graph.initializer.extend(kept)
    _rename(graph, names)
    graph.name, graph.doc_string, model.doc_string = "classifier", "", ""
    return model


def _drop_idle_reshapes(model: onnx.ModelProto) -> None:
    """Remove each Reshape to the shape that its input already has: tf2onnx leaves some, and others in each process.

    They occur where a map is one pixel in size, so that a transposition moves nothing.
    """
    graph, inferred = model.graph, onnx.shape_inference.infer_shapes(model).graph
    shapes = {each.name: [size.dim_value for size in each.type.tensor_type.shape.dim] for each in inferred.value_info}
    numbers = [each for each in graph.initializer if each.data_type == onnx.TensorProto.INT64]
    wanted = {each.name: onnx.numpy_helper.to_array(each).tolist() for each in numbers}
    source = {}         # the output of a dropped Reshape -> its input
    for node in list(graph.node):
        node.input[:] = [source.get(value, value) for value in node.input]
        if node.op_type == "Reshape" and _is_idle(shapes.get(node.input[0]), wanted.get(node.input[1])):
            source[node.output[0]] = node.input[0]
            graph.node.remove(node)


def _is_idle(shape: list[int] | None, wanted: list[int] | None) -> bool:
    """Whether a reshape changes nothing; the batch size is 0 (unknown) in `shape`, and -1 in `wanted`."""
    return shape is not None and wanted == [-1 if size == 0 else size for size in shape] and wanted.count(-1) == 1


def _output(graph: onnx.GraphProto, wanted: str) -> str:
    """The graph's own name of an output: its key in Keras, with or without a suffix."""
    return next(each.name for each in graph.output if each.name.split(":")[0].split("/")[-1].startswith(wanted))


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(value, value) for value in node.input]
        node.output[:] = [names.get(value, value) for value in node.output]
    for value in [*graph.input, *graph.output, *graph.initializer]:
        value.name = names.get(value.name, value.name)
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    ordered = sorted(graph.output, key=lambda each: each.name, reverse=True)     # logits, features
    del graph.output[:]
    graph.output.extend(ordered)
