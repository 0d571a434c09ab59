"""Replace what tf2onnx cannot convert by layers that compute the same function."""

import math

import keras
import numpy as np
from keras import activations, layers, ops


def exportable(model: keras.Model) -> keras.Model:
    """Build a model that computes the same function as `model`, up to rounding, and that tf2onnx converts.

    Each of these fails there, though not in LiteRT's converter: the constants of a Normalization become inputs of the
    ONNX file; a depthwise convolution that is written as a grouped one calls a compiled function; GELU needs an
    operator that ONNX lacks; a single number that is added to a map stops an optimization and prints a traceback. A
    model with none of them is returned itself.
    """
    model = getattr(model, "_functional", model)        # of a Sequential
    if not any(map(_replacement, _operations(model))):
        return model

    def replaced(operation):
        if isinstance(operation, keras.Model):
            return exportable(operation)
        return _replacement(operation) or operation

    [read] = model.inputs
    inputs = keras.Input(read.shape[1:], dtype=read.dtype, name=read.name)
    return keras.Model(inputs, model._run_through_graph(inputs, operation_fn=replaced), name=model.name)


def _operations(model: keras.Model):
    for operation in model.operations:
        inner = getattr(operation, "_functional", operation)
        yield from _operations(inner) if isinstance(inner, keras.Model) else [operation]


def _replacement(operation):
    """What computes the same function as an operation; None if the operation can be converted."""
    if isinstance(operation, layers.Normalization):
        return _rescaling(operation)
    if isinstance(operation, layers.Conv2D) and operation.groups == operation.filters > 1:
        return _depthwise(operation) if operation.kernel.shape[-2] == 1 else None
    if isinstance(operation, layers.Activation):
        return {activations.gelu: _gelu, activations.hard_silu: _hard_silu}.get(operation.activation)
    return _sum if type(operation).__name__ == "Add" and not isinstance(operation, layers.Layer) else None


def _rescaling(normalization: layers.Normalization) -> layers.Rescaling:
    mean, variance = (ops.convert_to_numpy(each).ravel() for each in (normalization.mean, normalization.variance))
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    return layers.Rescaling((1 / deviation).tolist(), (-mean / deviation).tolist(), dtype="float32")


def _depthwise(convolution: layers.Conv2D) -> layers.DepthwiseConv2D:
    """From a grouped convolution's kernel `(rows, columns, 1, channels)` to `(rows, columns, channels, 1)`."""
    config = convolution.get_config()
    kept = ("strides", "padding", "dilation_rate", "use_bias", "activation", "name", "dtype")
    copy = layers.DepthwiseConv2D(convolution.kernel_size, **{key: config[key] for key in kept})
    copy.build(convolution.input.shape)
    kernel, *bias = convolution.get_weights()
    copy.set_weights([np.swapaxes(kernel, 2, 3), *bias])
    return copy


def _gelu(inputs, **_):
    half = inputs * 0.5
    return half * ops.erf(inputs * math.sqrt(0.5)) + half


def _hard_silu(inputs, **_):
    return inputs * ops.relu6(_plus(inputs, 3.0)) * (1 / 6)


def _sum(first, second, **_):
    return _plus(first, second) if isinstance(second, int | float) else first + second


def _plus(inputs, number: float):
    return layers.Rescaling([1.0], [float(number)])(inputs)
