"""Stage `extract`: compute the backbone's levels, the pooled outputs of its blocks, for every train and val image.

The levels are kept in a cache. So are activations at the cut, which are much larger: a later stage computes them if it
trains the blocks above the cut.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import Field

from graft.errors import reported
from tasks.data import DataParams
from tasks.params import PathText, named, params, read_params


@params
class BackboneParams:
    """Which pre-trained network is used, and where it is cut; `image_size` is (height, width) in pixels."""

    name: str
    alpha: float | None
    image_size: tuple[int, int]
    weights: PathText
    cut: str        # "auto" for the one in `pipeline.training.backbones.BACKBONES`


@params
class AugmentationParams:
    """Keyword arguments of `pipeline.training.augmentation.augment`."""

    rotation_degrees: float = Field(ge=0, le=180)
    shift: float = Field(ge=0, le=0.5)
    shear: float = Field(ge=0, le=1)
    zoom: float = Field(ge=0, le=0.9)
    stretch: float = Field(ge=0, le=0.9)
    crop: float = Field(ge=0, le=0.9)
    horizontal_flip: bool | Literal["auto"]
    lens_distortion: float = Field(ge=0, le=0.5)
    brightness: float = Field(ge=0, le=1)
    contrast: float = Field(ge=0, le=1)
    saturation: float = Field(ge=0, le=1)
    hue_degrees: float = Field(ge=0, le=180)


@params
class ExtractParams:
    """How activations are computed."""

    backbone: BackboneParams
    views: int = Field(ge=1, le=64)
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16", "auto"]
    engine: Literal["keras", "openvino", "auto"]
    augmentation: AugmentationParams
    cache_gigabytes: float = Field(ge=0)
    seed: int = Field(ge=0)


def load_backbone(extract: ExtractParams, splits, images: Path):
    """Load the backbone. Random weights are drawn from the seed and scaled to the training images.

    Args:
        extract: the stage's parameters.
        splits: the content of splits.csv.
        images: the folder of the images.

    Returns:
        The Keras model without its classifier.

    Raises:
        GraftError: if there is no such backbone or cut, or the weights cannot be loaded.
    """
    import numpy as np

    from graft.images import read_image
    from pipeline.training import backbones, backend, random_weights, weights

    backbone = extract.backbone
    if backbone.weights == "none":
        backend.make_deterministic(extract.seed)        # imports TensorFlow, even where it is not Keras's backend
    with named("extract.backbone"):
        network = weights.load_backbone(backbone.name, backbone.image_size, backbone.alpha, backbone.weights)
        backbones.split(network, resolved_cut(backbone))        # rejects a wrong one before anything is written
    if backbone.weights == "none":
        paths = splits.loc[splits["split"] == "train", "path"]
        chosen = paths.sample(min(256, len(paths)), random_state=extract.seed)
        random_weights.scale_random_weights(
            network, np.stack([read_image(images / path, backbone.image_size) for path in chosen])
        )
    return network


def resolved_cut(backbone: BackboneParams) -> str:
    """The cut, or what `auto` stands for."""
    from pipeline.training.backbones import BACKBONES

    return BACKBONES[backbone.name].cut if backbone.cut == "auto" else backbone.cut


def save_backbone(extract: ExtractParams, network, path: Path) -> dict:
    """Write the backbone's weights.

    Args:
        extract: the stage's parameters.
        network: see `load_backbone`.
        path: for the weights.

    Returns:
        The fields of a `pipeline.training.frozen.FrozenPart`.
    """
    import hashlib

    from pipeline.training import saving, weights
    from tasks import artifacts

    saving.save_weights(network, path)
    code = artifacts.read_json(artifacts.CODE)
    return {
        **asdict(extract.backbone), "cut": resolved_cut(extract.backbone),
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "precision": code["precision"], "engine": code["engine"],
        "augmentation": asdict(extract.augmentation), "seed": extract.seed,
        "licence": weights.licence(extract.backbone.name, extract.backbone.weights),
    }


def write_levels(dataset, network, table) -> None:
    """Compute the levels of images that the cache lacks, and write where they lie.

    Args:
        dataset: see `pipeline.training.examples.open_dataset`.
        network: see `load_backbone`.
        table: the images' rows of activations.csv.
    """
    from pipeline.probing.levels import views_of
    from pipeline.training import backbones
    from tasks import artifacts

    activations = dataset.levels()
    activations.fill(views_of(table["path"].tolist(), table["sha256"].tolist()))
    artifacts.write_json(artifacts.LEVELS, {
        "folder": activations.shards.folder.name, "units": list(backbones.level_units(network).items()),
    })


def write_contact_sheet(examples, path: Path, images: int = 6, views: int = 7) -> None:
    """Draw some training images, one per row: the plain image, then augmented views.

    Args:
        examples: the `pipeline.training.examples.Examples` of train.
        path: for the PNG.
        images: number of rows at most.
        views: augmented views per row.
    """
    import numpy as np

    from pipeline.training.augmentation import contact_sheet
    from pipeline.training.frozen import View

    rows = []
    for i in np.linspace(0, len(examples) - 1, min(images, len(examples))).astype(int):
        row = [View(examples.paths[i], examples.sha256s[i], number) for number in range(views + 1)]
        rows.append(examples.activations.images_of(row))
    contact_sheet(rows).save(path)


def main() -> None:
    """Run the stage. A killed run keeps the activations that are already in the cache."""
    extract, data = read_params("extract", ExtractParams), read_params("data", DataParams)
    from pipeline import hardware
    from tasks import artifacts

    is_random = extract.backbone.weights == "none"      # drawn and scaled by the backend that trains
    if artifacts.read_json(artifacts.CODE)["engine"] == "openvino" and not is_random:
        hardware.build_without_tensorflow(extract.backbone.name)
    from pipeline.training import backend, examples
    from pipeline.training.activations import BATCH_SIZE

    if not backend.has_gpu():
        print(f"{backend.describe_devices()}: computing there", flush=True)
    splits = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS)
    splits["views"] = (splits["split"] == "train") * extract.views
    artifacts.write_table(artifacts.ACTIVATIONS, splits, artifacts.ACTIVATION_COLUMNS)
    network = load_backbone(extract, splits, data.folder)
    artifacts.write_json(artifacts.BACKBONE, save_backbone(extract, network, artifacts.BACKBONE_WEIGHTS))
    with backend.all_devices(BATCH_SIZE):
        dataset = examples.open_dataset(**artifacts.read_extracted(), images=data.folder)
        write_levels(dataset, network, artifacts.read_examples("train", "val"))
    write_contact_sheet(dataset.splits["train"], artifacts.AUGMENTED)


if __name__ == "__main__":
    with reported():
        main()
