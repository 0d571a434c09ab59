"""The ONNX nodes of the layers that work on tokens, `(batch, tokens, channels)` in Keras and in ONNX alike."""

import keras
import numpy as np

LAST_TOKEN = np.iinfo(np.int64).max


def embedding(graph, layer, weights, value):
    """Maps to tokens: patches, and before them the class; each plus its position."""
    kernel, bias = layer.patch_embeddings.projection.get_weights()
    patches = graph.add("Conv", value, kernel.transpose(3, 2, 0, 1), bias, strides=[layer.patch_size] * 2)
    patches = graph.add("Transpose", graph.add("Reshape", patches, np.array([0, len(bias), -1])), perm=[0, 2, 1])
    added = _array(layer.interpolated_position_embeddings)
    added[:, :1] += _array(layer.cls_token)
    return graph.add("Add", graph.add("Pad", patches, np.array([0, 1, 0, 0, 0, 0])), added)


def block(graph, layer, weights, value):
    """Attention and two dense layers, each normalized before and added to what it reads."""
    attended = _attention(graph, layer.attention.attention, _normalized(graph, layer.norm1, value))
    value = graph.add("Add", value, _scaled(graph, layer.layer_scale1, attended))
    inner = gelu(graph, _linear(graph, *layer.mlp.fc1.get_weights(), _normalized(graph, layer.norm2, value)))
    outer = _linear(graph, *layer.mlp.fc2.get_weights(), inner)
    return graph.add("Add", value, _scaled(graph, layer.layer_scale2, outer))


def _attention(graph, layer, value):
    """softmax(q kᵀ / √d) v of each head (Vaswani et al. 2017, section 3.2); d is divided out of the kernel of q."""
    *weights, kernel, bias = layer.get_weights()        # kernels: (channels, heads, d), the last (heads, d, channels)
    channels, heads, size = weights[0].shape

    def projected(kernel, bias, order, factor=1.0):
        rows = _linear(graph, kernel.reshape(channels, -1) * factor, bias.ravel() * factor, value)
        return graph.add("Transpose", graph.add("Reshape", rows, np.array([0, -1, heads, size])), perm=order)

    queries = projected(*weights[:2], [0, 2, 1, 3], size**-0.5)
    weighing = graph.add("Softmax", graph.add("MatMul", queries, projected(*weights[2:4], [0, 2, 3, 1])), axis=-1)
    answers = graph.add("MatMul", weighing, projected(*weights[4:], [0, 2, 1, 3]))
    joined = graph.add("Reshape", graph.add("Transpose", answers, perm=[0, 2, 1, 3]), np.array([0, -1, heads * size]))
    return _linear(graph, kernel.reshape(-1, channels), bias, joined)


def pooling(graph, layer, weights, value):
    """See `pipeline.training.pooling.TokenPooling`."""
    patches = graph.add("Slice", value, np.array([1]), np.array([LAST_TOKEN]), np.array([1]))
    return graph.add("Concat", graph.add("Flatten", graph.add("Gather", value, np.array([0]), axis=1)),
                     graph.add("ReduceMean", patches, axes=[1], keepdims=0), axis=1)


def gelu(graph, value: str) -> str:
    """`value` · (1 + erf(`value` / √2)) / 2, in the nodes that runtimes know and compute as one."""
    doubled = graph.add("Mul", value, graph.add("Add", graph.add("Erf", graph.add("Div", value, 2**0.5)), 1.0))
    return graph.add("Mul", doubled, 0.5)


def _linear(graph, kernel: np.ndarray, bias: np.ndarray, value: str) -> str:
    return graph.add("Add", graph.add("MatMul", value, kernel), bias)


def _normalized(graph, layer, value: str) -> str:
    return graph.add("LayerNormalization", value, *layer.get_weights(), epsilon=layer.epsilon)


def _scaled(graph, layer, value: str) -> str:
    return graph.add("Mul", value, _array(layer.lambda1))


def _array(variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable))
