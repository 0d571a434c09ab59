"""Choose the values of params.yaml for a folder of images, and write them: comments and all other values stay."""

import io
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ruamel.yaml import YAML

from graft.errors import GraftError, UnreadableImage
from graft.images import read_start
from graft.machine.files import whole
from pipeline.arguments import WrongArgument
from pipeline.image_folder import S3Path, image_folder
from pipeline.intake.survey import PHOTOGRAPHS, Survey
from tasks.params import PARAMS, read_sections

ANSWER_S = 5            # how long the server of the weights may take to answer
IMAGENET_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
IMAGENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{IMAGENET_FILE}"
ALPHAS = (1.0, 0.35, 0.5, 0.75, 1.3, 1.4)       # of MobileNetV2, for which weights exist; the usual one first
STARTER_ALPHA = 0.35
IMAGENET_SIZE, STARTER_SIZE = (224, 224), (96, 96)      # height and width in pixels, at which the weights were trained
AUTO = "auto"           # for what `transfer` and `choose` find out by trial
ONE_SIDED = re.compile(r"(.*[\W_])?(left|right)([\W_].*)?|.", re.IGNORECASE)       # classes that a mirror changes
HDF5 = b"\x89HDF\r\n\x1a\n"        # the first bytes of a file of weights


@dataclass(frozen=True)
class Weights:
    """Where a backbone's weights come from.

    Attributes:
        value: of `extract.backbone.weights`.
        alpha: the width of the MobileNetV2 that they are for.
        origin: how they are had, for people.
    """

    value: str
    alpha: float
    origin: str


def find_weights(wanted: str | None = None) -> Weights:
    """Find weights that are available on this machine now.

    Args:
        wanted: `imagenet`, `starter`, a path or an `s3://` address; None for ImageNet's if available, otherwise
            the starter's.

    Raises:
        GraftError: if the wanted weights are not available, or fit no MobileNetV2.
    """
    if wanted == "starter":
        return Weights("starter", STARTER_ALPHA, "the starter's weights, which come with Graft")
    if wanted not in (None, "imagenet"):
        return _fitting(wanted)
    cache = keras_models() / IMAGENET_FILE
    if cache.is_file():
        return Weights("imagenet", 1.0, f"ImageNet's weights, from {cache}")
    if not (problem := why_no_download()):
        return Weights("imagenet", 1.0, "ImageNet's weights, which the run downloads once: 9 MB")
    if wanted == "imagenet":
        raise GraftError(f"ImageNet's weights are not in {cache}, and cannot be downloaded from {IMAGENET_URL}: "
                         f"{problem}. Copy the file there, or name it by --weights.")
    return Weights("starter", STARTER_ALPHA, f"the starter's weights: ImageNet's are not in {cache} and cannot be "
                                             f"downloaded ({problem})")


def keras_models() -> Path:
    """The folder of Keras's downloaded weights."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def why_no_download() -> str | None:
    """What keeps ImageNet's weights from being downloaded now; None if nothing does."""
    try:
        with urlopen(Request(IMAGENET_URL, method="HEAD"), timeout=ANSWER_S):
            return None
    except HTTPError as error:
        return f"the server answers {error.code}"
    except OSError as error:
        return str(getattr(error, "reason", None) or error)


def _fitting(weights: str) -> Weights:
    """Find the width of the MobileNetV2 that a file's weights fit."""
    _require_hdf5(weights)
    from pipeline.training.weights import load_backbone

    for alpha in ALPHAS:
        try:
            with warnings.catch_warnings(action="ignore"):
                load_backbone("MobileNetV2", IMAGENET_SIZE, alpha, weights)
            return Weights(weights, alpha, f"the weights in {weights}")
        except WrongArgument as error:
            if "does not fit" not in str(error):
                raise GraftError(f"--weights: {error}") from error
    raise GraftError(f"--weights {weights}: they fit no MobileNetV2 without its top, whatever its width. For another "
                     f"backbone, set extract.backbone in {PARAMS} yourself.")


def _require_hdf5(weights: str) -> None:
    """Refuse a path that leads to no file of weights, before Keras is loaded."""
    if weights.startswith("s3://"):
        return
    try:
        if read_start(weights, len(HDF5)) == HDF5:
            return
        reason = "this is no HDF5 file"
    except UnreadableImage as error:
        reason = str(error)
    raise GraftError(f"--weights {weights}: {reason}. Expected imagenet, starter, or a file or s3:// address of "
                     "MobileNetV2's weights without its top, as Keras saves them.")


def choose(images: Path, seen: Survey, weights: Weights) -> dict[str, object]:
    """The values for a folder of images: key of params.yaml -> value, a text as YAML reads it.

    Args:
        images: the folder, relative to the model's.
        seen: what it contains.
        weights: from `find_weights`.
    """
    height, width = STARTER_SIZE if weights.value == "starter" else IMAGENET_SIZE
    backbone = {"name": "MobileNetV2", "alpha": weights.alpha, "image_size": [height, width],
                "weights": weights.value, "cut": AUTO}
    return {
        "data.images": images.as_posix(),
        "validate.split_folders": seen.split_folders,
        **{f"extract.backbone.{key}": value for key, value in backbone.items()},
        "extract.augmentation.horizontal_flip": AUTO if may_mirror(seen) else False,
        "finetune.learning_rate": AUTO,
        "publish.name": model_name(images),
    }


def may_mirror(seen: Survey) -> bool:
    """Whether a mirror image shows the same: true of photographs, not of scans, nor of classes such as b and d."""
    return seen.kind == PHOTOGRAPHS and not any(
        ONE_SIDED.fullmatch(name) for name in seen.listing.class_names)


def model_name(images: Path) -> str:
    """The name of the model of a folder: `data/My Pets` -> `my-pets`."""
    name = re.sub(r"[^a-z0-9._-]+", "-", images.name.lower()).strip("-._")[:64]
    return name or "model"


def is_chosen(images: Path | S3Path) -> bool:
    """Whether params.yaml is about this folder already, however it is written there: `./data/pets/` is `data/pets`."""
    return image_folder(str((read_sections().get("data") or {}).get("images"))) == images


def write_params(values: dict[str, object]) -> list[str]:
    """Set values in params.yaml, and change nothing else in it.

    Args:
        values: key, such as `extract.backbone.alpha` -> value.

    Returns:
        The keys whose values were others before.

    Raises:
        GraftError: if a key's section is missing.
    """
    read_sections()                     # explains a file that is missing or no YAML
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    before = PARAMS.read_text(encoding="utf-8")
    content = yaml.load(before)
    changed = [key for key, value in values.items() if _set(content, key, value)]
    text = io.StringIO()
    yaml.dump(content, text)
    if changed:
        with whole(PARAMS) as file:
            file.write_text(text.getvalue(), encoding="utf-8", newline="")
    return changed


def _set(content, key: str, value: object) -> bool:
    """Set one value; whether it was another one. A list keeps its style."""
    *path, last = key.split(".")
    for step in path:
        content = content.get(step) if hasattr(content, "get") else None
    if content is None:
        raise GraftError(f"{PARAMS}: {key}: the section '{'.'.join(path)}' is missing. Restore it: `git checkout "
                         f"{PARAMS}`.")
    if content.get(last) == value:
        return False
    if isinstance(value, list) and isinstance(content.get(last), list):
        content[last][:] = value
    else:
        content[last] = value
    return True
