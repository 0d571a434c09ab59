"""A real bundle that is made in milliseconds: its features are an image's mean colours, its classes colours.

    make_bundle(folder)                a model.onnx of a few nodes for red, green and blue, and all else that is in it
    make_images(folder, images=10)     coloured noise: folder/CLASS/00.png, each near its class's colour
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from graft.model import bundle, unknown

COLOURS = {"blue": (40, 60, 200), "green": (40, 190, 60), "red": (210, 50, 40)}
IMAGE_SIZE = (24, 32)       # (height, width): not square, so that a swap is seen


def make_bundle(folder, class_names=tuple(COLOURS), sharpness=10.0, temperature=1.0, acceptance=0.95, seed=1) -> Path:
    """Write a bundle whose logits are high for the nearest colour; a higher `sharpness` makes it surer of itself."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    colours = np.array([COLOURS[name] for name in class_names], dtype=np.float32) / 255
    # -|x - c|² = 2 x·c - |c|² up to a constant: the nearest colour has the highest logit
    onnx.save(_graph(2 * sharpness * colours.T, -sharpness * (colours**2).sum(axis=1)), folder / bundle.MODEL)
    features, labels = _features(colours, seed)
    reference = unknown.fit(features, labels, len(class_names))
    unknown.save(folder / bundle.UNKNOWN, reference)
    limit = unknown.threshold(unknown.score(features, reference), acceptance)
    bundle.write_description(folder, bundle.Description(
        class_names=list(class_names), image_size=list(IMAGE_SIZE), backbone={"name": "mean colour"},
        temperature=temperature, unknown_threshold=limit, training={"seed": seed},
    ))
    return folder


def make_images(folder, class_names=tuple(COLOURS), images=10, spread=30, seed=1) -> Path:
    """Write `folder/CLASS/00.png` …: noise about the class's colour, whose mean wanders by `spread` (0 to 255)."""
    rng = np.random.default_rng(seed)
    for name in class_names:
        Path(folder, name).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            noisy = np.array(COLOURS[name]) + rng.normal(0, spread, 3) + rng.normal(0, 20, (*IMAGE_SIZE, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(Path(folder, name, f"{number:02}.png"))
    return Path(folder)


def _features(colours: np.ndarray, seed: int, images: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(colours)), images)
    return (colours[labels] + rng.normal(0, 0.1, (len(labels), 3))).astype(np.float32), labels


def _graph(weights: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    constants = {"axes": np.array([1, 2]), "white": np.float32([255]),
                 "weights": weights.astype(np.float32), "bias": bias.astype(np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["means"], keepdims=0),
            helper.make_node("Div", ["means", "white"], ["features"]),
            helper.make_node("Gemm", ["features", "weights", "bias"], ["logits"]),
        ],
        "mean_colour",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *IMAGE_SIZE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(bias)]),
         helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
