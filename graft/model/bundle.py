"""The published folder: what is in it, its writer beside its reader.

    bundle/
      model.onnx    `images`, uint8 `(batch, height, width, 3)` RGB in 0 to 255
                    -> `logits` `(batch, classes)` and pooled `features` `(batch, units)`, float32
      model.json    everything else that a prediction needs: `Description` below
      unknown.npz   what images of the known classes look like to the model: see `graft.model.unknown`
      …             the same model in the other formats of `FORMATS`, if asked for: see `graft.model.inference`

A bundle is plain data. Nothing in it is ever executed or unpickled.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from graft.errors import GraftError
from graft.model.rules import NUMBER, OBJECT, STRING, Rule, broken, exactly, or_null

MODEL, DESCRIPTION, UNKNOWN = "model.onnx", "model.json", "unknown.npz"
FORMATS = {     # what a model can be published as, and the files of it; ONNX is always there
    "onnx": (MODEL,), "litert": ("model.tflite",), "litert_int8": ("model.int8.tflite",),
    "openvino": ("openvino.xml", "openvino.bin"),
}
FORMAT = 1


@dataclass(frozen=True)
class Description:
    """The contents of `model.json`."""

    class_names: list[str]              # in the order of the logits
    image_size: list[int]               # [height, width] that `graft.images.read_image` is asked for
    backbone: dict                      # name, alpha, cut, weights and their sha256: for people, not for predicting
    temperature: float = 1.0            # logits are divided by it before the softmax; fitted on val
    unknown_threshold: float | None = None    # an image whose unknown score exceeds it is "unknown"; None: never
    format: int = FORMAT
    formats: dict = field(default_factory=dict)       # format -> how far it was found to agree with Keras's model
    training: dict = field(default_factory=dict)      # which stage's model it is and why, seeds: for people


def write_description(folder: str | Path, description: Description) -> None:
    text = json.dumps(asdict(description), indent=2, sort_keys=True, ensure_ascii=False)
    Path(folder, DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def read_description(folder: str | Path) -> Description:
    """Raises `GraftError` naming the file and every key that is missing, unknown or wrong."""
    path = Path(folder, DESCRIPTION)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GraftError(f"{folder} is no model: it has no {DESCRIPTION}. Pull one with `graft pull NAME`.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise GraftError(f"{path} cannot be read: {error}. Pull the model again.") from error
    if problems := _problems(content):
        raise GraftError(f"{path} does not describe a model: " + "; ".join(problems) + ". Pull the model again.")
    return Description(**content)


def _problems(content: object) -> list[str]:
    if isinstance(content, dict) and content.get("format") != FORMAT:
        return [f"format: expected {FORMAT}, received {content.get('format')!r} (another version of graft wrote it)"]
    return broken(content, _RULES, optional=["formats"])        # which the first bundles did not have


def _are_class_names(value: object) -> bool:
    return isinstance(value, list) and len(set(map(str, value))) == len(value) >= 2 and all(map(STRING.holds, value))


def _is_size(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(n) is int and 1 <= n <= 4096 for n in value)


_RULES = {
    "class_names": Rule("a list of at least two different names", _are_class_names),
    "image_size": Rule("[height, width] in px", _is_size),
    "temperature": Rule("a number above 0", lambda value: NUMBER.holds(value) and value > 0),
    "unknown_threshold": or_null(NUMBER),
    "backbone": OBJECT,
    "format": exactly(FORMAT),
    "formats": OBJECT,
    "training": OBJECT,
}
