"""The ONNX nodes of each kind of layer that a backbone or a head has.

A map is `(batch, rows, columns, channels)` in Keras and `(batch, channels, rows, columns)` in ONNX.
"""

import keras
import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from pipeline.training import onnx_tokens
from pipeline.training.folding import fold_weights, normalization_after, scale_and_shift

PADDING = {"same": "SAME_UPPER", "valid": "VALID"}
TO_ROWS, TO_CHANNELS = [0, 2, 3, 1], [0, 3, 1, 2]       # of a map: the order of Keras, of ONNX


class Padded(str):
    """A value with zeros around its maps, which a convolution adds itself: runtimes then take a quarter less time."""

    def __new__(cls, value: str, pads: list[int]):
        """`pads` are the rows above, the columns to the left, the rows below and the columns to the right."""
        padded = super().__new__(cls, value)
        padded.pads = pads
        return padded


class Graph:
    """Nodes and constants that are named by their position; a value is a string, the name of a node's output."""

    def __init__(self):
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, *inputs, **attributes) -> str:
        """Append a node, for which numbers and arrays become constants. Returns the name of its output."""
        names = [self._name(each) for each in inputs]
        output = f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], f"{kind}_{len(self.nodes)}", **attributes))
        return output

    def _name(self, value) -> str:
        if isinstance(value, Padded):
            top, left, bottom, right = value.pads
            return self.add("Pad", str(value), np.array([0, 0, top, left, 0, 0, bottom, right]))
        return value if isinstance(value, str) else self._constant(np.asarray(value))

    def _constant(self, array: np.ndarray) -> str:
        name, dtype = f"constant_{len(self.constants)}", np.float32 if array.dtype.kind == "f" else np.int64
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))
        return name


def translate(graph: Graph, model: keras.Model, *values: str):
    """Append the nodes of a model, with its frozen BatchNormalization folded into the convolution before it.

    Args:
        values: its inputs.

    Returns:
        Its outputs, in the structure that they have in Keras.

    Raises:
        NotImplementedError: for a kind of layer that no backbone and no head has.
    """
    model = getattr(model, "_functional", model)        # of a Sequential
    after = normalization_after(model)
    folded_away = {id(each) for each in after.values()}

    def translated(operation):
        def call(*inputs, **_):
            if id(operation) in folded_away:
                return inputs[0]
            if isinstance(operation, keras.Model):
                return translate(graph, operation, *inputs)
            weights = fold_weights(operation, after[id(operation)]) if id(operation) in after else None
            return _nodes(graph, operation, weights, *inputs)
        return call

    return model._run_through_graph(list(values), operation_fn=translated)


def _nodes(graph: Graph, operation, folded: list[np.ndarray] | None, *inputs):
    kind = type(operation).__name__
    if kind not in KINDS:
        raise NotImplementedError(f"{operation.name}: there are no ONNX nodes for the kind {kind}")
    if folded is None:
        folded = operation.get_weights() if isinstance(operation, keras.Layer) else []
    value = KINDS[kind](graph, operation, folded, *inputs)
    activation = getattr(operation, "activation", keras.activations.linear)
    return ACTIVATIONS[activation.__name__](graph, value)


def _rank(operation) -> int:
    return len(operation.output.shape)


def _by_channel(operation, values) -> np.ndarray:
    """A number, or one for each channel of the operation's output."""
    values = np.ravel(values)
    return values.reshape(-1, 1, 1) if len(values) > 1 and _rank(operation) == 4 else values


def _convolve(graph: Graph, layer, kernel: np.ndarray, bias: list, groups: int, value: str) -> str:
    """`kernel` is `(rows, columns, input channels of a group, output channels)`."""
    around = {"auto_pad": PADDING[layer.padding]}
    if isinstance(value, Padded) and layer.padding == "valid":
        value, around = str(value), {"pads": value.pads}
    return graph.add("Conv", value, kernel.transpose(3, 2, 0, 1), *bias, group=groups, strides=layer.strides,
                     dilations=layer.dilation_rate, **around)


def _conv2d(graph, layer, weights, value):
    kernel, *bias = weights
    return _convolve(graph, layer, kernel, bias, layer.groups, value)


def _depthwise(graph, layer, weights, value):
    kernel, *bias = weights                 # (rows, columns, input channels, multiplier)
    return _convolve(graph, layer, kernel.reshape(*kernel.shape[:2], 1, -1), bias, kernel.shape[2], value)


def _separable(graph, layer, weights, value):
    kernel, point, *bias = weights
    return graph.add("Conv", _depthwise(graph, layer, [kernel], value), point.transpose(3, 2, 0, 1), *bias)


def _dense(graph, layer, weights, value):
    kernel, bias = weights
    if _rank(layer) == 4:                   # of each pixel of a map
        return graph.add("Conv", value, kernel.T[:, :, None, None], bias)
    return graph.add("Gemm", value, kernel, bias)


def _affine(graph, operation, scale, shift, value):
    return graph.add("Add", graph.add("Mul", value, _by_channel(operation, scale)), _by_channel(operation, shift))


def _batch_normalization(graph, layer, weights, value):
    return _affine(graph, layer, *scale_and_shift(layer), value)


def _rescaling(graph, layer, weights, value):
    return _affine(graph, layer, np.float64(layer.scale), np.float64(layer.offset), value)


def _normalization(graph, layer, weights, value):
    mean, variance = (keras.ops.convert_to_numpy(each).astype(float) for each in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    return _affine(graph, layer, 1 / deviation, -mean / deviation, value)


def _layer_normalization(graph, layer, weights, value):
    if _rank(layer) != 4:
        return graph.add("LayerNormalization", value, *weights, epsilon=layer.epsilon)
    rows = graph.add("LayerNormalization", graph.add("Transpose", value, perm=TO_ROWS), *weights, epsilon=layer.epsilon)
    return graph.add("Transpose", rows, perm=TO_CHANNELS)


def _relu(graph, layer, weights, value):
    if layer.max_value is None:
        return graph.add("Relu", value)
    return graph.add("Clip", value, 0.0, float(layer.max_value))


def _pool(kind: str):
    def add(graph, layer, weights, value):
        return graph.add(kind, value, kernel_shape=layer.pool_size, strides=layer.strides,
                         auto_pad=PADDING[layer.padding])
    return add


def _global_average(graph, layer, weights, value):
    value = graph.add("GlobalAveragePool", value)
    return value if layer.keepdims else graph.add("Flatten", value)


def _zero_padding(graph, layer, weights, value):
    (top, bottom), (left, right) = layer.padding
    return Padded(value, [top, left, bottom, right])


def _reshape(graph, layer, weights, value):
    """Only from and to maps of one pixel, whose order is the same."""
    *pixels, channels = layer.target_shape
    return graph.add("Reshape", value, np.array([-1, channels, *pixels]))


def _flatten(graph, layer, weights, value):
    return graph.add("Flatten", graph.add("Transpose", value, perm=TO_ROWS))


def _binary(kind: str):
    """Of two values, of a value and a number, or of a list of values."""
    def add(graph, operation, weights, first, second=None):
        values = first if isinstance(first, list) else [first, second]
        result, *others = (float(each) if isinstance(each, int) else each for each in values)
        for other in others:
            result = graph.add(kind, result, other)
        return result
    return add


def _reversed_channels(graph, operation, weights, value, key):
    if key != (Ellipsis, slice(None, None, -1)):
        raise NotImplementedError(f"{operation.name}: there are no ONNX nodes for the item {key}")
    return graph.add("Gather", value, np.arange(operation.output.shape[-1])[::-1], axis=1)


def _concatenate(graph, layer, weights, values):
    return graph.add("Concat", *values, axis=1)         # channels, or units


def _layer_scale(graph, layer, weights, value):
    return graph.add("Mul", value, _by_channel(layer, weights[0]))


def _scaled_sum(graph, layer, weights, values):
    return graph.add("Add", values[0], graph.add("Mul", values[1], layer.scale))


def _same(graph, layer, weights, value):
    return value


KINDS = {
    "Activation": _same, "Dropout": _same, "Conv2D": _conv2d, "DepthwiseConv2D": _depthwise, "Dense": _dense,
    "SeparableConv2D": _separable, "BatchNormalization": _batch_normalization, "Normalization": _normalization,
    "LayerNormalization": _layer_normalization, "LayerScale": _layer_scale, "Rescaling": _rescaling, "ReLU": _relu,
    "MaxPooling2D": _pool("MaxPool"), "AveragePooling2D": _pool("AveragePool"), "Reshape": _reshape,
    "GlobalAveragePooling2D": _global_average, "ZeroPadding2D": _zero_padding, "Flatten": _flatten,
    "Add": _binary("Add"), "Subtract": _binary("Sub"), "Multiply": _binary("Mul"), "TrueDivide": _binary("Div"),
    "Concatenate": _concatenate, "CustomScaleLayer": _scaled_sum, "GetItem": _reversed_channels,
    "DINOV2Embedding": onnx_tokens.embedding, "DINOV2Layer": onnx_tokens.block, "TokenPooling": onnx_tokens.pooling,
}
ACTIVATIONS = {
    "linear": lambda graph, value: value, "gelu": onnx_tokens.gelu,
    "relu": lambda graph, value: graph.add("Relu", value),
    "sigmoid": lambda graph, value: graph.add("Sigmoid", value),
    "silu": lambda graph, value: graph.add("Mul", value, graph.add("Sigmoid", value)),
    "hard_silu": lambda graph, value: graph.add("HardSwish", value),
}
