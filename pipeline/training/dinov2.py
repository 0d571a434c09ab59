"""DINOv2 (Oquab et al. 2023) of KerasHub's layers, which are imported only where it is used.

An image becomes tokens, float `(batch, 1 + patches, channels)`: one for the class, and one for each patch of 14 × 14
pixels. Each block lets every token attend to all.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras

from pipeline.imports import hidden

KERAS_HUB = "0.32.0"            # the layers are its private modules
UNUSED = ("kagglehub", "sentencepiece", "tensorflow_text")      # for downloads and texts: a third of its import

# The networks' numbers: vit_small and vit_base in dinov2/models/vision_transformer.py of facebookresearch/dinov2, and
# dinov2/hub/backbones.py there, by which the published ones have learnt from images of 518 pixels.
HEADS = {"DINOv2Small": 6, "DINOv2Base": 12}
BLOCKS, HEAD_CHANNELS, PATCH_PX, LEARNT_PX = 12, 64, 14, 518

WEIGHTS_FILE = "model.weights.h5"       # of a KerasHub preset; its config.json is never read
PRESETS = {name: f"keras/dinov2/keras/dinov2_{name.removeprefix('DINOv2').lower()}/1" for name in HEADS}


def problems(name: str, image_size: tuple[int, int]) -> dict[str, str]:
    """What keeps a DINOv2 from being built: argument of `pipeline.training.backbones.build` -> what to do about it."""
    found, (height, width) = {}, image_size
    if (installed := _installed()) != KERAS_HUB:
        found["name"] = (f"{name} needs the package keras-hub {KERAS_HUB}, but {installed or 'none'} is installed. Run "
                         "`make setup`, or `uv pip install --group dinov2`")
    if height != width or height % PATCH_PX or height < PATCH_PX:
        found["image_size"] = (f"expected a square whose side is a multiple of {PATCH_PX} pixels for {name}, such as "
                               f"[224, 224]; received {list(image_size)}")
    return found


def network(name: str, weights: str | None = None, input_tensor=None, input_shape: tuple | None = None) -> keras.Model:
    """Build a DINOv2, by the arguments of the functions in `keras.applications`.

    Args:
        name: a key of `HEADS`.
        weights: None for random ones, or the file of a KerasHub preset.
        input_tensor: scaled images, float `(batch, side, side, 3)`; each block is then a layer of the model.
        input_shape: the shape of an image, for KerasHub's own network, which is what a preset's file fits.

    Returns:
        A model whose output is the tokens after the last normalization.
    """
    channels = HEADS[name] * HEAD_CHANNELS
    numbers = {"hidden_dim": channels, "num_heads": HEADS[name], "intermediate_dim": 4 * channels}
    if input_tensor is not None:
        return keras.Model(keras.utils.get_source_inputs(input_tensor), _in_blocks(numbers, input_tensor))
    with hidden(*UNUSED):
        from keras_hub.models import DINOV2Backbone
    whole = DINOV2Backbone(PATCH_PX, BLOCKS, **numbers, image_shape=input_shape,
                           position_embedding_shape=(LEARNT_PX, LEARNT_PX))
    if weights:
        whole.load_weights(weights)
    return whole


def _in_blocks(numbers: dict[str, int], images):
    with hidden(*UNUSED):
        from keras_hub.src.models.dinov2.dinov2_layers import DINOV2Embedding, DINOV2Layer
    embeddings = DINOV2Embedding(numbers["hidden_dim"], PATCH_PX, images.shape[1:3], name="embeddings",
                                 position_embedding_shape=(LEARNT_PX, LEARNT_PX))
    tokens = embeddings(images)
    embeddings.mask_token.trainable = False         # only DINOv2's own training reads it
    for number in range(1, BLOCKS + 1):
        tokens = DINOV2Layer(**numbers, name=f"block_{number}")(tokens)
    return keras.layers.LayerNormalization(epsilon=1e-6, name="layernorm")(tokens)


def published(name: str) -> str:
    """The file of the published weights: from Kaggle, or from an earlier download in $KAGGLEHUB_CACHE."""
    from kagglehub import model_download

    return model_download(PRESETS[name], WEIGHTS_FILE)


def preset_file(weights: Path) -> Path:
    """The file of weights in a folder of a preset; anything else is returned as it is."""
    return weights / WEIGHTS_FILE if weights.is_dir() else weights


def _installed() -> str | None:
    try:
        return version("keras-hub")
    except PackageNotFoundError:
        return None
