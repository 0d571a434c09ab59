"""Write a Keras model in the formats that can be published beside ONNX. `graft.model.inference` runs them."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from graft.model import bundle


def write(format: str, model: keras.Model, folder: Path, calibration: Callable[[], np.ndarray]) -> None:
    """Write the files of one format into a bundle's folder, beside its model.onnx.

    Args:
        format: a key of `graft.model.bundle.FORMATS` other than "onnx".
        model: from `heads.whole_model`.
        calibration: gives uint8 `(images, height, width, 3)`, from which the ranges of an int8 model are measured.

    Raises:
        ImportError: if the library of the format is not installed.
    """
    if format == "openvino":
        write_openvino(folder / bundle.MODEL, folder / bundle.FORMATS[format][0])
    else:
        write_litert(model, folder / bundle.FORMATS[format][0], calibration() if format == "litert_int8" else None)


def write_litert(model: keras.Model, path: Path, calibration: np.ndarray | None = None) -> None:
    """Write a LiteRT model: in float32, or with int8 weights and activations if `calibration` is given.

    Args:
        model: from `heads.whole_model`; its inputs and outputs keep their types.
        path: the .tflite file.
        calibration: uint8 `(images, height, width, 3)`.
    """
    options = {}
    if calibration is not None:
        from tensorflow import lite

        options = {"optimizations": [lite.Optimize.DEFAULT],
                   "representative_dataset": lambda: ({"images": image[None]} for image in calibration)}
    model.export(path, format="litert", verbose=False, **options)


def write_openvino(onnx_path: Path, path: Path) -> None:
    """Convert the published ONNX file to OpenVINO's format: `path`, and its weights beside it as .bin."""
    import openvino

    # not `convert_model`, which sends telemetry
    openvino.save_model(openvino.Core().read_model(onnx_path), path, compress_to_fp16=False)
