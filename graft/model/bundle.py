"""A bundle: the folder that is published and predicted with.

    bundle/
      model.onnx    `images`, uint8 `(batch, height, width, 3)` RGB in 0 to 255
                    -> `logits` `(batch, classes)` and pooled `features` `(batch, units)`, float32
      model.json    everything else that prediction needs: `Description` below
      unknown.npz   the reference for detecting unknown images: see `graft.model.unknown`
      …             the model in the other formats of `FORMATS`, if it was exported to them: see `graft.model.inference`

A bundle is plain data. Nothing in it is ever executed or unpickled.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from graft.errors import GraftError
from graft.model.json_rules import (
    LIMIT_BYTES,
    Rule,
    are_texts,
    find_problems,
    is_number,
    is_object,
    is_whole,
    or_null,
    parse,
)

MODEL, DESCRIPTION, UNKNOWN = "model.onnx", "model.json", "unknown.npz"
FORMATS = {     # export format -> its files; every bundle contains ONNX
    "onnx": (MODEL,), "onnx_int8": ("model.int8.onnx",),
    "litert": ("model.tflite",), "litert_int8": ("model.int8.tflite",),
    "openvino": ("openvino.xml", "openvino.bin"),
}
FORMAT = 1


@dataclass(frozen=True)
class Description:
    """The contents of `model.json`."""

    class_names: list[str]              # in the order of the logits
    image_size: list[int]               # [height, width] in pixels, the size that images are resized to
    backbone: dict                      # name, alpha, cut, weights, their sha256 and licence; for information
    temperature: float = 1.0            # above 0; the logits are divided by it before the softmax; fitted on val
    unknown_threshold: float | None = None      # images with a higher unknown score are unknown; None: no image is
    unsure_up_to: float | None = None           # answers with at most this probability are unsure; None: no answer is
    format: int = FORMAT                # the version of this file's format
    formats: dict = field(default_factory=dict)     # export format -> its measured agreement with the Keras model
    training: dict = field(default_factory=dict)    # the stage whose model this is and why, seeds; for information


def write_description(folder: str | Path, description: Description) -> None:
    """Write `model.json`; the same description always gives the same bytes."""
    content = asdict(description)
    if description.unsure_up_to is None:
        del content["unsure_up_to"]         # as in older bundles, which older programs read
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    Path(folder, DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def read_description(folder: str | Path) -> Description:
    """Read and check `model.json`.

    Raises:
        GraftError: if the folder has no such file, or it is invalid; names every missing, unknown or wrong key.
    """
    path = Path(folder, DESCRIPTION)
    try:
        with open(path, "rb") as file:
            content = parse(file.read(LIMIT_BYTES + 1))
    except FileNotFoundError:
        message = f"{folder} is not a model: it has no {DESCRIPTION}. Pull one with `graft pull NAME`."
        raise GraftError(message) from None
    except (OSError, ValueError) as error:
        raise GraftError(f"{path} cannot be read: {error}. Pull the model again.") from error
    if problems := _problems(content):
        raise GraftError(f"{path} does not describe a model: " + "; ".join(problems) + ". Pull the model again.")
    return Description(**content)


def _problems(content: object) -> list[str]:
    if isinstance(content, dict) and content.get("format") != FORMAT:
        return [f"format: expected {FORMAT}, received {content.get('format')!r} (another version of graft wrote it)"]
    if isinstance(content, dict):
        content = {"formats": {}, "unsure_up_to": None} | content         # which the first bundles did not have
    return find_problems(content, _RULES)


def _are_class_names(value: object) -> bool:
    return isinstance(value, list) and are_texts(value) and len(value) >= 2 and len(set(value)) == len(value)


def _is_image_size(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(is_whole(each) and 1 <= each <= 4096 for each in value)


_RULES: dict[str, Rule] = {
    "class_names": ("a list of at least two different names", _are_class_names),
    "image_size": ("[height, width] in px", _is_image_size),
    "backbone": ("an object", is_object),
    "temperature": ("a number above 0", lambda value: is_number(value) and value > 0),
    "unknown_threshold": ("a number or null", or_null(is_number)),
    "unsure_up_to": ("a number from 0 to 1, or null", or_null(lambda value: is_number(value) and 0 <= value <= 1)),
    "format": (str(FORMAT), lambda value: value == FORMAT),
    "formats": ("an object", is_object),
    "training": ("an object", is_object),
}
