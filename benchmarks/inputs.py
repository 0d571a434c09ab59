"""The photographs, weights and parameters that several benchmarks share.

Photographs come from GRAFT_REAL_DATA (default: `../shared/data` beside the repository), ImageNet weights from
GRAFT_REAL_WEIGHTS (default: `../shared/weights`).
"""

import os
from pathlib import Path

from benchmarks.scratch import ROOT

DATA = Path(os.environ.get("GRAFT_REAL_DATA", ROOT.parent / "shared/data")).resolve()
WEIGHTS = Path(os.environ.get("GRAFT_REAL_WEIGHTS", ROOT.parent / "shared/weights")).resolve()
CATS_DOGS, CLOTHING = DATA / "cats_dogs", DATA / "clothing"

# the classic fine-tuning recipe for InceptionV3
RECIPE_AUGMENTATION = {
    "rotation_degrees": 30,
    "shift": 0.2,               # of the side
    "shear": 0.2,               # Keras's generator reads this as degrees, so it hardly shears
    "zoom": 0.2,
    "horizontal_flip": True,
}
AUGMENTATION = {f"extract.augmentation.{name}": value for name, value in RECIPE_AUGMENTATION.items()}
RECIPE = {          # patience: early stopping never ends `transfer`
    **AUGMENTATION,
    "extract.augmentation.stretch": 0.0, "extract.augmentation.brightness": 0.0, "extract.augmentation.contrast": 0.0,
    "transfer.head": "recipe", "transfer.hidden_units": 1024, "transfer.dropout": 0.0, "transfer.patience": 1000,
    "transfer.warmup_epochs": 0.0, "transfer.decay": "none", "finetune.warmup_epochs": 0.0, "finetune.decay": "none",
    "finetune.optimizer": "sgd", "finetune.learning_rate": 1e-4, "finetune.momentum": 0.9,
    "finetune.averaging_epochs": 0.0,
}


def inception(weights: Path = WEIGHTS) -> dict:
    """Parameters for InceptionV3 at 299 pixels, cut at `mixed8`; `weights` is the folder of the weights files."""
    return _backbone("InceptionV3", None, 299, "mixed8", weights / "inception_v3_notop_partial.h5")


def mobilenet(weights: Path = WEIGHTS) -> dict:
    """Parameters for MobileNetV2 1.0 at 224 pixels, cut at `block_12_add`."""
    file = weights / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    return _backbone("MobileNetV2", 1.0, 224, "block_12_add", file)


def _backbone(name: str, alpha: float | None, side_px: int, cut: str, weights: Path) -> dict:
    values = {"name": name, "alpha": alpha, "image_size": [side_px, side_px], "cut": cut, "weights": str(weights)}
    return {f"extract.backbone.{key}": value for key, value in values.items()}
