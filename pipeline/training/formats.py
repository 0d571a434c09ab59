"""Write a Keras model in the formats that can be published beside ONNX. `graft.model.inference` runs them."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np

from graft.model import bundle, openvino


def write(format: str, model: keras.Model, folder: Path, calibration: Callable[[], np.ndarray]) -> None:
    """Write the files of one format into a bundle's folder, beside its model.onnx.

    Args:
        format: a key of `graft.model.bundle.FORMATS` other than "onnx".
        model: from `heads.whole_model`.
        calibration: gives uint8 `(images, height, width, 3)`, from which the ranges of an int8 model are measured.

    Raises:
        ImportError: if the library of the format is not installed.
    """
    if format == "onnx_int8":
        write_onnx_int8(folder / bundle.MODEL, folder / bundle.FORMATS[format][0], calibration())
    elif format == "openvino":
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
    library = openvino.load()
    # not `convert_model`, which sends telemetry
    library.save_model(library.Core().read_model(onnx_path), path, compress_to_fp16=False)


def write_onnx_int8(onnx_path: Path, path: Path, calibration: np.ndarray) -> None:
    """Write the published ONNX file with int8 convolutions: weights per channel, quantize and dequantize nodes (QDQ).

    All but the convolutions stays in float32: with an int8 head, one label in five changed on the digits.

    Args:
        onnx_path: the model in float32.
        path: the file to write; the same model and images give the same bytes.
        calibration: uint8 `(images, height, width, 3)`, from which the ranges of the activations are measured.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        quant_pre_process(onnx_path, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared, path, _Images(calibration), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=["Conv"])


class _Images:
    """What ONNX Runtime calls a CalibrationDataReader: one image at a time."""

    def __init__(self, images: np.ndarray):
        self._images = iter(images)

    def get_next(self) -> dict | None:
        image = next(self._images, None)
        return None if image is None else {"images": image[None]}
