"""What runs a published model: ONNX Runtime, or the runtime of another format that the bundle holds too.

    onnx            model.onnx                      always there
    litert          model.tflite                    for phones and small machines (the extra `litert`)
    litert_int8     model.int8.tflite               a quarter of the size; its answers differ a little
    openvino        openvino.xml, openvino.bin      for Intel's processors (the extra `openvino`)
"""

import threading
from pathlib import Path

import numpy as np

from graft.errors import GraftError
from graft.model import bundle

Shapes = dict[str, tuple]       # name of an input or output -> its sizes; what is left open is no whole number from 1


class Onnx:
    """`run` takes uint8 `(batch, height, width, 3)` and gives float32 logits and features, as every runtime here."""

    def __init__(self, path: Path, threads: int | None):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # idle threads leave the cores to decoding
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads:
            options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def shapes(self) -> Shapes:
        both = self._session.get_inputs() + self._session.get_outputs()
        return {each.name: tuple(each.shape) for each in both}

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, features = self._session.run(["logits", "features"], {"images": images})
        return logits, features


class LiteRT:
    """A `.tflite` file; one thread at a time may run it."""

    def __init__(self, path: Path, threads: int | None):
        from ai_edge_litert.interpreter import Interpreter

        self._run, self._lock = Interpreter(str(path), num_threads=threads).get_signature_runner(), threading.Lock()

    def shapes(self) -> Shapes:
        both = self._run.get_input_details() | self._run.get_output_details()
        return {name: tuple(map(int, each["shape_signature"])) for name, each in both.items()}

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            outputs = self._run(images=images)
        return outputs["logits"], outputs["features"]


class OpenVino:
    """OpenVINO's own files, computed in float32: left to itself it rounds to 16 bits where the processor can."""

    def __init__(self, path: Path, threads: int | None):
        import openvino

        options = {"INFERENCE_PRECISION_HINT": "f32"} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        self._model, self._lock = openvino.Core().compile_model(path, "CPU", options), threading.Lock()

    def shapes(self) -> Shapes:
        return {each.any_name: tuple(-1 if size.is_dynamic else size.get_length() for size in each.partial_shape)
                for each in [*self._model.inputs, *self._model.outputs]}

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            outputs = self._model(images)
            return outputs["logits"].copy(), outputs["features"].copy()


RUNTIMES = {"onnx": (Onnx, "onnxruntime"), "litert": (LiteRT, "ai_edge_litert"),
            "litert_int8": (LiteRT, "ai_edge_litert"), "openvino": (OpenVino, "openvino")}


def open_runtime(folder: Path, format: str = "onnx", threads: int | None = None) -> Onnx | LiteRT | OpenVino:
    """Open a bundle's model in one of its formats.

    Raises:
        GraftError: when the bundle has no such file, its runtime is not installed, or cannot open it.
    """
    if format not in RUNTIMES:
        raise GraftError(f"format '{format}' is unknown. Expected one of: {', '.join(RUNTIMES)}.")
    path, (runtime, module) = folder / bundle.FORMATS[format][0], RUNTIMES[format]
    if format != "onnx" and not path.exists():
        there = [each for each, files in bundle.FORMATS.items() if (folder / files[0]).exists()]
        raise GraftError(
            f"{folder} was not published as {format}: it has no {path.name}. Available formats: {', '.join(there)}."
        )
    try:
        return runtime(path, threads)
    except ModuleNotFoundError as error:
        extra = format.partition("_")[0]
        raise GraftError(f"the format {format} needs the package '{module}': pip install 'graft[{extra}]'") from error
    except Exception as error:      # each runtime's own exceptions share no base class but this
        raise GraftError(f"{path} is no model that {module} can open: {error}. Pull the model again.") from error
