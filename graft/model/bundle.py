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
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from graft.errors import GraftError

MODEL, DESCRIPTION, UNKNOWN = "model.onnx", "model.json", "unknown.npz"
FORMATS = {     # export format -> its files; every bundle contains ONNX
    "onnx": (MODEL,), "litert": ("model.tflite",), "litert_int8": ("model.int8.tflite",),
    "openvino": ("openvino.xml", "openvino.bin"),
}
FORMAT = 1


@dataclass(frozen=True)
class Description:
    """The contents of `model.json`."""

    class_names: list[str]              # in the order of the logits
    image_size: list[int]               # [height, width] in pixels, the size that images are resized to
    backbone: dict                      # name, alpha, cut, weights and their sha256; prediction does not need it
    temperature: float = 1.0            # above 0; the logits are divided by it before the softmax; fitted on val
    unknown_threshold: float | None = None      # images with a higher unknown score are unknown; None: no image is
    format: int = FORMAT                # the version of this file's format
    formats: dict = field(default_factory=dict)     # export format -> its measured agreement with the Keras model
    training: dict = field(default_factory=dict)    # the stage whose model this is and why, seeds; for information


def write_description(folder: str | Path, description: Description) -> None:
    """Write `model.json`; the same description always gives the same bytes."""
    text = json.dumps(asdict(description), indent=2, sort_keys=True, ensure_ascii=False)
    Path(folder, DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def read_description(folder: str | Path) -> Description:
    """Read and check `model.json`.

    Raises:
        GraftError: if the folder has no such file, or it is invalid; names every missing, unknown or wrong key.
    """
    path = Path(folder, DESCRIPTION)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{folder} is not a model: it has no {DESCRIPTION}. Pull one with `graft pull NAME`."
        raise GraftError(message) from None
    except (OSError, ValueError) as error:
        raise GraftError(f"{path} cannot be read: {error}. Pull the model again.") from error
    if problems := _problems(content):
        raise GraftError(f"{path} does not describe a model: " + "; ".join(problems) + ". Pull the model again.")
    return Description(**content)


def _problems(content) -> list[str]:
    if not isinstance(content, dict):
        return [f"expected a JSON object, received {type(content).__name__}"]
    if content.get("format") != FORMAT:
        return [f"format: expected {FORMAT}, received {content.get('format')!r} (another version of graft wrote it)"]
    names = {each.name for each in fields(Description)}
    content = {"formats": {}} | content         # which the first bundles did not have
    problems = [f"{key}: unknown" for key in sorted(content.keys() - names)]
    for key, is_right, expected in _RULES:
        if key not in content or not is_right(content[key]):
            problems.append(f"{key}: expected {expected}, received {content.get(key)!r}")
    return problems


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


_RULES = (
    ("class_names", lambda v: isinstance(v, list) and len(v) >= 2 and all(isinstance(name, str) for name in v)
     and len(set(v)) == len(v), "a list of at least two different names"),
    ("image_size", lambda v: isinstance(v, list) and len(v) == 2
     and all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= 4096 for n in v), "[height, width] in px"),
    ("temperature", lambda v: _is_number(v) and v > 0, "a number above 0"),
    ("unknown_threshold", lambda v: v is None or _is_number(v), "a number or null"),
    ("backbone", lambda v: isinstance(v, dict), "an object"),
    ("formats", lambda v: isinstance(v, dict), "an object"),
    ("training", lambda v: isinstance(v, dict), "an object"),
)
