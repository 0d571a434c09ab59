"""The networks that a classifier can be grafted onto, and how one is cut into a frozen part and a top.

A backbone is built without weights, in one way, whatever its weights come from: `frozen -> top` gives pooled features.
"""

from collections import Counter
from dataclasses import dataclass
from functools import partial

import keras
from keras import applications, layers

from graft.errors import GraftError, did_you_mean


@dataclass(frozen=True)
class Backbone:
    """One entry of the allow-list.

    Attributes:
        module: of `keras.applications`, where the builder and its preprocessing stand.
        image_size: (height, width) in pixels that the ImageNet weights were trained at.
        cut: a good last frozen layer: the top block or two are left to fine-tune.
        alphas: width multipliers with ImageNet weights; empty where the network has none.
    """

    module: str
    image_size: tuple[int, int]
    cut: str
    alphas: tuple[float, ...] = ()


BACKBONES = {
    "InceptionV3": Backbone("inception_v3", (299, 299), "mixed8"),
    "MobileNetV2": Backbone("mobilenet_v2", (224, 224), "block_12_add", (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    "EfficientNetB0": Backbone("efficientnet", (224, 224), "block5c_add"),
    "EfficientNetB1": Backbone("efficientnet", (240, 240), "block5d_add"),
    "EfficientNetB2": Backbone("efficientnet", (260, 260), "block5d_add"),
    "EfficientNetB3": Backbone("efficientnet", (300, 300), "block5e_add"),
    "ResNet50": Backbone("resnet", (224, 224), "conv4_block6_out"),
    "Xception": Backbone("xception", (299, 299), "add_10"),
    "ConvNeXtTiny": Backbone("convnext", (224, 224), "convnext_tiny_downsampling_block_2"),
}

IMAGES = "images"       # the first cut: nothing is frozen, the whole network is trained

# Keras puts this after its own normalisation, but only for weights="imagenet": the original EfficientNet divided by the
# root of the deviation once more (comment in keras/src/applications/efficientnet.py). Here it stands before it.
EFFICIENTNET_MEAN = (0.485, 0.456, 0.406)
EFFICIENTNET_STDDEV = (0.229, 0.224, 0.225)


def build(name: str, image_size: tuple[int, int], alpha: float | None = None, weights: str | None = None):
    """Build a backbone with its scaling inside.

    Args:
        name: a key of `BACKBONES`.
        image_size: `(height, width)` in pixels.
        alpha: width multiplier of MobileNetV2; None for the others.
        weights: None for random ones; "imagenet" for Keras's download or its cache.

    Returns:
        A model from uint8 or float `(batch, height, width, 3)` RGB in 0 to 255 to its last feature map, float
        `(batch, rows, columns, channels)`.

    Raises:
        GraftError: naming each argument that does not fit.
    """
    check(name, image_size, alpha)
    inputs = keras.Input((*image_size, 3), name="pixels")
    builder = partial(getattr(applications, name), include_top=False, **({} if alpha is None else {"alpha": alpha}))
    network = builder(weights=None, input_tensor=preprocess(name, inputs))
    if weights == "imagenet":
        network.set_weights(builder(weights="imagenet", input_shape=(*image_size, 3)).get_weights())
    return keras.Model(inputs, network.output, name=name)


def check(name: str, image_size: tuple[int, int], alpha: float | None) -> None:
    """Raises `GraftError` for a name that is not on the list, and for an alpha or a size that does not fit it."""
    where = "params.yaml: extract.backbone"
    if name not in BACKBONES:
        known = ", ".join(BACKBONES)
        raise GraftError(f"{where}.name: expected one of {known}, received '{name}'.{did_you_mean(name, BACKBONES)}")
    problems = []
    alphas = BACKBONES[name].alphas
    if alphas and alpha not in alphas:
        problems.append(f"{where}.alpha: expected one of {', '.join(map(str, alphas))} for {name}, received {alpha}")
    if not alphas and alpha is not None:
        problems.append(f"{where}.alpha: {name} has one width only, expected null, received {alpha}")
    least_px = 75 if name == "InceptionV3" else 71 if name == "Xception" else 32
    if min(image_size) < least_px:
        problems.append(f"{where}.image_size: expected {least_px} pixels a side or more, received {list(image_size)}")
    if problems:
        raise GraftError("\n       ".join(problems))


def split(network: keras.Model, cut: str) -> tuple[keras.Model, keras.Model]:
    """Cut a backbone after the layer named `cut`.

    Returns:
        `frozen`, from images to the activations at the cut, and `top`, from those to pooled features, float
        `(batch, units)`. Both share the layers of `network`.

    Raises:
        GraftError: when there is no such layer, or when other paths lead around it.
    """
    candidates = cuts(network)
    if cut not in candidates:
        raise GraftError(
            f"params.yaml: extract.backbone.cut: '{cut}' is no layer at which {network.name} falls in two."
            f"{did_you_mean(cut, candidates)}\n       From first to last, its blocks end at: "
            + ", ".join([IMAGES, *(name for name, layer in candidates.items() if layer in block_ends(network))])
        )
    at_cut = candidates[cut].output
    frozen = keras.Model(network.input, at_cut, name="frozen")
    after = keras.Model(at_cut, network.output) if cut != list(candidates)[-1] else None
    inputs = keras.Input(at_cut.shape[1:], name="activations")
    features = layers.GlobalAveragePooling2D(name="features", dtype="float32")(after(inputs) if after else inputs)
    return frozen, keras.Model(inputs, features, name="top")


def cuts(network: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers that every path from images to features passes through, by name, from first to last.

    Layers that Keras numbers by itself (`add_3`) bear the name they have in a process that built nothing before.
    """
    nodes = {id(node.operation): node for depth in network._nodes_by_depth.values() for node in depth}
    consumers = Counter(id(tensor) for node in nodes.values() for tensor in node.input_tensors)
    found, open_ends = {}, Counter()        # open_ends: how many operations still wait for a tensor
    for operation, name in zip(network.operations, _names(network.operations)):
        open_ends.subtract(id(tensor) for tensor in nodes[id(operation)].input_tensors)
        outputs = [id(tensor) for tensor in nodes[id(operation)].output_tensors]    # in this network, not another
        open_ends.update({output: consumers[output] for output in outputs})
        is_last = operation is network.operations[-1]
        is_layer = isinstance(operation, layers.Layer) and not isinstance(operation, layers.InputLayer)
        if is_layer and (is_last or [key for key, count in open_ends.items() if count] == outputs):
            found[name] = operation
    return found


def freeze_batch_normalization(model: keras.Model) -> None:
    """Make every BatchNormalization layer use and keep its moving statistics, whatever `training` says.

    `base(x, training=False)` does not: on every released Keras 3 `fit` overrides it (keras#20285).
    """
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
        elif hasattr(layer, "layers"):
            freeze_batch_normalization(layer)


def preprocess(name: str, inputs):
    """RGB in 0 to 255 as the network's ImageNet weights expect it, by Keras's own function."""
    images = layers.Rescaling(1.0, dtype="float32", name=IMAGES)(inputs)
    if BACKBONES[name].module == "efficientnet":
        scale = [deviation**-0.5 for deviation in EFFICIENTNET_STDDEV]
        offset = [255 * mean * (1 - factor) for mean, factor in zip(EFFICIENTNET_MEAN, scale)]
        return layers.Rescaling(scale, offset, dtype="float32", name="efficientnet_scale")(images)
    return getattr(applications, BACKBONES[name].module).preprocess_input(images)


def block_ends(network: keras.Model) -> list[keras.layers.Layer]:
    """Of many cuts those that a person would choose: where branches meet, and the last one, from first to last."""
    candidates = list(cuts(network).values())
    merging = [layer for layer in candidates if isinstance(layer, (layers.Add, layers.Concatenate))]
    return [*merging, *candidates[-1:]] if merging and merging[-1] is not candidates[-1] else merging or candidates


def _names(operations) -> list[str]:
    """Layer names; those that Keras numbers by itself are counted from the start of this network."""
    counts, names = {}, []
    for operation in operations:
        stem, _, number = operation.name.rpartition("_")
        kind = stem if number.isdigit() else operation.name
        if kind in ("add", "concatenate", "conv2d", "batch_normalization", "activation"):
            count = counts.get(kind, 0)
            counts[kind] = count + 1
            names.append(f"{kind}_{count}" if count else kind)
        else:
            names.append(operation.name)
    return names


def scale_random_weights(network: keras.Model, images) -> None:
    """Let the signal of an untrained network keep its size from layer to layer, so that something can be learnt on it.

    Without it 1e-17 is left of it after MobileNetV2. Each BatchNormalization, from first to last, is given the mean
    square of what reaches it as its variance (data-dependent initialization, Krähenbühl et al. 2016). One number for
    all its channels: to normalise each by its own amplifies noise and drowns the picture.

    Args:
        images: uint8 `(batch, height, width, 3)`.
    """
    def scaled(operation):
        def call(*inputs, **options):
            if isinstance(operation, layers.BatchNormalization):
                mean_square = keras.ops.mean(keras.ops.square(inputs[0]))
                operation.moving_variance.assign(keras.ops.broadcast_to(mean_square, operation.moving_variance.shape))
            return operation(*inputs, **options)
        return call

    network._run_through_graph(keras.ops.convert_to_tensor(images), operation_fn=scaled)
