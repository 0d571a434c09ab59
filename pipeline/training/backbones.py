"""The backbones that a classifier can be grafted onto, and how to cut one into a frozen part and a top.

Every backbone is built the same way, without weights, whichever source its weights come from. `frozen`, then `top`,
gives pooled features.
"""

from dataclasses import dataclass
from functools import partial

import keras
from keras import applications, layers

from graft.errors import did_you_mean
from pipeline.arguments import WrongArgument
from pipeline.training import dinov2
from pipeline.training.blocks import block_ends, cuts
from pipeline.training.pooling import pool, units


@dataclass(frozen=True)
class Backbone:
    """One entry of the allow-list.

    Attributes:
        module: the module of `keras.applications` with the builder and its preprocessing, or "dinov2".
        image_size: (height, width) in pixels at which the ImageNet weights were trained.
        cut: a good last frozen layer, which leaves the top block or two to fine-tune.
        alphas: the width multipliers that have ImageNet weights; empty if the network has one width only.
        least_px: the smallest side of an image, in pixels, that Keras accepts; of a DINOv2, see `dinov2.problems`.
    """

    module: str
    image_size: tuple[int, int]
    cut: str
    alphas: tuple[float, ...] = ()
    least_px: int = 32

    @property
    def published(self) -> str:
        """The word for its published weights; see `pipeline.training.weights.load_backbone`."""
        return "dinov2" if self.module == "dinov2" else "imagenet"

    @property
    def licence(self) -> dict[str, str]:
        """Of the published weights: `name`, its SPDX identifier, and `source`, the address of those who grant it."""
        return dict(zip(("name", "source"), LICENCES[self.module]))


# NASNet is missing, because each of its cells reads the two before, so that no layer cuts it in two; and the largest
# networks of each family, which differ from the smaller ones only in their numbers of layers and channels.
BACKBONES = {
    "MobileNet": Backbone("mobilenet", (224, 224), "conv_dw_12_relu", (0.25, 0.5, 0.75, 1.0)),
    "MobileNetV2": Backbone("mobilenet_v2", (224, 224), "block_12_add", (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    "MobileNetV3Small": Backbone("mobilenet_v3", (224, 224), "expanded_conv_7_add", (0.75, 1.0)),
    "MobileNetV3Large": Backbone("mobilenet_v3", (224, 224), "expanded_conv_11_add", (0.75, 1.0)),
    "EfficientNetB0": Backbone("efficientnet", (224, 224), "block5c_add"),
    "EfficientNetB1": Backbone("efficientnet", (240, 240), "block5d_add"),
    "EfficientNetB2": Backbone("efficientnet", (260, 260), "block5d_add"),
    "EfficientNetB3": Backbone("efficientnet", (300, 300), "block5e_add"),
    "EfficientNetV2B0": Backbone("efficientnet_v2", (224, 224), "block5e_add"),
    "EfficientNetV2B1": Backbone("efficientnet_v2", (240, 240), "block5f_add"),
    "EfficientNetV2B2": Backbone("efficientnet_v2", (260, 260), "block5f_add"),
    "EfficientNetV2B3": Backbone("efficientnet_v2", (300, 300), "block5g_add"),
    "EfficientNetV2S": Backbone("efficientnet_v2", (384, 384), "block5i_add"),
    "InceptionV3": Backbone("inception_v3", (299, 299), "mixed8", least_px=75),
    "InceptionResNetV2": Backbone("inception_resnet_v2", (299, 299), "mixed_7a", least_px=75),
    "Xception": Backbone("xception", (299, 299), "add_10", least_px=71),
    "ResNet50": Backbone("resnet", (224, 224), "conv4_block6_out"),
    "ResNet101": Backbone("resnet", (224, 224), "conv4_block23_out"),
    "ResNet50V2": Backbone("resnet_v2", (224, 224), "conv5_block1_preact_relu"),
    "ResNet101V2": Backbone("resnet_v2", (224, 224), "conv5_block1_preact_relu"),
    "DenseNet121": Backbone("densenet", (224, 224), "pool4_pool"),
    "DenseNet169": Backbone("densenet", (224, 224), "pool4_pool"),
    "DenseNet201": Backbone("densenet", (224, 224), "pool4_pool"),
    "VGG16": Backbone("vgg16", (224, 224), "block4_pool"),
    "VGG19": Backbone("vgg19", (224, 224), "block4_pool"),
    "ConvNeXtTiny": Backbone("convnext", (224, 224), "convnext_tiny_downsampling_block_2"),
    "ConvNeXtSmall": Backbone("convnext", (224, 224), "convnext_small_downsampling_block_2"),
    "ConvNeXtBase": Backbone("convnext", (224, 224), "convnext_base_downsampling_block_2"),
    **{name: Backbone("dinov2", (224, 224), "block_10") for name in dinov2.HEADS},
}

# Module -> licence of its ImageNet weights and who grants it, by the sections "License" of Keras's page on applications
# (docs/templates/applications.md, up to Keras 2.3). EfficientNet, MobileNetV3 and ConvNeXt are younger than these
# sections: their licence is that of the repository from which Keras took the weights.
LICENCES = {
    "mobilenet": ("Apache-2.0", "https://github.com/tensorflow/models"),
    "mobilenet_v2": ("Apache-2.0", "https://github.com/tensorflow/models"),
    "mobilenet_v3": ("Apache-2.0", "https://github.com/tensorflow/models"),
    "efficientnet": ("Apache-2.0", "https://github.com/tensorflow/tpu"),
    "efficientnet_v2": ("Apache-2.0", "https://github.com/google/automl"),
    "inception_v3": ("Apache-2.0", "https://github.com/tensorflow/models"),
    "inception_resnet_v2": ("Apache-2.0", "https://github.com/tensorflow/models"),
    "xception": ("MIT", "https://github.com/keras-team/keras-applications"),
    "resnet": ("MIT", "https://github.com/KaimingHe/deep-residual-networks"),
    "resnet_v2": ("BSD-3-Clause", "https://github.com/facebook/fb.resnet.torch"),
    "densenet": ("BSD-3-Clause", "https://github.com/liuzhuang13/DenseNet"),
    "vgg16": ("CC-BY-4.0", "https://www.robots.ox.ac.uk/~vgg/research/very_deep/"),
    "vgg19": ("CC-BY-4.0", "https://www.robots.ox.ac.uk/~vgg/research/very_deep/"),
    "convnext": ("MIT", "https://github.com/facebookresearch/ConvNeXt"),
    "dinov2": ("Apache-2.0", "https://github.com/facebookresearch/dinov2"),
}

IMAGES = "images"       # the first cut: nothing is frozen, the whole network is trained
LEVELS = "levels"       # in place of a cut: the pooled output of every level, where nothing is trained but a head

# The original EfficientNet also divided by the root of the standard deviation. Keras does so after its normalization,
# but only for weights="imagenet" (comment in keras/src/applications/efficientnet.py); `preprocess` does so before it.
EFFICIENTNET_MEAN = (0.485, 0.456, 0.406)
EFFICIENTNET_STDDEV = (0.229, 0.224, 0.225)

# Keras's own arithmetic, which keeps these numbers in tensors that no export finds again: module -> whether the network
# wants BGR, and what the channels are multiplied with and shifted by (modes "caffe" and "torch" of
# keras/src/applications/imagenet_utils.py).
CAFFE = (True, (1.0, 1.0, 1.0), (-103.939, -116.779, -123.68))
TORCH = (False, tuple(1 / 255 / each for each in EFFICIENTNET_STDDEV),
         tuple(-mean / each for mean, each in zip(EFFICIENTNET_MEAN, EFFICIENTNET_STDDEV)))
SCALING = {"resnet": CAFFE, "vgg16": CAFFE, "vgg19": CAFFE, "densenet": TORCH, "dinov2": TORCH}


def build(name: str, image_size: tuple[int, int], alpha: float | None = None, weights: str | None = None):
    """Build a backbone that scales its own inputs.

    Args:
        name: a key of `BACKBONES`.
        image_size: `(height, width)` in pixels.
        alpha: the width multiplier of a MobileNet; None for the others.
        weights: None for random weights, or "imagenet" for those that Keras downloads or has cached; of a DINOv2, the
            file of a KerasHub preset.

    Returns:
        A model from uint8 or float `(batch, height, width, 3)` RGB in 0 to 255 to its last feature map, float
        `(batch, rows, columns, channels)`, or its last tokens, float `(batch, 1 + patches, channels)`.

    Raises:
        WrongArgument: naming every argument that does not fit.
    """
    check(name, image_size, alpha)
    inputs = keras.Input((*image_size, 3), name="pixels")
    builder = partial(getattr(applications, name), include_top=False, **({} if alpha is None else {"alpha": alpha})) \
        if name not in dinov2.HEADS else partial(dinov2.network, name)
    network = builder(weights=None, input_tensor=preprocess(name, inputs))
    if weights:
        network.set_weights(builder(weights=weights, input_shape=(*image_size, 3)).get_weights())
    return keras.Model(inputs, network.output, name=name)


def check(name: str, image_size: tuple[int, int], alpha: float | None) -> None:
    """Check the arguments of `build` without building anything.

    Raises:
        WrongArgument: for a name that is not in `BACKBONES`, or an alpha and an image size that do not fit it.
    """
    if name not in BACKBONES:
        hint = did_you_mean(name, BACKBONES)
        raise WrongArgument({"name": f"expected one of {', '.join(BACKBONES)}, received '{name}'.{hint}"})
    problems, alphas, least_px = {}, BACKBONES[name].alphas, BACKBONES[name].least_px
    if alphas and alpha not in alphas:
        problems["alpha"] = f"expected one of {', '.join(map(str, alphas))} for {name}, received {alpha}"
    if not alphas and alpha is not None:
        problems["alpha"] = f"expected null, because {name} has one width only; received {alpha}"
    if name in dinov2.HEADS:
        problems |= dinov2.problems(name, image_size)
    elif min(image_size) < least_px:
        problems["image_size"] = f"expected at least {least_px} pixels a side, received {list(image_size)}"
    if problems:
        raise WrongArgument(problems)


def split(network: keras.Model, cut: str) -> tuple[keras.Model, keras.Model]:
    """Cut a backbone after the layer named `cut`.

    Returns:
        `frozen`, from images to the activations at the cut, and `top`, from those activations to pooled features, float
        `(batch, units)`. Both share the layers of `network`.

    Raises:
        WrongArgument: if there is no such layer, or if a path leads around it.
    """
    candidates = cuts(network)
    if cut not in candidates:
        raise WrongArgument({"cut": f"{network.name} cannot be cut at '{cut}'.{did_you_mean(cut, candidates)}\n"
                                    "       Its blocks end, from first to last, at: "
                                    f"{', '.join([IMAGES, *block_ends(network)])}"})
    at_cut = candidates[cut].output
    frozen = keras.Model(network.input, at_cut, name="frozen")
    after = keras.Model(at_cut, network.output) if cut != list(candidates)[-1] else None
    inputs = keras.Input(at_cut.shape[1:], name="activations")
    return frozen, keras.Model(inputs, pool(after(inputs) if after else inputs, "features"), name="top")


def pooled(network: keras.Model, names: list[str] | None = None) -> keras.Model:
    """From images to the pooled outputs of some levels side by side, float32 `(batch, units)`.

    Args:
        network: from `build`.
        names: of the levels, which are ends of blocks; by default all, from first to last.
    """
    candidates = cuts(network)
    outputs = [pool(candidates[name].output) for name in names or block_ends(network)]
    joined = layers.Concatenate(dtype="float32")(outputs) if len(outputs) > 1 else outputs[0]
    return keras.Model(network.input, joined, name="pooled")


def level_units(network: keras.Model) -> dict[str, int]:
    """Each level, an end of a block, from first to last -> how many units its pooled output has."""
    candidates = cuts(network)
    return {name: units(candidates[name].output) for name in block_ends(network)}


def freeze_batch_normalization(model: keras.Model) -> None:
    """Make every BatchNormalization layer use its moving statistics and leave them unchanged, whatever `training` is.

    `base(x, training=False)` does not achieve this: in every released Keras 3, `fit` overrides it (keras#20285).
    """
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
        elif hasattr(layer, "layers"):
            freeze_batch_normalization(layer)


def preprocess(name: str, inputs):
    """Scale RGB in 0 to 255 to what the backbone's ImageNet weights expect, as Keras's own function does.

    Args:
        name: a key of `BACKBONES`.
        inputs: a symbolic tensor, uint8 or float `(batch, height, width, 3)`.

    Returns:
        A symbolic tensor of the same shape, float32.
    """
    images, module = layers.Rescaling(1.0, dtype="float32", name=IMAGES)(inputs), BACKBONES[name].module
    if module == "efficientnet":
        scale = [deviation**-0.5 for deviation in EFFICIENTNET_STDDEV]
        offset = [255 * mean * (1 - factor) for mean, factor in zip(EFFICIENTNET_MEAN, scale)]
        return layers.Rescaling(scale, offset, dtype="float32", name="efficientnet_scale")(images)
    if module in SCALING:
        is_bgr, scale, offset = SCALING[module]
        return layers.Rescaling(scale, offset, dtype="float32", name="scale")(images[..., ::-1] if is_bgr else images)
    return getattr(applications, module).preprocess_input(images)
