"""Fold BatchNormalization into the convolution before it: the same function with fewer passes over memory.

A frozen BatchNormalization is `x * scale + shift` for each channel, so the kernel and the bias of the convolution that
computes `x` can include it. Keras computes it in separate operations, and in float32 whatever the precision. Folding
makes the frozen part of InceptionV3 in bfloat16 more than twice as fast on a CPU (see `benchmarks/learning.py`).
"""

import keras
import numpy as np
from keras import layers, ops

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)


def fold_batch_normalization(network: keras.Model, trainable: bool = False) -> keras.Model:
    """Build a model that computes the same function as `network`, up to rounding.

    A BatchNormalization is folded into a convolution if it is the only layer that reads its output; all other layers
    are shared with `network`. kernel' = kernel · scale and bias' = bias · scale + shift, where
    scale = gamma / √(variance + epsilon) and shift = beta - mean · scale (Jacob et al. 2018, section 3.2).

    Args:
        network: its BatchNormalization layers are frozen.
        trainable: True shares the convolutions' weights with `network` and scales them in every step, so that they can
            be trained; SeparableConv2D is not folded. False copies the convolutions for inference.
    """
    network = getattr(network, "_functional", network)      # of a Sequential
    after = normalization_after(network, CONVOLUTIONS[:2] if trainable else CONVOLUTIONS)
    folded_away = {id(normalization) for normalization in after.values()}

    def folded(operation):
        if id(operation) in folded_away:
            return lambda inputs, **_: inputs
        if id(operation) in after:
            return (_Scaled if trainable else _copied)(operation, after[id(operation)])
        return fold_batch_normalization(operation, trainable) if isinstance(operation, keras.Model) else operation

    inputs = keras.Input(network.input.shape[1:], dtype=network.input.dtype)
    return keras.Model(inputs, network._run_through_graph(inputs, operation_fn=folded), name=network.name)


def normalization_after(network: keras.Model,
                        convolutions: tuple = CONVOLUTIONS) -> dict[int, layers.BatchNormalization]:
    """id of each linear convolution that only a BatchNormalization reads -> that BatchNormalization."""
    nodes = [node for depth in network._nodes_by_depth.values() for node in depth]
    readers = {id(tensor): [network] for tensor in network.outputs}
    for node in nodes:
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), []).append(node.operation)
    found = {}
    for node in nodes:
        operation, reading = node.operation, readers.get(id(node.outputs[0]), [])
        if (isinstance(operation, convolutions) and operation.activation is keras.activations.linear
                and len(reading) == 1 and isinstance(reading[0], layers.BatchNormalization)):
            found[id(operation)] = reading[0]
    return found


def _copied(convolution, normalization: layers.BatchNormalization):
    """One convolution with a bias, in place of both layers."""
    copy = type(convolution).from_config({**convolution.get_config(), "use_bias": True})
    copy.build(convolution.input.shape)
    copy.set_weights(fold_weights(convolution, normalization))
    return copy


def fold_weights(convolution, normalization: layers.BatchNormalization) -> list[np.ndarray]:
    """The weights of one convolution with a bias, float64, in place of both layers."""
    scale, shift = scale_and_shift(normalization)
    *others, kernel, bias = (each.astype(np.float64) for each in _weights(convolution))
    return [*others, kernel * _by_channel(convolution, scale), bias * scale + shift]


class _Scaled(layers.Layer):
    """Both layers in one, if the convolution trains and the BatchNormalization does not."""

    def __init__(self, convolution, normalization: layers.BatchNormalization):
        super().__init__(name=f"{convolution.name}_scaled", dtype=convolution.dtype_policy, autocast=False)
        scale, shift = scale_and_shift(normalization)
        self.convolution = convolution
        self.kernel_scale = _by_channel(convolution, scale).astype(np.float32)
        self.scale, self.shift = scale.astype(np.float32), shift.astype(np.float32)

    def call(self, inputs):
        made, bias, is_depthwise = self.convolution, self.shift, isinstance(self.convolution, layers.DepthwiseConv2D)
        # TensorFlow's gradients of a depthwise convolution take a processor four times as long in bfloat16
        kind = "float32" if is_depthwise and self.compute_dtype == "bfloat16" else inputs.dtype
        kernel = ops.cast(made.kernel * self.kernel_scale, kind)                # scaled in float32
        if made.use_bias:
            bias = bias + made.bias * self.scale
        options = {name: getattr(made, name) for name in ("strides", "padding", "dilation_rate", "data_format")}
        convolved = (ops.depthwise_conv if is_depthwise else ops.conv)(ops.cast(inputs, kind), kernel, **options)
        return ops.cast(convolved + ops.cast(bias, kind), inputs.dtype)


def _weights(convolution) -> list[np.ndarray]:
    """The weights of a convolution, with a bias of zeros if it has none."""
    weights = convolution.get_weights()
    return weights if convolution.use_bias else [*weights, np.zeros(convolution.output.shape[-1], np.float32)]


def _by_channel(convolution, scale: np.ndarray) -> np.ndarray:
    """Reshape a scale of the output channels to the kernel's last dimensions.

    Those of a depthwise kernel are the input channel and its multiplier.
    """
    return scale.reshape(convolution.kernel.shape[2:]) if isinstance(convolution, layers.DepthwiseConv2D) else scale


def scale_and_shift(normalization: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """What a frozen BatchNormalization multiplies with and adds, float64 `(channels,)` each."""
    mean, variance = (keras.ops.convert_to_numpy(each).astype(np.float64)
                      for each in (normalization.moving_mean, normalization.moving_variance))
    scale = 1 / np.sqrt(variance + normalization.epsilon)
    if normalization.scale:
        scale = scale * keras.ops.convert_to_numpy(normalization.gamma)
    shift = -mean * scale
    return scale, shift + keras.ops.convert_to_numpy(normalization.beta) if normalization.center else shift
