"""A Keras model in the formats that may be published beside ONNX. See `graft.model.inference` for what runs them."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from graft.model import bundle


def write(format: str, model: keras.Model, folder: Path, calibration: Callable[[], np.ndarray]) -> None:
    """Write one format's files into a bundle's folder, beside its model.onnx.

    Args:
        calibration: gives uint8 `(images, height, width, 3)`, on which the ranges of an int8 model are measured.
    """
    if format == "openvino":
        write_openvino(folder / bundle.MODEL, folder / bundle.FORMATS[format][0])
    else:
        write_litert(model, folder / bundle.FORMATS[format][0], calibration() if format == "litert_int8" else None)


def write_litert(model: keras.Model, path: Path, calibration: np.ndarray | None = None) -> None:
    """float32; or int8 weights and activations (input and outputs stay as they are) when `calibration` is given."""
    options = {}
    if calibration is not None:
        from tensorflow import lite

        options = {"optimizations": [lite.Optimize.DEFAULT],
                   "representative_dataset": lambda: ({"images": image[None]} for image in calibration)}
    model.export(path, format="litert", verbose=False, **options)


def write_openvino(onnx_path: Path, path: Path) -> None:
    """The published ONNX file in OpenVINO's format: `path`, and its weights beside it as .bin."""
    import openvino

    # not `convert_model`, which reports to its makers over the network
    openvino.save_model(openvino.Core().read_model(onnx_path), path, compress_to_fp16=False)
